package mill

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// target is what an attack in a child aims at. All of it belongs to the test.
type target struct {
	pid      int    // the parent
	tcp, udp string // canary listeners on loopback
	unix     string // and on a path
	dir      string // with a file "canary" and a folder "empty"
	medium   int    // the job's own descriptor, in the child
	socket   int    // that of the connection to the parent, in the child
}

func (t target) file() string { return filepath.Join(t.dir, "canary") }

// String is a word of a script.
func (t target) String() string {
	return strings.Join([]string{strconv.Itoa(t.pid), t.tcp, t.udp, t.unix, t.dir}, "|")
}

func parseTarget(word string) (t target) {
	f := strings.Split(word, "|")
	t.pid, _ = strconv.Atoi(f[0])
	t.tcp, t.udp, t.unix, t.dir = f[1], f[2], f[3], f[4]
	return t
}

// canaries are the outside: they tell what reached it.
type canaries struct {
	target
	touched atomic.Int64
}

func newCanaries(t *testing.T) *canaries {
	t.Helper()
	dir, err := os.MkdirTemp("", "mill") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &canaries{target: target{pid: os.Getpid(), dir: dir, unix: filepath.Join(dir, "socket")}}
	c.tcp = c.listen(t, "tcp", "127.0.0.1:0")
	c.listen(t, "unix", c.unix)
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	c.udp = p.LocalAddr().String()
	go func() {
		for {
			if _, _, err := p.ReadFrom(make([]byte, 10)); err != nil {
				return
			}
			c.touched.Add(1)
		}
	}()
	c.reset(t)
	return c
}

func (c *canaries) listen(t *testing.T, network, address string) string {
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.touched.Add(1)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

const canaryText = "sing"

// reset makes the folder as it was.
func (c *canaries) reset(t *testing.T) {
	t.Helper()
	names, err := os.ReadDir(c.dir)
	for _, n := range names {
		if n.Name() != "socket" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.dir, n.Name())))
		}
	}
	err = errors.Join(err, os.WriteFile(c.file(), []byte(canaryText), 0o644), os.Mkdir(filepath.Join(c.dir, "empty"), 0o755), os.Chmod(c.dir, 0o777))
	if err != nil {
		t.Fatal(err)
	}
}

// harmed says what has changed outside.
func (c *canaries) harmed() string {
	var l []string
	if n := c.touched.Swap(0); n > 0 {
		l = append(l, fmt.Sprintf("%d connections", n))
	}
	names, _ := os.ReadDir(c.dir)
	var have []string
	for _, n := range names {
		have = append(have, n.Name())
	}
	if got := strings.Join(have, " "); got != "canary empty socket" {
		l = append(l, "the folder holds "+got)
	}
	if b, err := os.ReadFile(c.file()); err != nil || string(b) != canaryText {
		l = append(l, fmt.Sprintf("the file says %q, %v", b, err))
	}
	if st, err := os.Stat(c.file()); err != nil || st.Mode() != 0o644 {
		l = append(l, "the file's mode has changed")
	}
	return strings.Join(l, "; ")
}

// try makes one attack in a child of its own, and says how it ended.
func try(t *testing.T, s *starter, cfg Config, c *canaries, name string) (escaped bool, outcome string) {
	t.Helper()
	child, err := s.start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer child.kill()
	a := assignment(t, "escape "+name+" "+c.String())
	var got collected
	v, err := child.do(t.Context(), a, cfg.Limits, got.Add)
	harm := c.harmed()
	if harm != "" {
		harm = "; " + harm
		c.reset(t)
	}
	if b, err := os.ReadFile(a.Files[0].Name()); err != nil || !strings.HasPrefix(string(b), "# escape ") {
		harm += "; the medium has changed"
	}
	switch fault := codecs.AsError(err); {
	case err != nil && fault == nil:
		t.Fatalf("%s: %v", name, err)
	case fault != nil:
		return harm != "", fault.Error() + harm
	case v.Fault != nil || len(got.data) != 1:
		t.Fatalf("%s: it gave %+v and %d samples", name, v.Fault, len(got.data))
	}
	return harm != "" || strings.HasPrefix(got.data[0], "escaped"), got.data[0] + harm
}

