package mill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// TestMain makes the test binary its own mill, as the real binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "mill" {
		serveAsChild()
	}
	if len(os.Args) > 1 && os.Args[1] == "deaf" {
		beDeaf()
	}
	if len(os.Args) > 1 && os.Args[1] == "unconfined" {
		beUnconfined()
	}
	if len(os.Args) > 1 && os.Args[1] == "parent" {
		beParent()
	}
	goleak.VerifyTestMain(m)
}

func serveAsChild() {
	conn, err := Inherited()
	if err == nil {
		err = Serve(conn, newLine)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func newLine(r *pipeline.Recipe) (*pipeline.Line, error) {
	encode := func(p codecs.Pixels, _ pipeline.Keep) (string, []byte, error) { return "rgb", p.Pix, nil }
	return pipeline.NewLine(r, pipeline.Tools{Decoders: []pipeline.Decoder{script{}}, Encode: encode}, pipeline.Versions{Millrace: "test"})
}

func assignment(t testing.TB, program string) *Assignment {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "medium"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString("# " + program); err != nil {
		t.Fatal(err)
	}
	return &Assignment{
		Job:     &pipeline.Job{ID: program, Dataset: "d", Media: []pipeline.Media{{URI: "test:"}}},
		Recipe:  &pipeline.Recipe{Digest: "r", Keep: pipeline.Keep{Frame: "raw"}, Limits: codecs.DefaultLimits()},
		Sources: []pipeline.SourceID{{URI: "test:"}},
		Files:   []*os.File{f},
	}
}

func testPool(t testing.TB, count int, change func(*Config)) *Pool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig(count)
	cfg.Argv = []string{self, "mill"}
	if change != nil {
		change(&cfg)
	}
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// collected is a Sink of copies.
type collected struct {
	keys   []string
	data   []string
	resets int
	fail   error
}

func (c *collected) Add(s *pipeline.Sample) error {
	if c.fail != nil {
		return c.fail
	}
	c.keys = append(c.keys, s.Key)
	c.data = append(c.data, string(s.Fields[len(s.Fields)-1].Data))
	return nil
}

func (c *collected) count() int { return len(c.keys) }

func (c *collected) Reset() error {
	c.keys, c.data = nil, nil
	c.resets++
	return nil
}

// healing is a Sink that mends the medium when the job begins again.
type healing struct {
	collected
	medium *os.File
}

func (h *healing) Reset() error {
	if _, err := h.medium.WriteAt([]byte("# frame           "), 0); err != nil {
		return err
	}
	return h.collected.Reset()
}

// Both ways of running a job must agree on everything but what isolation is for.
func TestRunners(t *testing.T) {
	runners := map[string]interface {
		Do(context.Context, *Assignment, Sink) (pipeline.Verdict, error)
	}{"pool": testPool(t, 1, nil), "in process": NewInProcess(1, newLine)}
	for _, c := range []struct {
		program string
		samples int
		code    codecs.Code
	}{
		{"frame frame frame", 3, ""},
		{"", 0, codecs.CodeNoFrames},
		{"frame bad", 0, codecs.CodeInvalid},
		{"frame", 1, ""},
	} {
		var want []string
		for name, r := range runners {
			var got collected
			v, err := r.Do(t.Context(), assignment(t, c.program), &got)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, c.program, err)
			}
			if code := codeOf(v); code != c.code || v.Samples != int64(c.samples) || len(got.keys) != c.samples {
				t.Errorf("%s: %q gives %d samples (%d arrived), code %q; want %d, %q", name, c.program, v.Samples, len(got.keys), code, c.samples, c.code)
			}
			if want == nil {
				want = got.keys
			}
			if fmt.Sprint(want) != fmt.Sprint(got.keys) {
				t.Errorf("%q: the runners' keys differ: %v, %v", c.program, want, got.keys)
			}
		}
	}
}

func codeOf(v pipeline.Verdict) codecs.Code {
	if v.Fault == nil {
		return ""
	}
	return codecs.Code(v.Fault.Code)
}

