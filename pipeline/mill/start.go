package mill

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// starter starts children from one thread, which lives as long as it: the kernel takes
// the thread that starts a child for its parent, and would kill the child with it.
type starter struct {
	calls chan func()
	level int // the first of namespaces that has worked; touched on the thread only
}

func newStarter() *starter {
	s := &starter{calls: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range s.calls {
			f()
		}
	}()
	return s
}

// close ends the thread. The children must have ended before.
func (s *starter) close() { close(s.calls) }

// namespaces are what a child may have for itself, the best first. In a user namespace
// root is nobody. There is none of processes: the first process of one does not get the
// signals by which a crash is told from an end.
var namespaces = []struct {
	name  string
	flags uintptr
}{
	{"user net ipc", unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC},
	{"net ipc", unix.CLONE_NEWNET | unix.CLONE_NEWIPC}, // root may, also where nobody else may have the first
	{"", 0},
}

// start runs cfg.Argv with one end of a socket as descriptor 3, and waits until it says
// that it is confined and ready. It gets no input and the root as its folder; its
// environment is cfg.Env and how Go's runtime should behave. It dies with this process.
func (s *starter) start(cfg Config) (*child, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c := &child{conn: ours, stderr: &tail{}, born: time.Now()}
	done := make(chan error)
	s.calls <- func() { done <- s.launch(c, cfg, theirs) }
	if err := <-done; err != nil {
		ours.Close()
		return nil, fmt.Errorf("starting a mill: %w", err)
	}
	err = c.agree(cfg)
	if err == nil && cfg.Confinement != Off {
		c.gauge, err = openGauge(c.cmd.Process.Pid, cfg.Memory)
	}
	if err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// launch starts the process in the best namespaces that it can have.
func (s *starter) launch(c *child, cfg Config, socket *os.File) error {
	if cfg.Confinement == Off {
		c.cmd = command(cfg, c.stderr, socket, 0)
		return c.cmd.Start()
	}
	for {
		ns := namespaces[s.level]
		c.cmd = command(cfg, c.stderr, socket, ns.flags)
		err := c.cmd.Start()
		if err == nil || s.level == len(namespaces)-1 {
			c.report.Namespaces = ns.name
			return err
		}
		s.level++ // whatever it was: without namespaces the error is a plain one
	}
}

func command(cfg Config, stderr *tail, socket *os.File, ns uintptr) *exec.Cmd {
	cmd := exec.Command(cfg.Argv[0], cfg.Argv[1:]...)
	// The runtime shall not watch the machine for changes: it would hold files of
	// /sys/fs/cgroup open, which are nobody's business in there.
	cmd.Env = append([]string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GOMAXPROCS=" + strconv.Itoa(runtime.GOMAXPROCS(0))}, cfg.Env...)
	cmd.Dir = "/"
	cmd.Stderr = stderr
	cmd.ExtraFiles = []*os.File{socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: ns}
	if ns&unix.CLONE_NEWUSER != 0 {
		const nobody = 65534
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getegid(), Size: 1}}
	}
	cmd.WaitDelay = time.Second // whoever else has its standard error may keep it
	return cmd
}

const helloWithin = 30 * time.Second

// agree sends the terms and hears how far the child could keep them.
func (c *child) agree(cfg Config) error {
	// Twice the time of its life: a decoder and a collector. It is there for a child that
	// nobody watches any more.
	c.cpu = 2 * (cfg.Age + cfg.Wall)
	t, err := json.Marshal(terms{Confinement: cfg.Confinement, Memory: cfg.Memory, CPU: int64(c.cpu / time.Second)})
	if err != nil {
		return err
	}
	c.conn.SetDeadline(time.Now().Add(helloWithin))
	if err = writeFrame(c.conn, kindTerms, t); err == nil {
		var k kind
		var p []byte
		if k, p, err = readFrame(c.conn, &c.buf); err == nil && k != kindHello {
			err = fmt.Errorf("%w: not a hello", errFrame)
		}
		if err == nil {
			ns := c.report.Namespaces
			err = json.Unmarshal(p, &c.report)
			c.report.Namespaces = ns
		}
	}
	if err != nil {
		c.kill()
		return fmt.Errorf("a mill did not come up: %v (%v); it said: %s", err, c.cmd.ProcessState, c.stderr)
	}
	return cfg.Confinement.accept(c.report)
}

func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("a socket for a mill: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "mill")
	f := os.NewFile(uintptr(fds[0]), "mill")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("a socket for a mill: %w", err)
	}
	return conn.(*net.UnixConn), theirs, nil
}
