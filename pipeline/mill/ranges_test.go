package mill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// afar is a medium that is elsewhere, and may fail there.
type afar struct {
	*strings.Reader
	reads atomic.Int64
	fail  func(read int64) error
}

func (a *afar) Close() error { return nil }

func (a *afar) ReadAt(p []byte, off int64) (int, error) {
	if n := a.reads.Add(1); a.fail != nil {
		if err := a.fail(n); err != nil {
			return 0, err
		}
	}
	return a.Reader.ReadAt(p, off)
}

// farAway is an assignment whose medium is read in ranges.
func farAway(t *testing.T, program string, fail func(int64) error) (*Assignment, *afar) {
	a := assignment(t, program)
	far := &afar{Reader: strings.NewReader("# " + program), fail: fail}
	a.Files, a.Ranges = []*os.File{nil}, []Ranges{far}
	return a, far
}

var errDown = errors.New("the server is down")

// A medium that is read in ranges gives what it gives as a file, and one that can not be
// read ends its job for that reason, whatever a decoder makes of it.
func TestRanges(t *testing.T) {
	changed := codecs.Errorf(pipeline.CodeSourceChanged, codecs.StageFetch, "it was changed")
	from := func(n int64, err error) func(int64) error {
		return func(read int64) error {
			if read >= n {
				return err
			}
			return nil
		}
	}
	for _, c := range []struct {
		name, program string
		fail          func(int64) error
		samples       int
		code          codecs.Code
		err           error
	}{
		{"it is read", "frame frame frame", nil, 3, "", nil},
		{"it is bad", "frame bad", nil, 0, codecs.CodeInvalid, nil},
		{"changed at once", "frame", from(1, changed), 0, pipeline.CodeSourceChanged, nil},
		{"changed in the middle", "frame reread bad", from(3, changed), 0, pipeline.CodeSourceChanged, nil},
		{"the server dies", "frame reread bad", from(3, errDown), 0, "", errDown},
		{"most is needed", "frame whole", nil, 1, "", ErrWhole},
	} {
		for name, r := range map[string]interface {
			Do(context.Context, *Assignment, Sink) (pipeline.Verdict, error)
		}{"pool": testPool(t, 1, nil), "in process": NewInProcess(1, newLine)} {
			a, _ := farAway(t, c.program, c.fail)
			var got collected
			v, err := r.Do(t.Context(), a, &got)
			if !errors.Is(err, c.err) || codeOf(v) != c.code || err == nil && len(got.keys) != c.samples {
				t.Errorf("%s, %s: %v, %v and %d samples; want %q, %v and %d", c.name, name, v.Fault, err, len(got.keys), c.code, c.err, c.samples)
			}
			b, _ := farAway(t, "frame", nil)
			if v, err := r.Do(t.Context(), b, &collected{}); err != nil || v.Samples != 1 {
				t.Errorf("%s, %s: after it: %+v, %v", c.name, name, v, err)
			}
		}
	}
}

// Media of one job may be here and there.
func TestRangesBesideFiles(t *testing.T) {
	a, _ := farAway(t, "frame frame", nil)
	b := assignment(t, "frame")
	a.Job.Media, a.Sources, a.Files, a.Ranges = append(a.Job.Media, b.Job.Media...), append(a.Sources, b.Sources...), append(a.Files, b.Files...), append(a.Ranges, nil)
	if v, err := testPool(t, 1, nil).Do(t.Context(), a, &collected{}); err != nil || v.Samples != 3 {
		t.Errorf("%+v, %v", v, err)
	}
}

// A child that dies while it reads is replaced, and the next one reads again.
func TestRangesSecondTry(t *testing.T) {
	p := testPool(t, 1, nil)
	if _, err := p.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := <-p.slots
	p.slots <- c
	a, far := farAway(t, "frame reread frame", func(n int64) error {
		if n == 3 {
			return c.cmd.Process.Kill()
		}
		return nil
	})
	var got collected
	if v, err := p.Do(t.Context(), a, &got); err != nil || v.Samples != 2 || got.resets != 1 || far.reads.Load() < 5 {
		t.Errorf("%+v, %v, after %d reads and %d resets", v, err, far.reads.Load(), got.resets)
	}
}

// The time of the parent's reads is not the child's, but the child's own is.
func TestRangesTime(t *testing.T) {
	p := testPool(t, 1, func(c *Config) { c.WallBase, c.Wall, c.Stall = time.Second, time.Second, time.Second })
	slowly := func(int64) error { time.Sleep(700 * time.Millisecond); return nil }
	a, _ := farAway(t, "reread reread frame", slowly)
	if v, err := p.Do(t.Context(), a, &collected{}); err != nil || v.Fault != nil {
		t.Errorf("a slow server: %v, %v", v.Fault, err)
	}
	for program, want := range map[string]codecs.Code{"reread hang": pipeline.CodeStall, "slow": pipeline.CodeTimeout} {
		a, _ := farAway(t, program, nil)
		v, err := testPool(t, 1, func(c *Config) { c.WallBase, c.Wall, c.Stall = 3*time.Second, 3*time.Second, time.Second }).Do(t.Context(), a, &collected{})
		if err != nil || codeOf(v) != want {
			t.Errorf("%q: %v, %v; want %s", program, v.Fault, err, want)
		}
	}
}

