package main

import (
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
)

// process is a program that runs, or has run. It dies with this one.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	// told says that its end is of our doing.
	told atomic.Bool
}

// launch starts cmd. The kernel kills the process when the thread that started it ends,
// so that thread is kept for as long as the process lives.
func launch(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
			close(p.done)
		}
	}()
	return p, <-started
}

// signal sends a signal; a process that has ended does not mind.
func (p *process) signal(s os.Signal) {
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		p.told.Store(true)
	}
	_ = p.cmd.Process.Signal(s)
}

// kill ends it as a crash would, and waits until it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
