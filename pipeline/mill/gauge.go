package mill

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// gauge reads what a process holds, from outside.
type gauge struct {
	status *os.File
	limit  int64
	buf    [4096]byte
}

const (
	// gaugeEvery is how often a child at work is looked at: often enough that it can take
	// little more than its limit before it is seen, and seldom enough to cost nothing.
	gaugeEvery = 100 * time.Millisecond
	// maxThreads is far over what a decoder and Go's runtime start.
	maxThreads = 128
)

func openGauge(pid int, limit int64) (*gauge, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, fmt.Errorf("a mill's memory can not be watched: %w. Mount /proc, or set mill.confinement: %s", err, Off)
	}
	return &gauge{status: f, limit: limit}, nil
}

func (g *gauge) close() {
	if g != nil {
		g.status.Close()
	}
}

// look gives a fault when the process holds too much. It gives none when the process has
// ended: that is seen elsewhere.
func (g *gauge) look() *codecs.Error {
	n, _ := g.status.ReadAt(g.buf[:], 0)
	bytes, threads := holds(g.buf[:n])
	switch {
	case bytes > g.limit:
		return fault(pipeline.CodeOOM, "the mill held %d bytes of memory; mill.max_memory allows %d", bytes, g.limit)
	case threads > maxThreads:
		return fault(pipeline.CodeCrash, "the mill started %d threads; a decoder needs a few", threads)
	}
	return nil
}

// holds reads /proc/PID/status: the memory that is the process's own, in RAM or swap, in
// bytes, and its threads. See proc_pid_status(5).
func holds(status []byte) (memory, threads int64) {
	for line := range bytes.Lines(status) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		f := bytes.Fields(rest)
		if len(f) == 0 {
			continue
		}
		n, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			continue
		}
		switch string(name) {
		case "RssAnon", "RssShmem", "VmSwap":
			memory += n << 10
		case "Threads":
			threads = n
		}
	}
	return memory, threads
}

// watch kills the child when it holds too much, and leaves why in c.over. The returned
// func ends the watch; after it c.over does not change.
func (c *child) watch() (stop func()) {
	if c.gauge == nil {
		return func() {}
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		t := time.NewTicker(gaugeEvery)
		defer t.Stop()
		for {
			select {
			case <-quit:
				return
			case <-t.C:
				if e := c.gauge.look(); e != nil {
					c.over.Store(e)
					c.cmd.Process.Kill()
					return
				}
			}
		}
	}()
	return func() { close(quit); <-gone }
}
