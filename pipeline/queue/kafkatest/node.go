package kafkatest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// node is a process that dies with this one, however this one ends.
type node struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// launch starts cmd. The kernel kills the process when the thread that started it
// ends, so that thread is kept for as long as the process lives: Go would otherwise
// be free to end it.
func launch(cmd *exec.Cmd) (*node, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n := &node{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(n.exited)
		}
	}()
	return n, <-started
}
