package mill

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Confinement says what is done where a child can not be confined in full.
type Confinement string

const (
	// Strict refuses to decode unless every layer holds. The default.
	Strict Confinement = "strict"
	// BestEffort takes what the kernel gives, but needs seccomp or landlock at least:
	// without either there is nothing between a decoder and the machine.
	BestEffort Confinement = "best-effort"
	// Off confines nothing: for debuggers and profilers.
	Off Confinement = "off"
)

// terms are what a parent asks of its new child: the first message on the socket.
type terms struct {
	Confinement Confinement `json:"confinement"`
	Memory      int64       `json:"memory"` // bytes
	CPU         int64       `json:"cpu"`    // seconds in the child's whole life
}

// Report says how a child is confined.
type Report struct {
	// Landlock is the kernel's version of it; 0 where it does not hold.
	Landlock int `json:"landlock"`
	// Seccomp tells whether the filter of system calls holds, on every thread.
	Seccomp bool `json:"seccomp"`
	// Namespaces are those that the child has for itself, as in "user net ipc". A bonus:
	// many containers do not allow them, and nothing depends on them.
	Namespaces string `json:"namespaces,omitempty"`
	// Missing says what does not hold, and why.
	Missing []string `json:"missing,omitempty"`
}

// String is the report in a line, for people.
func (r Report) String() string {
	l := []string{"no landlock", "no seccomp", "no namespaces"}
	if r.Landlock > 0 {
		l[0] = fmt.Sprintf("landlock %d", r.Landlock)
	}
	if r.Seccomp {
		l[1] = "seccomp"
	}
	if r.Namespaces != "" {
		l[2] = "own namespaces: " + r.Namespaces
	}
	return strings.Join(l, ", ")
}

// accept tells whether a child that reports r may be given hostile bytes.
func (c Confinement) accept(r Report) error {
	switch {
	case c == Off, len(r.Missing) == 0:
		return nil
	case c == Strict:
		return fmt.Errorf("a mill can not be confined: %s. Give the process a kernel and a container that allow it, or accept less with mill.confinement: %s", strings.Join(r.Missing, "; "), BestEffort)
	case r.Landlock == 0 && !r.Seccomp:
		return fmt.Errorf("a mill can not be confined at all: %s. Untrusted media are not decoded like this; mill.confinement: %s would", strings.Join(r.Missing, "; "), Off)
	}
	return nil
}

// confine gives up what a decoder does not need, on every thread and for good. Nothing
// that a stranger wrote may have been read before. The order matters: each step needs
// calls that a later one takes away.
func confine(t terms, parent int) Report {
	time.Local = time.UTC // else the first local time opens /etc/localtime, which is gone then
	if t.Confinement == Off {
		return Report{}
	}
	var r Report
	try := func(what string, err error) bool {
		if err != nil {
			r.Missing = append(r.Missing, what+": "+err.Error())
		}
		return err == nil
	}
	try("inherited descriptors", closeStrangers(parent))
	try("no_new_privs", onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0))
	try("capabilities", dropCapabilities())
	try("resource limits", limitResources(t))
	if v, err := restrictPaths(); try("landlock", err) {
		r.Landlock = v
	}
	r.Seccomp = try("seccomp", filterCalls())
	return r
}

// onAllThreads makes a system call on every thread of the process, C's as well as Go's.
func onAllThreads(call, a, b, c uintptr) error {
	if _, _, errno := psx.Syscall6(call, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// dropCapabilities leaves a process of root's with no more rights than its files have.
func dropCapabilities() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none)), 0)
}

// restrictPaths allows no path, no port and no process outside, as far as the kernel's
// landlock knows them, and proves it by trying.
func restrictPaths() (version int, err error) {
	version, err = llsys.LandlockGetABIVersion()
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return 0, fmt.Errorf("this kernel has none (it came with Linux 5.13, and lsm= must name it): %w", err)
	case err != nil:
		return 0, err
	}
	if err := landlock.V11.BestEffort().Restrict(); err != nil {
		return 0, err
	}
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if !errors.Is(err, unix.EACCES) {
		unix.Close(fd)
		return 0, fmt.Errorf("it is in force, and yet opening / gives %v", err)
	}
	return version, nil
}

// maxFiles is how many descriptors a child may hold: a job's media, and what runs it.
const maxFiles = maxMedia + 32

// limitResources sets what the kernel counts. The parent watches the memory in use;
// the limit on data is the wall behind, for what grows faster than one can look.
// It is not on the address space: Go and the race detector reserve much of that.
func limitResources(t terms) error {
	data, err := dataInUse()
	if err != nil {
		return fmt.Errorf("how much memory is in use already: %w", err)
	}
	for _, l := range []struct {
		what  string
		which int
		limit uint64
	}{
		{"written files", unix.RLIMIT_FSIZE, 0}, // samples go through the socket
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"descriptors", unix.RLIMIT_NOFILE, maxFiles},
		{"locked memory", unix.RLIMIT_MEMLOCK, 0},
		{"message queues", unix.RLIMIT_MSGQUEUE, 0},
		{"processor seconds", unix.RLIMIT_CPU, uint64(t.CPU)},
		{"data", unix.RLIMIT_DATA, uint64(data + t.Memory + t.Memory/4)},
	} {
		if err := lowerLimit(l.which, l.limit); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
	}
	return nil
}

// lowerLimit never raises: that would need rights.
func lowerLimit(which int, limit uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(which, &l); err != nil {
		return err
	}
	l.Max = min(l.Max, limit)
	l.Cur = min(l.Cur, limit)
	return unix.Setrlimit(which, &l)
}

// dataInUse is what RLIMIT_DATA counts, in bytes.
func dataInUse() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b))
	if len(f) < 6 {
		return 0, fmt.Errorf("/proc/self/statm says %q", b)
	}
	pages, err := strconv.ParseInt(f[5], 10, 64)
	if err != nil || pages < 0 || pages > math.MaxInt64/int64(os.Getpagesize()) {
		return 0, fmt.Errorf("/proc/self/statm says %q", b)
	}
	return pages * int64(os.Getpagesize()), nil
}

// closeStrangers closes descriptors that came from the parent without being meant for
// us: a C library there may have opened one that survives an exec. What is no file,
// pipe or socket is the Go runtime's own (epoll, eventfd).
func closeStrangers(parent int) error {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, n := range names {
		fd, err := strconv.Atoi(n.Name())
		if err != nil || fd <= 2 || fd == parent {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != 0 { // ReadDir's own is closed by now
			unix.Close(fd)
		}
	}
	return nil
}
