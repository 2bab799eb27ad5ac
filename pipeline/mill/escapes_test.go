package mill

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// escape is one thing that a decoder which has been taken over may try. It returns nil
// if it got what it wanted. All are harmless to the machine when they succeed: where a
// call could do damage, its arguments are such that the kernel refuses them after it has
// decided that the caller may.
type escape struct {
	name string
	try  func(g target) error
}

// call is a system call with the errors that only one who gets through is given.
func call(nr uintptr, through []syscall.Errno, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno == 0 || slices.Contains(through, errno) {
		return nil
	}
	return errno
}

func raw(nr uintptr, through []syscall.Errno, args ...uintptr) func(target) error {
	return func(target) error { return call(nr, through, args...) }
}

// onParent makes a call whose first argument is the parent's process id.
func onParent(nr uintptr, through []syscall.Errno, args ...uintptr) func(target) error {
	return func(g target) error { return call(nr, through, append([]uintptr{uintptr(g.pid)}, args...)...) }
}

func opening(flags int, name func(target) string) func(target) error {
	return func(g target) error {
		fd, err := unix.Open(name(g), flags|unix.O_CLOEXEC, 0o600)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

func at(p string) func(target) string { return func(target) string { return p } }

func inDir(name string) func(target) string {
	return func(g target) string { return filepath.Join(g.dir, name) }
}

func ofParent(name string) func(target) string {
	return func(g target) string { return fmt.Sprintf("/proc/%d/%s", g.pid, name) }
}

// socket makes one and then does something with it.
func socket(domain, kind, proto int, then func(fd int, g target) error) func(target) error {
	return func(g target) error {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, proto)
		if err != nil || then == nil {
			return err
		}
		defer unix.Close(fd)
		return then(fd, g)
	}
}

// dial connects by Go's own means, and says something.
func dial(network string, to func(target) string) func(target) error {
	return func(g target) error {
		c, err := net.Dial(network, to(g))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	}
}

var (
	bad     = []syscall.Errno{unix.EINVAL, unix.EFAULT, unix.EBADF, unix.ENOENT}[:4:4]
	nothing = []syscall.Errno{}
)

const (
	badFD   = ^uintptr(0)
	nowhere = 1 // an address that nothing is at, so that a path there is never found
)

// pageOf is a page of plain memory.
func pageOf(prot, flags, fd int) (uintptr, error) {
	p, _, errno := syscall.Syscall6(unix.SYS_MMAP, 0, 4096, uintptr(prot), uintptr(flags), uintptr(fd), 0)
	if errno != 0 {
		return 0, errno
	}
	return p, nil
}

// forked makes a process and lets it end at once.
func forked(nr uintptr, args ...uintptr) error {
	var a [3]uintptr
	copy(a[:], args)
	pid, _, errno := syscall.RawSyscall(nr, a[0], a[1], a[2])
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		for {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	var ws syscall.WaitStatus
	syscall.Wait4(int(pid), &ws, 0, nil)
	return nil
}

var escapes = slices.Concat(fileEscapes, mediumEscapes, netEscapes, processEscapes, memoryEscapes, kernelEscapes)

var fileEscapes = []escape{
	{"read /etc/passwd", opening(unix.O_RDONLY, at("/etc/passwd"))},
	{"list the root", opening(unix.O_RDONLY|unix.O_DIRECTORY, at("/"))},
	{"open by openat2", func(g target) error {
		fd, err := unix.Openat2(unix.AT_FDCWD, "/etc/passwd", &unix.OpenHow{Flags: unix.O_RDONLY})
		if err == nil {
			unix.Close(fd)
		}
		return err
	}},
	{"write a file", opening(unix.O_WRONLY, inDir("canary"))},
	{"truncate by opening", opening(unix.O_RDONLY|unix.O_TRUNC, inDir("canary"))},
	{"create a file", opening(unix.O_CREAT|unix.O_RDWR, inDir("new"))},
	{"create a nameless file", opening(unix.O_TMPFILE|unix.O_RDWR, inDir(""))},
	{"open a device", opening(unix.O_RDWR, at("/dev/null"))},
	{"unlink", func(g target) error { return unix.Unlink(g.file()) }},
	{"rename", func(g target) error { return unix.Rename(g.file(), g.file()+"2") }},
	{"link", func(g target) error { return unix.Link(g.file(), g.file()+"2") }},
	{"symlink", func(g target) error { return unix.Symlink("/etc", filepath.Join(g.dir, "link")) }},
	{"mkdir", func(g target) error { return unix.Mkdir(filepath.Join(g.dir, "more"), 0o700) }},
	{"rmdir", func(g target) error { return unix.Rmdir(filepath.Join(g.dir, "empty")) }},
	{"mknod", func(g target) error { return unix.Mknod(filepath.Join(g.dir, "fifo"), unix.S_IFIFO|0o600, 0) }},
	{"chmod", func(g target) error { return unix.Chmod(g.file(), 0o777) }},
	{"truncate", func(g target) error { return unix.Truncate(g.file(), 0) }},
	{"stat", func(g target) error { var st unix.Stat_t; return unix.Stat(g.file(), &st) }},
	{"statx", func(g target) error {
		var st unix.Statx_t
		return unix.Statx(unix.AT_FDCWD, g.file(), 0, unix.STATX_SIZE, &st)
	}},
	{"readlink", func(g target) error { _, err := unix.Readlink("/proc/self/exe", make([]byte, 100)); return err }},
	{"access", func(g target) error { return unix.Access("/etc/passwd", unix.R_OK) }},
	{"chroot", func(g target) error { return unix.Chroot("/") }},
	{"chdir", func(g target) error { return unix.Chdir(g.dir) }},
	{"inotify", raw(unix.SYS_INOTIFY_INIT1, nothing, 0)},
	{"file handle", raw(unix.SYS_OPEN_BY_HANDLE_AT, bad, badFD, 0, 0)},
}

// mediumEscapes abuse what a child has been given: one medium, and its parent's socket.
var mediumEscapes = []escape{
	{"write the medium", func(g target) error { _, err := unix.Pwrite(g.medium, []byte("x"), 0); return err }},
	{"cut the medium", func(g target) error { return unix.Ftruncate(g.medium, 0) }},
	{"open the medium for writing", opening(unix.O_RDWR, func(g target) string { return fmt.Sprintf("/proc/self/fd/%d", g.medium) })},
	{"change the medium's mode", func(g target) error { return unix.Fchmod(g.medium, 0o777) }},
	{"map the medium, shared", func(g target) error { _, err := pageOf(unix.PROT_READ, unix.MAP_SHARED, g.medium); return err }},
	{"fallocate", func(g target) error {
		return call(unix.SYS_FALLOCATE, nothing, uintptr(g.medium), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1)
	}},
	{"send the parent a descriptor", func(g target) error {
		return unix.Sendmsg(g.socket, nil, unix.UnixRights(g.medium), nil, unix.MSG_DONTWAIT)
	}},
	{"have the parent signalled", func(g target) error { _, err := unix.FcntlInt(uintptr(g.socket), unix.F_SETOWN, g.pid); return err }},
	{"choose that signal", func(g target) error {
		_, err := unix.FcntlInt(uintptr(g.socket), unix.F_SETSIG, int(unix.SIGURG))
		return err
	}},
	{"lock the medium", func(g target) error {
		l := unix.Flock_t{Type: unix.F_RDLCK}
		return unix.FcntlFlock(uintptr(g.medium), unix.F_SETLK, &l)
	}},
	{"set an option of the socket", func(g target) error { return unix.SetsockoptInt(g.socket, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20) }},
	{"type on a terminal", raw(unix.SYS_IOCTL, []syscall.Errno{unix.ENOTTY}, 0, unix.TIOCSTI, 0)},
	{"flood of descriptors", func(g target) error {
		for range 1000 {
			if _, err := unix.FcntlInt(uintptr(g.medium), unix.F_DUPFD_CLOEXEC, 0); err != nil {
				return err
			}
		}
		return nil
	}},
	{"another's descriptors", func(g target) error {
		for fd := 3; fd < 2000; fd++ {
			var st unix.Stat_t
			if fd != g.medium && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
				return nil
			}
		}
		return errors.New("there are none")
	}},
}

var netEscapes = []escape{
	{"connect by TCP", dial("tcp", func(g target) string { return g.tcp })},
	{"send by UDP", dial("udp", func(g target) string { return g.udp })},
	{"connect to a path", dial("unix", func(g target) string { return g.unix })},
	{"listen", socket(unix.AF_INET, unix.SOCK_STREAM, 0, func(fd int, g target) error {
		return errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 1))
	})},
	{"abstract socket", socket(unix.AF_UNIX, unix.SOCK_STREAM, 0, func(fd int, g target) error {
		return unix.Bind(fd, &unix.SockaddrUnix{Name: "@mill-escape"})
	})},
	{"raw socket", socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, nil)},
	{"packet socket", socket(unix.AF_PACKET, unix.SOCK_RAW, 0, nil)},
	{"netlink", socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, nil)},
	{"IPv6 socket", socket(unix.AF_INET6, unix.SOCK_DGRAM, 0, nil)},
	{"MPTCP socket", socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, nil)},
	{"socket pair", func(g target) error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err }},
	{"connect the parent's socket", raw(unix.SYS_CONNECT, bad, badFD, 0, 0)},
}