// Nothing that a decoder which has been taken over tries gets outside, even without
// namespaces of its own. The control makes the same attacks without confinement: it has
// to succeed at most of them, or the table would prove nothing.
func TestEscapes(t *testing.T) {
	cfg := DefaultConfig(1)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Argv, cfg.Stall = []string{self, "mill"}, 10*time.Second
	s := newStarter()
	defer s.close()
	s.level = len(namespaces) - 1
	c := newCanaries(t)
	free := cfg
	free.Confinement = Off
	out, without := 0, 0
	for _, e := range escapes {
		escaped, how := try(t, s, cfg, c, e.name)
		freely, control := try(t, s, free, c, e.name)
		t.Logf("%-32s confined: %.100s; not confined: %.60s", e.name, how, control)
		if escaped {
			out++
			t.Errorf("%s: %s", e.name, how)
		}
		if freely {
			without++
		}
	}
	t.Logf("%d of %d attacks succeed; %d do without confinement", out, len(escapes), without)
	if without < 40 {
		t.Errorf("without confinement only %d of %d succeed: the table does not attack", without, len(escapes))
	}
}

// attack runs in the child, as its decoder.
func attack(name, word string, medium *os.File) string {
	for _, e := range escapes {
		if e.name != name {
			continue
		}
		g := parseTarget(word)
		g.medium, g.socket = int(medium.Fd()), parentSocket()
		if err := e.try(g); err != nil {
			return "refused: " + err.Error()
		}
		return "escaped"
	}
	return "unknown"
}

// What a child holds is bounded, whatever it does.
func TestGreed(t *testing.T) {
	small := func(c *Config) { c.Memory, c.Stall = leastMemory, 10*time.Second }
	short := func(c *Config) { c.Output, c.Wall, c.Stall = 1<<20, 3*time.Second, 2*time.Second }
	for _, c := range []struct {
		program string
		limits  func(*Config)
		want    codecs.Code
	}{
		{"eat", small, pipeline.CodeOOM},           // slowly enough to be seen
		{"swallow", small, pipeline.CodeOOM},       // all at once: the limit on data stands behind
		{"threads", nil, pipeline.CodeCrash},       // some hundreds
		{"giant", small, pipeline.CodeCrash},       // a frame that claims gigabytes
		{"flood", short, pipeline.CodeLimitOutput}, // samples without end
		{"nothing", short, pipeline.CodeTimeout},   // signs of life and nothing else
	} {
		var got collected
		v, err := testPool(t, 1, c.limits).Do(t.Context(), assignment(t, c.program), &got)
		if err != nil || codeOf(v) != c.want || len(got.data) > 0 {
			t.Errorf("%q gives %v, %v and %d samples; want %s", c.program, v.Fault, err, len(got.data), c.want)
		}
	}
}

// Every thread of a child is confined, and it holds what was meant for it.
func TestChildHasNothing(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary")
	leak, err := os.Open("/etc/passwd") // as a C library would open it: an exec does not close it
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	keepOverExec(t, leak)
	s := newStarter()
	defer s.close()
	cfg := DefaultConfig(1)
	self, _ := os.Executable()
	cfg.Argv = []string{self, "mill"}
	c, err := s.start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.kill()
	if len(c.report.Missing) > 0 || !c.report.Seccomp || c.report.Landlock == 0 {
		t.Errorf("the report is %+v", c.report)
	}
	pid := c.cmd.Process.Pid
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("the child has threads %v, %v", tasks, err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s lacks %q", task, want)
			}
		}
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || strings.Contains(string(env), "canary") || strings.Count(string(env), "\x00") != 2 {
		t.Errorf("the environment is %q, %v", env, err)
	}
	for _, to := range held(t, pid) {
		if to != "/dev/null" && !strings.HasPrefix(to, "pipe:") && !strings.HasPrefix(to, "anon_inode:[event") && !strings.HasPrefix(to, "socket:") {
			t.Errorf("a mill holds %q", to)
		}
	}
}