// A death costs one job, whatever it died of, and the pool goes on.
func TestDeaths(t *testing.T) {
	p := testPool(t, 2, func(c *Config) { c.Stall, c.Wall = 1500*time.Millisecond, 4*time.Second })
	for _, c := range []struct {
		program string
		code    codecs.Code
		samples int
		resets  int
	}{
		{"frame crash", pipeline.CodeCrash, 0, 2},
		{"frame killed", pipeline.CodeOOM, 0, 2},
		{"frame leave", pipeline.CodeCrash, 0, 2},
		{"frame panic", pipeline.CodeCrash, 0, 1},
		{"frame hang", pipeline.CodeStall, 0, 1},
		{"frame slow", pipeline.CodeTimeout, 0, 1},
		{"busy", "", 1, 0}, // two seconds without a read, but not without life
	} {
		var got, after collected
		v, err := p.Do(t.Context(), assignment(t, c.program), &got)
		if err != nil {
			t.Fatalf("%q: %v", c.program, err)
		}
		if codeOf(v) != c.code || len(got.keys) != c.samples || got.resets != c.resets {
			t.Errorf("%q: code %q, %d samples, %d resets; want %q, %d, %d; fault: %v", c.program, codeOf(v), len(got.keys), got.resets, c.code, c.samples, c.resets, v.Fault)
		}
		if v.Fault != nil && max(v.Fault.Attempts, 1) != c.resets {
			t.Errorf("%q: the fault says %d attempts; there were %d", c.program, v.Fault.Attempts, c.resets)
		}
		if v, err := p.Do(t.Context(), assignment(t, "frame"), &after); err != nil || v.Samples != 1 || len(after.keys) != 1 {
			t.Errorf("after %q: %+v, %v", c.program, v, err)
		}
	}
}

// A child that dies of what is gone the next time costs no job.
func TestSecondTry(t *testing.T) {
	a := assignment(t, "frame crash")
	got := healing{medium: a.Files[0]}
	v, err := testPool(t, 1, nil).Do(t.Context(), a, &got)
	if err != nil || v.Fault != nil || len(got.keys) != 1 || got.resets != 1 {
		t.Errorf("it gives %+v, %v, with %d samples and %d resets", v, err, len(got.keys), got.resets)
	}
}

func TestErrorsThatAreNotTheMediums(t *testing.T) {
	p := testPool(t, 1, nil)
	full := errors.New("disk full")
	if _, err := p.Do(t.Context(), assignment(t, "frame"), &collected{fail: full}); !errors.Is(err, full) {
		t.Errorf("a sink's error comes back as %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if v, err := p.Do(ctx, assignment(t, "hang"), &collected{}); !errors.Is(err, context.DeadlineExceeded) || v.Fault != nil {
		t.Errorf("a cancelled job gives %+v, %v", v, err)
	}
	if _, err := p.Do(t.Context(), assignment(t, "frame"), &collected{}); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// What the caller sent comes out as it was, also where JSON has two ways to write it.
func TestMetaUntouched(t *testing.T) {
	for name, r := range map[string]interface {
		Do(context.Context, *Assignment, Sink) (pipeline.Verdict, error)
	}{"pool": testPool(t, 1, nil), "in process": NewInProcess(1, newLine)} {
		a := assignment(t, "frame")
		a.Job.Meta = []byte(`{"a":"<b> & c"}`)
		var got described
		if _, err := r.Do(t.Context(), a, &got); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got.json, `"meta":{"a":"<b> & c"}`) {
			t.Errorf("%s: the description is %s", name, got.json)
		}
	}
}

// described keeps the last sample's description.
type described struct{ json string }

func (d *described) Add(s *pipeline.Sample) error { d.json = string(s.Fields[0].Data); return nil }
func (d *described) Reset() error                 { return nil }

// A child that says what is not so is not believed.
func TestVerdictsThatLie(t *testing.T) {
	for _, verdict := range []string{`{"samples":1}`, `{"samples":-1}`, `{"samples":0,"frames":-1}`, `{"fault":{}}`, `{"fault":{"code":"` + strings.Repeat("x", 1000) + `"}}`} {
		ours, theirs, err := socketPair()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer theirs.Close()
			io.ReadFull(theirs, make([]byte, headerSize))
			writeFrame(theirs, kindVerdict, []byte(verdict))
			io.Copy(io.Discard, theirs)
		}()
		c := &child{conn: ours}
		a := &Assignment{Job: &pipeline.Job{}, Recipe: &pipeline.Recipe{}}
		v, err := c.do(t.Context(), a, DefaultConfig(1).Limits, func(*pipeline.Sample) error { return nil })
		if e := codecs.AsError(err); e == nil || e.Code != pipeline.CodeCrash {
			t.Errorf("the verdict %.40s gives %+v, %v", verdict, v, err)
		}
		ours.Close()
	}
}

// A child that does not listen is not said to have run out of memory when it is killed.
func TestDeafChild(t *testing.T) {
	p := testPool(t, 1, func(c *Config) { c.Argv[1], c.Stall = "deaf", time.Second })
	a := assignment(t, "frame")
	a.Job.Text = strings.Repeat("x", 4<<20) // more than a socket holds
	if v, err := p.Do(t.Context(), a, &collected{}); err != nil || codeOf(v) != pipeline.CodeCrash {
		t.Errorf("it gives %+v, %v", v.Fault, err)
	}
}

