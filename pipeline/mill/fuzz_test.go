package mill

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// frame is a message as it is on the wire, also one that no writer sends.
func frame(k kind, payload ...[]byte) []byte {
	var b bytes.Buffer
	if err := writeFrame(&b, k, payload...); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// connected gives both ends of a connection between a parent and a child.
func connected(t testing.TB) (parent, child *net.UnixConn) {
	t.Helper()
	parent, f, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return parent, c.(*net.UnixConn)
}

// elsewhere is a medium of 100 bytes, of which no others may be asked for.
type elsewhere struct{ t testing.TB }

func (elsewhere) Size() int64  { return 100 }
func (elsewhere) Close() error { return nil }
func (e elsewhere) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || len(p) == 0 || off+int64(len(p)) > 100 {
		e.t.Errorf("%d bytes at %d of 100 are read", len(p), off)
	}
	return len(p), nil
}

// FuzzConversation is a child that says what it likes, from its first word on: the parent
// ends each job with samples within the limit and a verdict that fits them, or with an error
// of the medium, and holds no more than what came.
func FuzzConversation(f *testing.F) {
	hello := frame(kindHello, []byte(`{"landlock":7,"seccomp":true}`))
	parts, err := (&pipeline.Sample{Key: "k", Fields: []pipeline.Field{{Name: "json", Data: []byte("{}")}}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	sample := frame(kindSample, parts...)
	well := frame(kindVerdict, []byte(`{"samples":1,"tokens":4,"media_seconds":1.5,"frames":1,"exposed":true}`))
	f.Add(slices.Concat(hello, frame(kindAlive, pace{}.encode()), sample, well, frame(kindVerdict, []byte(`{"samples":0}`))))
	f.Add(slices.Concat(hello, sample, frame(kindVerdict, []byte(`{"samples":2}`))))
	f.Add(slices.Concat(hello, frame(kindVerdict, []byte(`{"fault":{"code":"decode.invalid","stage":"decode","detail":"x"}}`)), sample, well))
	f.Add(slices.Concat(hello, frame(kindVerdict, []byte(`{"media_seconds":-1e300,"tokens":9223372036854775807}`))))
	f.Add(slices.Concat(hello, frame(kindVerdict, []byte(`{"fault":{"code":"x\n","stage":"\u0000"}}`))))
	f.Add(slices.Concat(hello, frame(kindJob, nil)))
	f.Add(slices.Concat(hello, frame(kindRead, read{0, 90, 10}.encode()), frame(kindVerdict, []byte(`{"whole":true}`))))
	f.Add(slices.Concat(hello, frame(kindRead, read{0, 91, 10}.encode())))
	f.Add(slices.Concat(hello, frame(kindRead, read{1, 0, 1}.encode()), frame(kindRead, make([]byte, 15))))
	f.Add(slices.Concat(hello, sample, sample[:9]))
	f.Add(frame(kindHello, []byte(`{"missing":["seccomp: no"]}`)))
	gone := exec.Command(os.Args[0], "-test.run=^$") // what a child is that has ended by itself
	if err := gone.Run(); err != nil {
		f.Fatal(err)
	}
	cfg := DefaultConfig(1)
	lim := cfg.Limits
	lim.Output = 1 << 16
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := connected(t)
		defer ours.Close()
		told := make(chan struct{})
		go func() {
			defer close(told)
			go func() {
				_, _ = theirs.Write(said)
				_ = theirs.CloseWrite()
			}()
			_, _ = io.Copy(io.Discard, theirs) // up to the parent's end, which ends the writer too
			_ = theirs.Close()
		}()
		defer func() { ours.Close(); <-told }()
		c := &child{cmd: gone, conn: ours, stderr: &tail{}, born: time.Now()}
		if err := c.agree(cfg); err != nil {
			return
		}
		if len(c.report.Missing) > 0 {
			t.Fatalf("%+v is confined", c.report)
		}
		a := &Assignment{Job: &pipeline.Job{ID: "j", Media: []pipeline.Media{{}}}, Recipe: &pipeline.Recipe{}, Sources: make([]pipeline.SourceID, 1), Ranges: []Ranges{elsewhere{t}}}
		for range 3 {
			samples, bytes := int64(0), 0
			v, err := c.do(t.Context(), a, lim, func(s *pipeline.Sample) error {
				samples++
				for _, f := range s.Fields {
					bytes += len(f.Data)
				}
				return nil
			})
			if int64(bytes) > lim.Output || cap(c.buf) > 4*len(said)+2<<20 {
				t.Fatalf("%d bytes of samples, %d of memory, of %d that came", bytes, cap(c.buf), len(said))
			}
			if errors.Is(err, ErrWhole) {
				return
			}
			if err != nil {
				e := new(codecs.Error)
				if !errors.As(err, &e) || e.Stage != codecs.StageDecode || !slices.Contains([]codecs.Code{pipeline.CodeCrash, pipeline.CodeLimitOutput, pipeline.CodeTimeout}, e.Code) {
					t.Fatalf("%v", err)
				}
				return
			}
			if f := v.Fault; f != nil {
				if f.Code == "" || strings.Trim(f.Code+f.Stage, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || len(f.Code+f.Stage) > maxCode {
					t.Fatalf("the fault %+v is believed", f)
				}
			} else if v.Samples != samples {
				t.Fatalf("%+v, and there were %d samples", v, samples)
			}
			if v.Tokens < 0 || v.Tokens > maxCount || v.Frames < 0 || v.Frames > maxCount || v.MediaSeconds < 0 || v.MediaSeconds > maxSeconds {
				t.Fatalf("%+v is believed", v)
			}
		}
	})
}

// FuzzAssignment is a parent that says what it likes: the child answers each job with its
// samples and one verdict that fits them, or ends, and keeps no descriptor.
func FuzzAssignment(f *testing.F) {
	medium := assignment(f, "frame frame bad")
	whole, err := json.Marshal(medium)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame(kindJob, whole), uint8(1))
	f.Add(frame(kindJob, whole), uint8(3))
	f.Add(append(frame(kindJob, []byte(`{"job":{"id":"t","text":"x","dataset":"d"},"recipe":{}}`)), frame(kindJob, whole)...), uint8(0))
	f.Add(frame(kindTerms, whole), uint8(1))
	f.Add(frame(kindJob, whole)[:20], uint8(2))
	far, err := json.Marshal(assigned{medium, []int64{7}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slices.Concat(frame(kindBytes, []byte("# frame")), frame(kindJob, far)), uint8(0))
	f.Add(slices.Concat(frame(kindBytes, []byte("# fr")), frame(kindJob, far)), uint8(0))
	line, err := newLine(medium.Recipe)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, said []byte, descriptors uint8) {
		before := openFiles(t)
		ours, theirs := connected(t)
		heard, told := make(chan []byte), make(chan struct{})
		go func() {
			b, _ := io.ReadAll(ours)
			heard <- b
		}()
		go func() { // descriptors come with the first bytes
			defer close(told)
			head := said[:min(headerSize, len(said))]
			if n := min(int(descriptors), maxMedia); n > 0 && len(head) > 0 {
				_, _, _ = ours.WriteMsgUnix(head, unix.UnixRights(slices.Repeat([]int{int(medium.Files[0].Fd())}, n)...), nil)
			} else {
				_, _ = ours.Write(head)
			}
			_, _ = ours.Write(said[len(head):])
			_ = ours.CloseWrite()
		}()
		s := server{out: &sender{conn: theirs}, newLine: func(*pipeline.Recipe) (*pipeline.Line, error) { return line, nil }}
		done := 0
		var buf []byte
		var early [][]byte // answers that came before a job has asked
		for {
			k, p, files, err := receive(theirs, &buf)
			if err == nil && k == kindBytes {
				closeAll(files)
				early = append(early, bytes.Clone(p))
				continue
			}
			if err == nil {
				answers := make(chan []byte, len(early))
				for _, b := range early {
					answers <- b
				}
				close(answers)
				s.answers, early = answers, nil
				err = s.do(received{p, files})
			} else {
				closeAll(files)
			}
			if err != nil {
				break
			}
			done++
		}
		theirs.Close()
		out := bytes.NewReader(<-heard)
		<-told
		ours.Close()
		if cap(buf) > 4*len(said)+2<<20 {
			t.Fatalf("%d bytes made a buffer of %d", len(said), cap(buf))
		}
		verdicts, samples := 0, int64(0)
		for buf := []byte(nil); ; {
			k, p, err := readFrame(out, &buf)
			if err == io.EOF {
				break
			}
			switch {
			case err != nil:
				t.Fatal(err)
			case k == kindSample:
				if err := pipeline.ParseSample(p, new(pipeline.Sample)); err != nil {
					t.Fatal(err)
				}
				samples++
			case k == kindVerdict:
				var e ending
				if err := json.Unmarshal(p, &e); err != nil {
					t.Fatal(err)
				}
				if err := checkVerdict(e.Verdict, samples); err != nil {
					t.Fatalf("%s after %d samples: %v", p, samples, err)
				}
				verdicts, samples = verdicts+1, 0
			case k != kindAlive && k != kindRead:
				t.Fatalf("a child says %q", k)
			}
		}
		if verdicts != done {
			t.Fatalf("%d verdicts on %d jobs", verdicts, done)
		}
		if after := openFiles(t); after != before {
			t.Fatalf("%d descriptors were open, now %d are", before, after)
		}
	})
}

func openFiles(t testing.TB) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}