var processEscapes = []escape{
	{"run a program", func(g target) error { return exec.Command("/bin/true").Run() }},
	{"execve", raw(unix.SYS_EXECVE, bad, nowhere, 0, 0)},
	{"execveat of memory", func(g target) error {
		fd, err := unix.MemfdCreate("x", 0)
		if err != nil {
			return err
		}
		return call(unix.SYS_EXECVEAT, append(bad, unix.ENOEXEC, unix.EACCES), uintptr(fd), nowhere, 0, 0, unix.AT_EMPTY_PATH)
	}},
	{"fork", func(g target) error { return forked(unix.SYS_CLONE, uintptr(unix.SIGCHLD)) }},
	{"clone3", raw(unix.SYS_CLONE3, bad, 0, 0)},
	{"new namespaces by clone", func(g target) error { return forked(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD)) }},
	{"signal the parent", onParent(unix.SYS_KILL, nothing, 0)},
	{"signal the parent's thread", func(g target) error { return unix.Tgkill(g.pid, g.pid, 0) }},
	{"signal everybody", raw(unix.SYS_KILL, nothing, ^uintptr(0), 0)},
	{"queue a signal", onParent(unix.SYS_RT_SIGQUEUEINFO, bad, 0, 0)},
	{"pidfd of the parent", onParent(unix.SYS_PIDFD_OPEN, nothing, 0)},
	{"take a descriptor of another", raw(unix.SYS_PIDFD_GETFD, bad, badFD, 0, 0)},
	{"trace the parent", func(g target) error { return call(unix.SYS_PTRACE, nothing, unix.PTRACE_SEIZE, uintptr(g.pid), 0, 0) }},
	{"be traced", raw(unix.SYS_PTRACE, bad, 0xffff, 0)},
	{"the parent's environment", opening(unix.O_RDONLY, ofParent("environ"))},
	{"the parent's memory, by file", opening(unix.O_RDWR, ofParent("mem"))},
	{"the parent's memory, by call", func(g target) error {
		b := make([]byte, 1)
		_, err := unix.ProcessVMReadv(g.pid, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: 1, Len: 1}}, 0)
		if errors.Is(err, unix.EFAULT) {
			return nil
		}
		return err
	}},
	{"write the parent's memory", func(g target) error {
		b := make([]byte, 1)
		_, err := unix.ProcessVMWritev(g.pid, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: 1, Len: 1}}, 0)
		if errors.Is(err, unix.EFAULT) {
			return nil
		}
		return err
	}},
	{"the parent's limits", func(g target) error { var l unix.Rlimit; return unix.Prlimit(g.pid, unix.RLIMIT_NOFILE, nil, &l) }},
	{"the parent's priority", func(g target) error { return unix.Setpriority(unix.PRIO_PROCESS, g.pid, 0) }},
	{"the parent's processors", func(g target) error {
		var set unix.CPUSet
		return errors.Join(unix.SchedGetaffinity(g.pid, &set), unix.SchedSetaffinity(g.pid, &set))
	}},
	{"be another user", raw(unix.SYS_SETRESUID, nothing, badFD, badFD, badFD)},
	{"be another group", raw(unix.SYS_SETRESGID, nothing, badFD, badFD, badFD)},
	{"leave the process group", raw(unix.SYS_SETSID, nothing)},
}

