package mill

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filterCalls leaves the child the system calls that Go's runtime and the C library need
// to compute and to talk over descriptors that are open. It holds on every thread. Three
// things can happen to the others:
//
//   - calls that only an attack makes end the process;
//   - calls that a library may make in passing are refused, as if there were no right to;
//   - so is every call that is not named here, whatever a later kernel adds.
//
// That it holds is proved by a call.
func filterCalls() error {
	if machine == 0 {
		return fmt.Errorf("there is no filter for %s yet", runtime.GOARCH)
	}
	p := program(os.Getpid())
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(p)
	if errno != 0 {
		return errno
	}
	if thread != 0 {
		return fmt.Errorf("thread %d has a filter of its own", thread)
	}
	const query = 0xffffffff
	if _, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, query, 0, 0); errno != unix.EPERM {
		return fmt.Errorf("it was loaded, and yet a forbidden call gives %d", errno)
	}
	return nil
}

// What happens to a call.
const (
	allow  = unix.SECCOMP_RET_ALLOW
	kill   = unix.SECCOMP_RET_KILL_PROCESS
	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	noPath = unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// program is the filter for a process: the first rule that fits decides.
func program(pid int) filter {
	var f filter
	f.machine()
	f.ifArg(kill, deadlyIf)
	f.ifArg(allow, allowedIf(pid))
	f.calls(allow, allowed, allowedHere)
	f.calls(noPath, hidden, hiddenHere)
	// glibc falls back from clone3, whose flags a filter can not see, to clone.
	f.calls(absent, []uintptr{unix.SYS_CLONE3})
	f.calls(kill, deadly, deadlyHere)
	f.ret(refuse)
	return f
}

// forWriting are the flags of open that do more than read; the last is __O_TMPFILE.
const forWriting = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC | unix.O_APPEND | 0o20000000

// deadlyIf end the process when an argument says what they are for. Memory is never made
// executable, so code that a medium brought does not run; it is never shared, so nothing
// is written to a file by way of it; and a new task is a thread, not a process.
var deadlyIf = append([]rule{
	{unix.SYS_MMAP, []test{{2, hasAny, unix.PROT_EXEC}}},
	{unix.SYS_MMAP, []test{{3, hasAny, unix.MAP_SHARED}}},
	{unix.SYS_MPROTECT, []test{{2, hasAny, unix.PROT_EXEC}}},
	{unix.SYS_CLONE, []test{{0, hasNone, unix.CLONE_THREAD}}},
	{unix.SYS_OPENAT, []test{{2, hasAny, forWriting}}},
}, deadlyIfHere...)

// allowedIf are allowed with some arguments: signals to oneself (Go stops its threads by
// them), what a descriptor is (not who is signalled when it is ready, which reaches other
// processes), reading a limit.
func allowedIf(pid int) []rule {
	self := []test{{0, equals, uint32(pid)}}
	l := []rule{
		{unix.SYS_TGKILL, self}, {unix.SYS_KILL, self},
		{unix.SYS_PRLIMIT64, []test{{0, equals, 0}, {2, isNull, 0}}},
		{unix.SYS_FCNTL, []test{{1, equals, unix.F_SETFL}, {2, hasNone, unix.O_ASYNC}}},
	}
	for _, cmd := range []uint32{unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_DUPFD_CLOEXEC} {
		l = append(l, rule{unix.SYS_FCNTL, []test{{1, equals, cmd}}})
	}
	return l
}

// allowed are what computing, waiting and talking need.
var allowed = []uintptr{
	// memory
	unix.SYS_BRK, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_MINCORE,
	// threads
	unix.SYS_CLONE, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_FUTEX, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SET_TID_ADDRESS, unix.SYS_MEMBARRIER,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETCPU, unix.SYS_GETTID,
	// signals, to oneself
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGSUSPEND, unix.SYS_RT_SIGTIMEDWAIT, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
	// time
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	// descriptors that are open: media, the parent's socket, standard error, the runtime's own
	unix.SYS_READ, unix.SYS_READV, unix.SYS_PREAD64, unix.SYS_PREADV, unix.SYS_WRITE, unix.SYS_WRITEV, unix.SYS_LSEEK, unix.SYS_FSTAT, unix.SYS_CLOSE, unix.SYS_RECVMSG, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKOPT,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2, unix.SYS_EVENTFD2, unix.SYS_PPOLL,
	// what one is, and on what
	unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETRUSAGE, unix.SYS_GETRLIMIT, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETRANDOM,
}

// hidden are how libraries look for files that need not be there: glibc reads a switch
// of the kernel's when it gives memory back, FFmpeg a device for its random seeds. They
// find that they may not. Writing is deadly, above.
var hidden = []uintptr{unix.SYS_OPENAT, unix.SYS_STATX, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_READLINKAT, unix.SYS_GETCWD}

// deadly are what no decoder does. The rest of the kernel's calls are refused as well, by
// default; these end the process at once, before it can try another way.
var deadly = []uintptr{
	// programs and processes
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_KCMP, unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_TGKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	// sockets
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMMSG, unix.SYS_SETSOCKOPT,
	// files
	unix.SYS_OPENAT2, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_MKNODAT, unix.SYS_MKDIRAT, unix.SYS_UNLINKAT,
	unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2,
	unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_TRUNCATE, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET,
	unix.SYS_PWRITE64, unix.SYS_PWRITEV, unix.SYS_PWRITEV2, unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_VMSPLICE, unix.SYS_TEE, unix.SYS_COPY_FILE_RANGE, unix.SYS_INOTIFY_INIT1, unix.SYS_FANOTIFY_INIT,
	unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_CHDIR, unix.SYS_FCHDIR,
	// the machine
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_IO_SETUP, unix.SYS_IO_SUBMIT,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP, unix.SYS_PKEY_MPROTECT,
	// identity
	unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID, unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETGROUPS, unix.SYS_CAPSET, unix.SYS_SETSID, unix.SYS_SETPGID,
	// memory of others
	unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SHMCTL, unix.SYS_SHMDT, unix.SYS_MSGGET, unix.SYS_MSGSND, unix.SYS_MSGRCV, unix.SYS_SEMGET, unix.SYS_SEMOP, unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK,
}