func beDeaf() {
	conn, err := Inherited()
	if err == nil {
		err = greet(conn)
	}
	if err != nil {
		os.Exit(1)
	}
	time.Sleep(time.Minute)
	os.Exit(0)
}

func TestRetirement(t *testing.T) {
	p := testPool(t, 1, func(c *Config) { c.Jobs = 2 })
	pids := map[int]int{}
	for range 6 {
		if _, err := p.Do(t.Context(), assignment(t, "frame"), &collected{}); err != nil {
			t.Fatal(err)
		}
		c := <-p.slots
		pids[c.cmd.Process.Pid]++
		p.slots <- c
	}
	if len(pids) != 3 {
		t.Errorf("six jobs at two a child used children %v", pids)
	}
}

// A parent that is killed leaves no child behind, not even one in the middle of a job, nor
// one that does not look.
func TestParentKilled(t *testing.T) {
	for _, child := range []string{"mill", "deaf"} {
		t.Run(child, func(t *testing.T) { testParentKilled(t, child) })
	}
}

func testParentKilled(t *testing.T, kind string) {
	self, _ := os.Executable()
	cmd := exec.Command(self, "parent", kind)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for range 500 {
		if err := syscall.Kill(child, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child)); bytes.Contains(b, []byte(") Z ")) {
			return // dead, and waiting for an init that reaps
		}
		time.Sleep(20 * time.Millisecond)
	}
	syscall.Kill(child, syscall.SIGKILL)
	t.Error("the child outlived its parent by ten seconds")
}

func beParent() {
	self, _ := os.Executable()
	cfg := DefaultConfig(1)
	cfg.Argv = []string{self, os.Args[2]}
	c, err := newStarter().start(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	f, _ := os.CreateTemp("", "medium")
	os.Remove(f.Name())
	f.WriteString("# hang")
	a := &Assignment{Job: &pipeline.Job{Media: []pipeline.Media{{}}}, Recipe: &pipeline.Recipe{Limits: codecs.DefaultLimits()}, Sources: make([]pipeline.SourceID, 1), Files: []*os.File{f}}
	time.AfterFunc(200*time.Millisecond, func() { fmt.Println(c.cmd.Process.Pid) })
	c.do(context.Background(), a, Limits{WallBase: time.Hour, Wall: time.Hour, Stall: time.Hour, Output: 1 << 20}, func(*pipeline.Sample) error { return nil })
	os.Exit(0)
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{byte(kindSample), 0, 0, 0, 3, 0, 0, 0, 1, 2, 3})
	f.Add([]byte{byte(kindHello), 0, 0, 0, 0, 0, 0, 0})
	f.Add(append([]byte{byte(kindRead), 0, 0, 0, readSize, 0, 0, 0}, read{1, 2, 3}.encode()...))
	f.Add([]byte{byte(kindBytes), 0, 0, 0, 2, 0, 0, 0, 1, 2})
	f.Add([]byte{byte(kindSample), 0, 0, 0, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var buf []byte
		k, p, err := readFrame(bytes.NewReader(b), &buf)
		if cap(buf) > 4*len(b)+2<<20 {
			t.Fatalf("%d bytes made a buffer of %d", len(b), cap(buf))
		}
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := writeFrame(&out, k, p); err != nil || !bytes.Equal(out.Bytes(), b[:out.Len()]) {
			t.Fatalf("a frame does not survive: % x, %v", out.Bytes(), err)
		}
	})
}

func TestFrameOverLimit(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := writeFrame(a, kindSample, make([]byte, maxFrame), []byte{1}); err == nil {
		t.Error("a frame over the limit is sent")
	}
}

// A mill that people start finds no parent, and leaves alone what descriptor 3 is.
func TestNoParent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][]*os.File{"nothing": nil, "a pipe": {w}} {
		c := exec.Command(self, "mill")
		c.ExtraFiles = files
		out, err := c.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "not by people") {
			t.Errorf("with %s at descriptor 3: %v, %s", name, err, out)
		}
	}
	before, err := os.Readlink("/proc/self/fd/3")
	if err != nil {
		t.Skip("this process has no descriptor 3")
	}
	if _, err := Inherited(); err == nil {
		t.Error("a test's descriptor 3 is taken for a parent")
	}
	if after, err := os.Readlink("/proc/self/fd/3"); err != nil || after != before {
		t.Errorf("descriptor 3 was %s, and is %s now, %v", before, after, err)
	}
}