var memoryEscapes = []escape{
	{"memory to run", func(g target) error {
		_, err := pageOf(unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, -1)
		return err
	}},
	{"make memory runnable", func(g target) error {
		p, err := pageOf(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, -1)
		if err != nil {
			return err
		}
		return call(unix.SYS_MPROTECT, nothing, p, 4096, unix.PROT_READ|unix.PROT_EXEC)
	}},
	{"the same with a key", func(g target) error {
		p, err := pageOf(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, -1)
		if err != nil {
			return err
		}
		return call(unix.SYS_PKEY_MPROTECT, nothing, p, 4096, unix.PROT_READ|unix.PROT_EXEC, badFD)
	}},
	{"all reading is running", raw(unix.SYS_PERSONALITY, nothing, 0x0400000)},
	{"rewrite itself", opening(unix.O_RDWR, at("/proc/self/mem"))},
	{"shared memory", raw(unix.SYS_SHMGET, nothing, unix.IPC_PRIVATE, 4096, 0o600)},
	{"lock memory", raw(unix.SYS_MLOCKALL, nothing, unix.MCL_FUTURE)},
	{"memory file", func(g target) error { _, err := unix.MemfdCreate("x", 0); return err }},
	{"message queue", raw(unix.SYS_MSGGET, nothing, unix.IPC_PRIVATE, 0o600)},
}

