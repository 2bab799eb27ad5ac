package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// slot is a place for a worker: its gate, its wires, its scratch disk, and one process
// after the other.
type slot struct {
	name   string
	group  string // that its kills count for
	counts *counts
	gate   *gate
	store  *wire // between worker and gate; nil: none
	broker *wire // between worker and Kafka; nil: none
	disk   *disk
	log    string
	// endpoint and kafka are where its processes reach the store and the broker.
	endpoint, kafka string
	// command makes the next process.
	command func() *exec.Cmd

	mu      sync.Mutex
	wanted  bool // it is to run
	asleep  bool // it was stopped
	current *process
}

// process is the one that runs now, or ran last; nil before the first.
func (s *slot) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// running is the process if it runs and is not stopped.
func (s *slot) running() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.asleep || s.current.ended() {
		return nil
	}
	return s.current
}

func (s *slot) want(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = on
}

func (s *slot) isWanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted
}

// start starts a process. Its output goes to the slot's log.
func (s *slot) start() error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	if err := s.disk.clear(); err != nil {
		return err
	}
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = log, log
	p, err := launch(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	fmt.Fprintf(log, "--- process %d\n", p.cmd.Process.Pid)
	s.mu.Lock()
	s.current = p
	s.mu.Unlock()
	return nil
}

// kill ends a process of the slot as a crash would, and counts it.
func (s *slot) kill(p *process, at fmt.Stringer) {
	if p == nil || p.ended() {
		return
	}
	p.kill()
	s.counts.add(s.group, at.String())
}

// stall stops a process for a while, in which no other stall of this slot begins. during
// is called when it has been stopped (true), and before it is woken (false).
func (s *slot) stall(p *process, name string, pause time.Duration, during func(early bool)) {
	if !s.nod(p) {
		during(true)
		during(false)
		return
	}
	owned, began := s.gate.watch.of(s), time.Now()
	p.signal(syscall.SIGSTOP)
	s.counts.add(stalls, name)
	during(true)
	select {
	case <-time.After(pause):
	case <-p.done:
	}
	during(false)
	p.signal(syscall.SIGCONT)
	s.mu.Lock()
	s.asleep = false
	s.mu.Unlock()
	for _, stream := range owned {
		if _, taken := s.gate.watch.after(stream, s, began, false); taken {
			s.counts.add(stalls, crossed)
			break
		}
	}
}

// crossed counts stalls during which another worker took a stream.
const crossed = "crossed"

// nod marks the slot as asleep, if this process may be put to sleep.
func (s *slot) nod(p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == nil || p != s.current || p.ended() || s.asleep {
		return false
	}
	s.asleep = true
	return true
}

// leave drains a process, and sees that it ends. A second signal, soon after the first,
// makes it leave at once.
func (s *slot) leave(p *process, twice bool) {
	p.signal(syscall.SIGTERM)
	if twice {
		time.Sleep(200 * time.Millisecond)
		p.signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(drainBound):
		s.counts.add(exits, "did not drain")
		p.kill()
	}
}

// drainBound is more than a worker may take to drain and to leave its group.
const drainBound = 60 * time.Second

// disk is a slot's scratch folder, a small file system of its own where that is allowed.
type disk struct {
	dir     string
	mounted bool
}

// diskSize is that of a scratch disk.
const diskSize = 16 << 20

// newDisk makes a scratch folder. Only root may mount; without a mount it can not be
// filled.
func newDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("size=%d", diskSize))
	return &disk{dir: dir, mounted: err == nil}, nil
}

// fill leaves no byte free until the returned function is called.
func (d *disk) fill(rng *rand.Rand) (free func(), err error) {
	name := filepath.Join(d.dir, fmt.Sprintf("full-%d", rng.Uint32()))
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	_ = f.Close()
	return func() { _ = os.Remove(name) }, nil
}

// clear removes what a process that died has left, as a new container's disk would be
// empty.
func (d *disk) clear() error {
	entries, err := os.ReadDir(d.dir)
	for _, e := range entries {
		if ok, _ := filepath.Match("full-*", e.Name()); !ok {
			err = os.RemoveAll(filepath.Join(d.dir, e.Name()))
		}
	}
	return err
}

func (d *disk) close() {
	if d.mounted {
		_ = syscall.Unmount(d.dir, syscall.MNT_DETACH)
	}
}