func held(t *testing.T, pid int) (l []string) {
	t.Helper()
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(names) < 4 {
		t.Fatalf("the child has descriptors %v, %v", names, err)
	}
	sockets := 0
	for _, n := range names {
		to, err := os.Readlink(n)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(to, "socket:") {
			sockets++
		}
		l = append(l, to)
	}
	if sockets != 1 {
		t.Errorf("a mill holds %d sockets; one is its parent's", sockets)
	}
	return l
}

// Who can not be confined is not given a job, and the error says what to do.
func TestNotConfined(t *testing.T) {
	whole := Report{Landlock: 7, Seccomp: true}
	none := Report{Missing: []string{"landlock: none here", "seccomp: nor here"}}
	half := Report{Seccomp: true, Missing: none.Missing[:1]}
	for _, c := range []struct {
		level Confinement
		have  Report
		want  string
	}{
		{Strict, whole, ""}, {Strict, half, "landlock: none here"}, {Strict, half, "mill.confinement: best-effort"}, {Strict, none, "seccomp: nor here"},
		{BestEffort, whole, ""}, {BestEffort, half, ""}, {BestEffort, none, "mill.confinement: off"}, {Off, none, ""},
	} {
		err := c.level.accept(c.have)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %v: %v; want %q", c.level, c.have, err, c.want)
		}
	}
	p := testPool(t, 1, func(c *Config) { c.Argv[1] = "unconfined" })
	if v, err := p.Do(t.Context(), assignment(t, "frame"), &collected{}); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("a job for a child that is not confined gives %+v, %v", v, err)
	}
	if _, err := p.Check(t.Context()); err == nil {
		t.Error("a check does not see it")
	}
}

// beUnconfined is a mill on a kernel that gives nothing.
func beUnconfined() {
	conn, err := Inherited()
	if err == nil {
		var buf []byte
		_, _, err = readFrame(conn, &buf)
	}
	if err == nil {
		err = writeFrame(conn, kindHello, []byte(`{"missing":["landlock: no such luck"]}`))
	}
	if err == nil {
		_, err = io.Copy(io.Discard, conn)
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func TestCheck(t *testing.T) {
	p := testPool(t, 1, nil)
	r, err := p.Check(t.Context())
	if err != nil || r.Landlock == 0 || !r.Seccomp || !strings.Contains(r.String(), "seccomp") {
		t.Errorf("the report is %v, %v", r, err)
	}
	if off, err := testPool(t, 1, func(c *Config) { c.Confinement = Off }).Check(t.Context()); err != nil || off.Seccomp || off.String() != "no landlock, no seccomp, no namespaces" {
		t.Errorf("with confinement off: %v, %v", off, err)
	}
}

// TestHolds reads what kernels write.
func TestHolds(t *testing.T) {
	for text, want := range map[string][2]int64{
		"Name:\tmill\nVmRSS:\t  90 kB\nRssAnon:\t   40 kB\nRssFile:\t   40 kB\nRssShmem:\t   10 kB\nVmSwap:\t  2 kB\nThreads:\t7\n": {52 << 10, 7},
		"Name:\tRssAnon: 7 kB\nRssAnon:\n": {0, 0},
		"":                                 {0, 0},
		"RssAnon:\t99999999999999999999 kB\nThreads:\tseven\n": {0, 0},
	} {
		if m, n := holds([]byte(text)); m != want[0] || n != want[1] {
			t.Errorf("%q: %d bytes, %d threads; want %v", text, m, n, want)
		}
	}
}