var kernelEscapes = []escape{
	{"mount", raw(unix.SYS_MOUNT, bad, nowhere, nowhere, nowhere, 0, 0)},
	{"mount, the new way", raw(unix.SYS_FSOPEN, append(bad, unix.ENODEV), nowhere, 0)},
	{"umount", raw(unix.SYS_UMOUNT2, bad, nowhere, 0)},
	{"pivot_root", raw(unix.SYS_PIVOT_ROOT, bad, nowhere, nowhere)},
	{"new namespace", raw(unix.SYS_UNSHARE, nothing, unix.CLONE_NEWNET)},
	{"new user namespace", raw(unix.SYS_UNSHARE, bad, unix.CLONE_NEWUSER)},
	{"another's namespace", raw(unix.SYS_SETNS, bad, badFD, 0)},
	{"io_uring", raw(unix.SYS_IO_URING_SETUP, bad, 1, 0)},
	{"bpf", raw(unix.SYS_BPF, bad, 0xffff, 0, 0)},
	{"perf", raw(unix.SYS_PERF_EVENT_OPEN, append(bad, unix.E2BIG), 0, 0, 0, 0)},
	{"userfaultfd", raw(unix.SYS_USERFAULTFD, nothing, 1)},
	{"keyring", raw(unix.SYS_KEYCTL, nothing, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(0), 0)},
	{"add a key", raw(unix.SYS_ADD_KEY, bad, 0, 0, 0, 0, 0)},
	{"load a module", raw(unix.SYS_FINIT_MODULE, append(bad, unix.ENOEXEC), badFD, 0, 0xffff)},
	{"unload a module", raw(unix.SYS_DELETE_MODULE, bad, nowhere, unix.O_NONBLOCK)},
	{"kexec", raw(unix.SYS_KEXEC_LOAD, bad, 0, 0, 0, 0xffff)},
	{"reboot", raw(unix.SYS_REBOOT, bad, 0, 0, 0, 0)},
	{"swap", raw(unix.SYS_SWAPON, bad, nowhere, 0)},
	{"set the clock", raw(unix.SYS_CLOCK_SETTIME, bad, unix.CLOCK_MONOTONIC, 0)},
	{"set the host's name", raw(unix.SYS_SETHOSTNAME, bad, 0, 1<<20)},
	{"accounting", raw(unix.SYS_ACCT, bad, nowhere)},
	{"kernel log", raw(unix.SYS_SYSLOG, nothing, 10, 0, 0)},
	{"fanotify", raw(unix.SYS_FANOTIFY_INIT, nothing, 0, 0)},
	{"ask for another filter", raw(unix.SYS_SECCOMP, bad, unix.SECCOMP_GET_ACTION_AVAIL, 0, nowhere)},
	{"raise a limit", func(g target) error {
		var l unix.Rlimit
		return errors.Join(unix.Getrlimit(unix.RLIMIT_NOFILE, &l), unix.Setrlimit(unix.RLIMIT_NOFILE, &l))
	}},
	{"be dumpable", raw(unix.SYS_PRCTL, nothing, unix.PR_SET_DUMPABLE, 1, 0, 0, 0)},
	{"outlive the parent", raw(unix.SYS_PRCTL, nothing, unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)},
}

// parentSocket finds the connection among the descriptors.
func parentSocket() int {
	for fd := 3; fd < 100; fd++ {
		if d, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil && d == unix.AF_UNIX {
			return fd
		}
	}
	return -1
}

// keepOverExec is what C does by leaving out a flag.
func keepOverExec(t *testing.T, f *os.File) {
	t.Helper()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
}
