package hostile

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/services/settings"
)

// workerMemory is what the worker itself may hold, without its mills.
const workerMemory = 1 << 30

// worker is a millrace worker that runs, and what was seen of it.
type worker struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended

	watched chan struct{}     // closed when nobody watches any more
	peak    int64             // most bytes of the worker in RAM, as the kernel says
	mills   map[int]time.Time // its mills that live, since when they were seen
	born    int               // mills seen
	oldest  time.Duration     // longest life of a mill
	most    int               // mills at a time
}

// begin starts the process, and watches it until it ends. The kernel kills it with the
// thread that started it, so that thread is kept.
func (w *worker) begin() {
	w.t.Helper()
	w.done, w.watched, w.mills = make(chan struct{}), make(chan struct{}), map[int]time.Time{}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := w.cmd.Start()
		started <- err
		if err == nil {
			_ = w.cmd.Wait() // how it ended is in ProcessState
			close(w.done)
		}
	}()
	if err := <-started; err != nil {
		w.t.Fatal(err)
	}
	go w.watch()
	w.t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		<-w.done
		<-w.watched
	})
}

func (w *worker) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// watch looks at the worker's memory and at its mills.
func (w *worker) watch() {
	defer close(w.watched)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
		}
		if peak := peakOf(w.cmd.Process.Pid); peak > 0 {
			w.peak = peak
		}
		live := map[int]time.Time{}
		for _, pid := range childrenOf(w.cmd.Process.Pid) {
			since, seen := w.mills[pid]
			if !seen {
				since, w.born = time.Now(), w.born+1
			}
			live[pid], w.oldest = since, max(w.oldest, time.Since(since))
		}
		w.mills, w.most = live, max(w.most, len(live))
	}
}

// stop drains the worker, which must end well and soon.
func (w *worker) stop() {
	w.t.Helper()
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-w.done:
	case <-time.After(time.Minute):
		w.t.Fatalf("the worker does not drain; it said:\n%s", w.tail())
	}
	<-w.watched
	if !w.cmd.ProcessState.Success() {
		w.t.Errorf("the worker ended with %v; it said:\n%s", w.cmd.ProcessState, w.tail())
	}
}

// report prints what was seen, and fails the test where something went over its limit.
func (w *worker) report() {
	w.t.Helper()
	limits := settings.Default().Mill
	// The largest of the worker, of all the mills that it waited for, and of this process,
	// from which the worker was started: more than any mill held.
	all := w.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	w.t.Logf("1 worker, never started again; peak memory %d MiB of %d, of any mill at most %d MiB of %d; %d mills seen, %d at a time, none longer than %v",
		w.peak>>20, workerMemory>>20, all>>20, limits.Memory>>20, w.born, w.most, w.oldest.Round(time.Millisecond))
	switch {
	case w.peak == 0 || w.peak > workerMemory:
		w.t.Errorf("the worker held %d bytes; %d are enough", w.peak, workerMemory)
	case all > limits.Memory:
		w.t.Errorf("a mill may have held %d bytes; the limit is %d", all, limits.Memory)
	case w.born == 0 || w.oldest > limits.Age+wall:
		w.t.Errorf("of %d mills one lived for %v", w.born, w.oldest)
	}
}

// tail is the end of the worker's log.
func (w *worker) tail() string {
	b, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4096):])
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakOf is the most memory that a living process has had in RAM, in bytes; 0 if it can
// not be told.
func peakOf(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := highWater.FindSubmatch(b)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// childrenOf lists a process's living children.
func childrenOf(pid int) (live []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// The name, in brackets, may hold anything.
		var state string
		var parent int
		if _, err := fmt.Sscan(string(b[bytes.LastIndexByte(b, ')')+1:]), &state, &parent); err != nil || parent != pid || state == "Z" {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		live = append(live, child)
	}
	return live
}
