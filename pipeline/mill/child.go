package mill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// child is one running mill process, seen from the parent. Not for concurrent use.
type child struct {
	cmd    *exec.Cmd
	conn   *net.UnixConn
	stderr *tail
	report Report
	born   time.Time
	cpu    time.Duration // what it may use in its life; 0 where nothing is confined
	gauge  *gauge        // nil where nothing is watched
	over   atomic.Pointer[codecs.Error]
	jobs   int
	spoilt int // refused media that C has seen
	buf    []byte
	answer []byte
	sample pipeline.Sample
}

// do runs one job. After an error the child is of no more use and must be killed.
//
// Time is counted while the parent waits for the child, not while emit works or a medium
// is read: a slow disk or server is not the medium's fault. emit's own error is returned
// wrapped in emitError, that of reading a medium in sourceError.
func (c *child) do(ctx context.Context, a *Assignment, lim Limits, emit func(*pipeline.Sample) error) (pipeline.Verdict, error) {
	defer c.killWhenDone(ctx)()
	stop := c.watch()
	v, err := c.exchange(ctx, a, lim, emit)
	stop()
	if e := c.over.Load(); e != nil && !errors.As(err, new(emitError)) && !errors.As(err, new(sourceError)) && ctx.Err() == nil {
		return pipeline.Verdict{}, e // it may have ended well all the same, but it is dead now
	}
	return v, err
}

// exchange sends a job and takes what comes back.
func (c *child) exchange(ctx context.Context, a *Assignment, lim Limits, emit func(*pipeline.Sample) error) (pipeline.Verdict, error) {
	c.jobs++
	var msg bytes.Buffer
	enc := json.NewEncoder(&msg)
	enc.SetEscapeHTML(false) // what travels untouched stays as it was
	if err := enc.Encode(assigned{a, a.sizes()}); err != nil {
		return pipeline.Verdict{}, err
	}
	c.conn.SetDeadline(time.Now().Add(lim.Stall))
	files := slices.DeleteFunc(slices.Clone(a.Files), func(f *os.File) bool { return f == nil })
	if err := sendJob(c.conn, msg.Bytes(), files); err != nil {
		return pipeline.Verdict{}, c.died(ctx, err)
	}
	b, out, samples := budget{lim: lim}, int64(0), int64(0)
	for {
		start, wait := time.Now(), min(lim.Stall, b.wall()-b.used)
		c.conn.SetReadDeadline(start.Add(wait))
		k, p, err := readFrame(c.conn, &c.buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if wait < lim.Stall {
				return pipeline.Verdict{}, b.late()
			}
			return pipeline.Verdict{}, fault(pipeline.CodeStall, "nothing was read and no frame came out for %v", lim.Stall)
		}
		if err != nil {
			return pipeline.Verdict{}, c.died(ctx, err)
		}
		b.used += time.Since(start)
		switch k {
		case kindAlive:
			at, err := parsePace(p)
			if err != nil {
				return pipeline.Verdict{}, c.died(ctx, err)
			}
			if e := b.note(at); e != nil {
				return pipeline.Verdict{}, e
			}
		case kindSample:
			if out += int64(len(p)); out > lim.Output {
				return pipeline.Verdict{}, fault(pipeline.CodeLimitOutput, "the job gave more than %d bytes of samples", lim.Output)
			}
			if err := pipeline.ParseSample(p, &c.sample); err != nil {
				return pipeline.Verdict{}, fault(pipeline.CodeCrash, "%v", err)
			}
			if err := emit(&c.sample); err != nil {
				return pipeline.Verdict{}, emitError{err}
			}
			samples++
		case kindRead:
			if err := c.reply(ctx, a, p, &b); err != nil {
				return pipeline.Verdict{}, err
			}
		case kindVerdict:
			var v ending
			if err := json.Unmarshal(p, &v); err != nil {
				return pipeline.Verdict{}, fault(pipeline.CodeCrash, "the mill's verdict can not be read: %v", err)
			}
			if v.Whole && len(a.Ranges) > 0 {
				return pipeline.Verdict{}, ErrWhole
			}
			if v.Fault != nil && v.Exposed {
				c.spoilt++
			}
			return v.Verdict, checkVerdict(v.Verdict, samples)
		default:
			return pipeline.Verdict{}, fault(pipeline.CodeCrash, "the mill sent a message of kind %q", k)
		}
	}
}

// reply answers a child's question. The child has as long to take the answer as it has for
// anything else.
func (c *child) reply(ctx context.Context, a *Assignment, p []byte, b *budget) error {
	q, err := parseRead(p, a)
	if err != nil {
		return c.died(ctx, err)
	}
	answer, err := c.fetch(a, q)
	if err != nil {
		return err
	}
	start := time.Now()
	c.conn.SetWriteDeadline(start.Add(b.lim.Stall))
	if err := writeFrame(c.conn, kindBytes, answer); err != nil {
		return c.died(ctx, err)
	}
	b.used += time.Since(start)
	return nil
}

