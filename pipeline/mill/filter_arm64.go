package mill

import "golang.org/x/sys/unix"

// machine is how the kernel names the instruction set in a filter.
const machine = unix.AUDIT_ARCH_AARCH64

// The calls that only this machine has.
var (
	allowedHere  []uintptr
	hiddenHere   = []uintptr{unix.SYS_FSTATAT}
	deadlyHere   []uintptr
	deadlyIfHere []rule
)
