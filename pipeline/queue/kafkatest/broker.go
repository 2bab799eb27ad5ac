package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	startTimeout = 2 * time.Minute // generous: the machine may be busy
	stopTimeout  = 30 * time.Second
	startTries   = 3 // a free port may be taken by another before Kafka binds it
)

// Broker is one running node. Its methods are for one goroutine at a time.
type Broker struct {
	jars, dir string
	addr      string
	fronts    []string
	node      *node // nil while stopped
}

// Start starts a broker that ends with the test. It skips the test in -short mode,
// and fails it where Java or the jars are missing.
func Start(t testing.TB) *Broker {
	t.Helper()
	skipIfShort(t)
	b, err := newBroker(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.kill() })
	return b
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("a real Kafka broker is not for -short")
	}
}

// Launch starts a broker outside of tests, with its files in dir. The caller closes it.
//
// Each address of proxies gets a listener of its own, which tells its clients that the
// broker is at that address: a proxy there, that leads to Front, stays between the two.
func Launch(dir string, proxies ...string) (*Broker, error) { return newBroker(dir, proxies) }

// Front returns the address of the listener behind the i-th proxy of Launch.
func (b *Broker) Front(i int) string { return b.fronts[i] }

// Close kills the broker, if it runs.
func (b *Broker) Close() error { return b.kill() }

// Bounce ends the broker, as a crash would or in order, and starts it again after a
// while, on the same ports and files.
func (b *Broker) Bounce(crash bool, away time.Duration) error {
	sig := syscall.SIGTERM
	if crash {
		sig = syscall.SIGKILL
	}
	if err := b.end(sig); err != nil {
		return err
	}
	time.Sleep(away)
	return b.start()
}

// newBroker formats the storage in dir, once for each choice of ports, and starts.
func newBroker(dir string, proxies []string) (*Broker, error) {
	jars, err := findJars()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		b := &Broker{jars: jars, dir: filepath.Join(dir, fmt.Sprintf("kafka-%d", try))}
		if err = b.format(proxies); err != nil {
			return nil, err
		}
		err = b.start()
		if err == nil || try == startTries {
			return b, err
		}
	}
}

// Addr returns host:port. It stays the same when the broker is restarted.
func (b *Broker) Addr() string { return b.addr }

// Stop shuts the broker down in order (SIGTERM).
func (b *Broker) Stop(t testing.TB) {
	t.Helper()
	if err := b.end(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the broker as a crash would (SIGKILL).
func (b *Broker) Kill(t testing.TB) {
	t.Helper()
	if err := b.kill(); err != nil {
		t.Fatal(err)
	}
}

// Restart starts a stopped or killed broker again, on the same port and files. One
// that runs is stopped first.
func (b *Broker) Restart(t testing.TB) {
	t.Helper()
	if b.node != nil {
		b.Stop(t)
	}
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
}

func (b *Broker) kill() error { return b.end(syscall.SIGKILL) }

func (b *Broker) end(sig syscall.Signal) error {
	n := b.node
	if n == nil {
		return nil
	}
	b.node = nil
	if err := n.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending Kafka: %w", err)
	}
	select {
	case <-n.exited:
		return nil
	case <-time.After(stopTimeout):
		_ = n.cmd.Process.Kill()
		<-n.exited
		return fmt.Errorf("Kafka did not end within %s of %s and was killed; its log ends:\n%s", stopTimeout, sig, tail(b.logFile()))
	}
}

func (b *Broker) start() error {
	log, err := os.OpenFile(b.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := java(b.jars, "kafka.Kafka", filepath.Join(b.dir, "server.properties"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, log, log
	n, err := launch(cmd)
	if err != nil {
		return err
	}
	b.node = n
	if err := b.ready(n); err != nil {
		_ = b.kill()
		return fmt.Errorf("starting Kafka: %w; its log ends:\n%s", err, tail(b.logFile()))
	}
	return nil
}

// ready waits until the broker has registered with its controller.
func (b *Broker) ready(n *node) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := ping(ctx, b.addr)
		if err == nil {
			return nil
		}
		select {
		case <-n.exited:
			return errors.New("it ended")
		case <-ctx.Done():
			return fmt.Errorf("no answer within %s: %w", startTimeout, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func ping(ctx context.Context, addr string) error {
	c, err := kafka.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	bs, err := c.Brokers()
	if err == nil && len(bs) == 0 {
		err = errors.New("it knows no broker yet")
	}
	return err
}

func (b *Broker) logFile() string { return filepath.Join(b.dir, "kafka.log") }

// tail returns the last 4 KiB of a file, for error texts.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-4096):])
}

// java runs a class of Kafka's with a small heap and a quick start.
func java(jars string, args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{
		"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", filepath.Join(jars, "*"),
	}, args...)...)
}