// checkVerdict refuses what no honest child says: it would stand in the ledger.
func checkVerdict(v pipeline.Verdict, samples int64) error {
	f := v.Fault
	switch {
	case f != nil && (f.Code == "" || len(f.Code)+len(f.Stage) > maxCode || strings.Trim(f.Code+f.Stage, "abcdefghijklmnopqrstuvwxyz0123456789.-") != ""):
		return fault(pipeline.CodeCrash, "the mill refused the job without a code")
	case f == nil && v.Samples != samples:
		return fault(pipeline.CodeCrash, "the mill says that it gave %d samples, but it gave %d", v.Samples, samples)
	case v.Tokens < 0 || v.Tokens > maxCount || v.Frames < 0 || v.Frames > maxCount || v.MediaSeconds < 0 || v.MediaSeconds > maxSeconds:
		return fault(pipeline.CodeCrash, "the mill counts %d tokens and %d frames in %g seconds, which can not be", v.Tokens, v.Frames, v.MediaSeconds)
	}
	return nil
}

// What a verdict may say: the lengths of a fault's code and stage together, and counts that
// add up over years of jobs without an overflow.
const (
	maxCode    = 100
	maxCount   = 1 << 40
	maxSeconds = 1 << 32
)

// killWhenDone kills the child when ctx ends: nothing else stops a decoder. The
// returned func ends the watch.
func (c *child) killWhenDone(ctx context.Context) func() {
	stop := context.AfterFunc(ctx, func() { c.cmd.Process.Kill() })
	return func() { stop() }
}

// died says how the child ended, after reading from it or writing to it failed.
func (c *child) died(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.kill()
	ws, _ := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	signal := syscall.Signal(0)
	if ws.Signaled() {
		signal = ws.Signal()
	}
	switch ps := c.cmd.ProcessState; {
	case errors.Is(err, errFrame), errors.Is(err, os.ErrDeadlineExceeded): // it was kill that killed it
		return fault(pipeline.CodeCrash, "the mill did not keep to its protocol: %v", err)
	case signal == syscall.SIGSYS:
		return fault(pipeline.CodeCrash, "the mill was stopped at a system call that no decoder needs: the medium may be an attack on the decoder")
	case signal == syscall.SIGKILL && c.cpu > 0 && ps.UserTime()+ps.SystemTime() >= c.cpu:
		return fault(pipeline.CodeTimeout, "the mill used more than %v of processor time", c.cpu)
	case signal == syscall.SIGKILL, outOfMemory(c.stderr.String()):
		return fault(pipeline.CodeOOM, "the mill was killed from outside, as the kernel does when memory runs out, or was given no more (%s)", ps)
	case ps.Exited() && ps.ExitCode() == 0:
		return fault(pipeline.CodeCrash, "the mill left in the middle of the job: %v", err)
	}
	return fault(pipeline.CodeCrash, "the mill died: %s: %s", c.cmd.ProcessState, c.stderr)
}

// outOfMemory knows the last words of a runtime when the kernel gives it no more.
func outOfMemory(said string) bool {
	for _, words := range []string{"out of memory", "cannot allocate memory", "failed to allocate"} { // the last is a sanitizer's
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

// kill ends the process and waits for it. It may be called twice.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		// A child that is already dying is given a moment, so that its own end is seen
		// and not our signal.
		c.conn.Close()
		t := time.AfterFunc(dyingWithin, func() { syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) })
		c.cmd.Wait()
		t.Stop()
		c.gauge.close()
	}
}

const dyingWithin = 200 * time.Millisecond

func fault(code codecs.Code, format string, args ...any) *codecs.Error {
	return codecs.Errorf(code, codecs.StageDecode, format, args...)
}

// emitError is an error of the parent's own, not of the medium.
type emitError struct{ error }

func (e emitError) Unwrap() error { return e.error }

// tail keeps the last bytes of a child's standard error.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// tailBytes holds a Go runtime's last words with the stacks that follow them.
const tailBytes = 32 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String is the tail as one line, from where a runtime says why it ends, cut to what an
// error text can hold.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(t.b), "?")), " ")
	for _, last := range []string{"fatal error: ", "panic: "} {
		if i := strings.Index(s, last); i >= 0 {
			s = s[i:]
			break
		}
	}
	if len(s) > 400 {
		s = s[:400] + "..."
	}
	if s == "" {
		return "it said nothing"
	}
	return s
}
