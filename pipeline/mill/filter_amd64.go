package mill

import "golang.org/x/sys/unix"

// machine is how the kernel names the instruction set in a filter.
const machine = unix.AUDIT_ARCH_X86_64

// The calls that only this machine has: most are the elders of a call that takes a folder.
var (
	allowedHere = []uintptr{unix.SYS_TIME, unix.SYS_EPOLL_WAIT, unix.SYS_POLL}
	hiddenHere  = []uintptr{unix.SYS_OPEN, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_ACCESS, unix.SYS_READLINK, unix.SYS_NEWFSTATAT}
	deadlyHere  = []uintptr{
		unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_CREAT, unix.SYS_MKNOD, unix.SYS_MKDIR, unix.SYS_RMDIR, unix.SYS_UNLINK, unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_LINK,
		unix.SYS_SYMLINK, unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_INOTIFY_INIT, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT,
	}
	deadlyIfHere = []rule{{unix.SYS_OPEN, []test{{1, hasAny, forWriting}}}}
)