// A child that asks what it must not costs its job, and nothing is read for it.
func TestRangesAskedByLiars(t *testing.T) {
	const size = 64 << 20
	good := read{0, 0, 1}
	for _, c := range []struct {
		name string
		ask  []byte
	}{
		{"nothing", nil}, {"half a question", good.encode()[1:]}, {"more than a question", append(good.encode(), 0)},
		{"no bytes", read{0, 0, 0}.encode()}, {"beyond the end", read{0, size, 1}.encode()}, {"over the end", read{0, size - 1, 2}.encode()},
		{"before the beginning", read{0, -1, 2}.encode()}, {"a negative offset", read{0, -1 << 63, maxRead}.encode()},
		{"an offset that overflows", read{0, 1<<63 - 1, maxRead}.encode()},
		{"a gibibyte", read{0, 0, 1 << 30}.encode()}, {"one too many", read{0, 0, maxRead + 1}.encode()},
		{"medium 99", read{99, 0, 1}.encode()}, {"a medium that is a file", read{1, 0, 1}.encode()}, {"the last medium there can be", read{1<<32 - 1, 0, 1}.encode()},
	} {
		far := &large{size: size}
		err := converse(t, far, func(w io.Writer, _ io.Reader) { writeFrame(w, kindRead, c.ask) }, time.Minute)
		if e := codecs.AsError(err); e == nil || e.Code != pipeline.CodeCrash || far.reads != 0 {
			t.Errorf("%s: %v, after %d reads", c.name, err, far.reads)
		}
	}
	far := &large{size: size}
	err := converse(t, far, func(w io.Writer, r io.Reader) {
		var buf []byte
		for _, q := range []read{good, {0, size - 1, 1}, {0, 5, maxRead}} {
			writeFrame(w, kindRead, q.encode())
			if k, p, err := readFrame(r, &buf); k != kindBytes || uint32(len(p)) != q.length || err != nil {
				t.Errorf("%+v is answered by %q and %d bytes, %v", q, k, len(p), err)
			}
		}
		writeFrame(w, kindVerdict, []byte(`{}`))
	}, time.Minute)
	if err != nil || far.reads != 3 {
		t.Errorf("good questions: %v, %d reads", err, far.reads)
	}
	err = converse(t, &large{size: size}, func(w io.Writer, _ io.Reader) {
		for range 100 {
			if writeFrame(w, kindRead, read{0, 0, maxRead}.encode()) != nil {
				return
			}
		}
	}, time.Second)
	if e := codecs.AsError(err); e == nil || e.Code != pipeline.CodeCrash {
		t.Errorf("answers that are never read: %v", err)
	}
	err = converse(t, nil, func(w io.Writer, _ io.Reader) { writeFrame(w, kindVerdict, []byte(`{"whole":true,"samples":1}`)) }, time.Minute)
	if e := codecs.AsError(err); e == nil || e.Code != pipeline.CodeCrash {
		t.Errorf("most of a file is needed: %v", err)
	}
}

// ended is a process that has ended by itself.
func ended(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^$")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c
}

// large has bytes without end.
type large struct {
	size  int64
	reads int
}

func (l *large) Size() int64  { return l.size }
func (l *large) Close() error { return nil }
func (l *large) ReadAt(p []byte, _ int64) (int, error) {
	l.reads++
	return len(p), nil
}

// converse runs a job of a medium in ranges and one without against a child that says
// what it likes.
func converse(t *testing.T, far Ranges, says func(io.Writer, io.Reader), stall time.Duration) error {
	t.Helper()
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	told := make(chan struct{})
	go func() {
		defer close(told)
		var buf []byte
		if k, _, err := readFrame(theirs, &buf); k != kindJob || err != nil {
			t.Error(fmt.Errorf("a child hears %q, %w", k, err))
		}
		says(theirs, theirs)
		if stall > time.Second {
			theirs.Close()
		}
	}()
	lim := DefaultConfig(1).Limits
	lim.Stall = stall
	a := &Assignment{Job: &pipeline.Job{ID: "j"}, Recipe: &pipeline.Recipe{}}
	if far != nil {
		a.Ranges = []Ranges{far, nil}
	}
	c := &child{cmd: ended(t), conn: ours, stderr: &tail{}, born: time.Now()}
	_, err = c.do(t.Context(), a, lim, func(*pipeline.Sample) error { return nil })
	ours.Close()
	<-told
	theirs.Close()
	return err
}

// FuzzQuestion has a child ask anything: what is answered lies within a medium that is read
// in ranges.
func FuzzQuestion(f *testing.F) {
	const size = 5 << 20
	for _, q := range []read{{0, 0, 1}, {1, size - 1, 1}, {0, -1, 2}, {0, 1<<63 - 1, maxRead}, {1<<32 - 1, 0, 1}} {
		f.Add(q.encode())
	}
	f.Add([]byte{})
	a := &Assignment{Ranges: []Ranges{nil, &large{size: size}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseRead(b, a)
		if err != nil {
			return
		}
		if q.medium != 1 || q.length == 0 || q.length > maxRead || q.offset < 0 || q.offset+int64(q.length) > size || string(q.encode()) != string(b) {
			t.Fatalf("%+v is answered", q)
		}
	})
}
