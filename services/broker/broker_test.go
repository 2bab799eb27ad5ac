package broker

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/pipeline/queue"
)

// childDir tells the test binary to be a broker in a process of its own.
const childDir = "MILLRACE_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

// child runs a broker until it is killed. Its address is its first line of output.
func child(dir string) {
	b, err := Start(context.Background(), testConfig(dir))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(b.Addr())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // ends if the parent does
	os.Exit(2)
}

func testConfig(dir string) Config {
	return Config{Dir: dir, Listen: "127.0.0.1:0", Topics: []Topic{{Name: "ingest", Partitions: 3}}}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, addr string) *queue.Client {
	t.Helper()
	cfg := queue.Default()
	cfg.Brokers, cfg.Topic, cfg.FetchWait = []string{addr}, "ingest", 100*time.Millisecond
	c, err := queue.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// publish sends values from to to-1, whose keys spread them over the partitions.
func publish(t *testing.T, c *queue.Client, from, to int) {
	t.Helper()
	p := c.Producer(4)
	for i := from; i < to; i++ {
		if err := p.Publish(testContext(t), queue.Message{Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, "value %d", i)}); err != nil {
			t.Fatal(err)
		}
	}
}

// contents reads all partitions from their start to their end.
func contents(t *testing.T, c *queue.Client) []string {
	t.Helper()
	ctx := testContext(t)
	n, err := c.Partitions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for q := range n {
		o, err := c.Offsets(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		p := c.Read(q, o.First, nil)
		defer p.Close()
		for p.Offset() < o.High {
			r, err := p.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d/%d %s=%s", q, r.Offset, r.Key, r.Value))
		}
	}
	return out
}

func clusterID(t *testing.T, c *queue.Client) string {
	t.Helper()
	id, err := c.ClusterID(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestStateOutlivesClose(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(dir)
	b, err := Start(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := open(t, b.Addr())
	publish(t, c, 0, 50)
	before, id := contents(t, c), clusterID(t, c)
	if len(before) != 50 {
		t.Fatalf("%d records of 50", len(before))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	cfg.Topics = append(cfg.Topics, Topic{Name: "another", Partitions: 1})
	b, err = Start(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c = open(t, b.Addr())
	if got := contents(t, c); strings.Join(got, "\n") != strings.Join(before, "\n") {
		t.Fatalf("after the restart:\n%v\nbefore:\n%v", got, before)
	}
	if got := clusterID(t, c); got != id {
		t.Fatalf("cluster id %s, was %s", got, id)
	}
	publish(t, c, 50, 60)
	if got := contents(t, c); len(got) != 60 {
		t.Fatalf("%d records of 60", len(got))
	}
	other := t.TempDir()
	b2, err := Start(testContext(t), testConfig(other))
	if err != nil {
		t.Fatal(err)
	}
	defer b2.Close()
	if clusterID(t, open(t, b2.Addr())) == id {
		t.Fatal("two clusters have one id")
	}
}

// TestStateOutlivesKill kills the process that the broker runs in, three times.
func TestStateOutlivesKill(t *testing.T) {
	dir := t.TempDir()
	var before []string
	for round := range 3 {
		addr, kill := startChild(t, dir)
		c := open(t, addr)
		if got := contents(t, c); strings.Join(got, "\n") != strings.Join(before, "\n") {
			t.Fatalf("round %d:\n%v\nbefore the kill:\n%v", round, got, before)
		}
		publish(t, c, 20*round, 20*round+20)
		if before = contents(t, c); len(before) != 20*round+20 {
			t.Fatalf("%d records in round %d", len(before), round)
		}
		kill()
		_ = c.Close()
	}
}

func startChild(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	stdin, err := cmd.StdinPipe() // its end tells the child that this process died
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // "killed", or an earlier kill's end
		_ = stdin.Close()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.Contains(line, "127.0.0.1:") {
		t.Fatalf("the child says %q (%v)", line, err)
	}
	return strings.TrimSpace(line), kill
}

func TestOneProcessForAFolder(t *testing.T) {
	cfg := testConfig(t.TempDir())
	b, err := Start(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := Start(testContext(t), cfg); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("a second broker in the folder: %v", err)
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := testConfig(t.TempDir())
	cfg.Listen = l.Addr().String()
	if _, err := Start(testContext(t), cfg); err == nil || !strings.Contains(err.Error(), "set broker.listen to another port") {
		t.Fatal(err)
	}
	// The folder is free again for a start on another port.
	cfg.Listen = "127.0.0.1:0"
	b, err := Start(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
}

func TestBrokenStateIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(testContext(t), testConfig(dir)); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatal(err)
	}
}

func TestValidate(t *testing.T) {
	good := testConfig("dir")
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Dir = "" }, "broker.dir"},
		{func(c *Config) { c.Listen = "9092" }, "broker.listen"},
		{func(c *Config) { c.Listen = "0.0.0.0:9092" }, "loopback only"},
		{func(c *Config) { c.Listen = "kafka.example:9092" }, "loopback only"},
		{func(c *Config) { c.Topics = []Topic{{Name: "t"}} }, "broker.topics[0]"},
	} {
		c := good
		tc.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}
