package mill

import "golang.org/x/sys/unix"

// filter is a program of the kernel's classic packet filter over struct seccomp_data: the
// call's number at offset 0, the machine at 4, the six 64-bit arguments from 16. See
// seccomp(2). All machines that it is made for are little-endian.
//
// It is assembled here because elastic/go-seccomp-bpf 1.6.0 does not load the call's
// number again after an argument did not pass: the rules that follow then compare the
// argument with their calls.
type filter []unix.SockFilter

// test looks at one argument of a call. The kernel's flags and numbers are in its lower
// half; only isNull looks at both.
type test struct {
	arg   uint32
	op    op
	value uint32
}

type op int

const (
	hasAny  op = iota // one of value's bits, or more
	hasNone           // none of value's bits
	equals
	isNull
)

// rule fits a call whose arguments pass all tests.
type rule struct {
	call  uintptr
	tests []test
}

const (
	load      = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	jumpEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jumpOver  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	jumpAny   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K

	atNumber, atMachine, atArgs = 0, 4, 16
)

func (f *filter) add(code uint16, k uint32, yes, no uint8) {
	*f = append(*f, unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no})
}

func (f *filter) ret(action uint32) { f.add(unix.BPF_RET|unix.BPF_K, action, 0, 0) }

// machine ends what calls the kernel by another machine's numbers, 32-bit x86 and x32
// among them, and leaves the number loaded, as every other part does.
func (f *filter) machine() {
	f.add(load, atMachine, 0, 0)
	f.add(jumpEqual, machine, 1, 0)
	f.ret(kill)
	f.add(load, atNumber, 0, 0)
	const x32 = 0x40000000
	f.add(jumpOver, x32, 0, 1)
	f.ret(kill)
}

// calls decides calls by their number alone.
func (f *filter) calls(action uint32, lists ...[]uintptr) {
	for _, l := range lists {
		for _, n := range l {
			f.add(jumpEqual, uint32(n), 0, 1)
			f.ret(action)
		}
	}
}

// ifArg decides calls by number and arguments. One that does not pass goes on to the
// next rule.
func (f *filter) ifArg(action uint32, rules []rule) {
	for _, r := range rules {
		var body filter // each test jumps behind it when it fails
		for _, t := range r.tests {
			body.test(t)
		}
		body.ret(action)
		for i := range body { // the mark becomes a distance
			if body[i].Jt == out {
				body[i].Jt = uint8(len(body) - 1 - i)
			}
			if body[i].Jf == out {
				body[i].Jf = uint8(len(body) - 1 - i)
			}
		}
		f.add(jumpEqual, uint32(r.call), 0, uint8(len(body)))
		*f = append(*f, body...)
		f.add(load, atNumber, 0, 0)
	}
}

// out marks a jump behind the rule. No rule is that long.
const out = 0xff

func (f *filter) test(t test) {
	low := atArgs + 8*t.arg
	f.add(load, low, 0, 0)
	switch t.op {
	case hasAny:
		f.add(jumpAny, t.value, 0, out)
	case hasNone:
		f.add(jumpAny, t.value, out, 0)
	case equals:
		f.add(jumpEqual, t.value, 0, out)
	case isNull:
		f.add(jumpEqual, 0, 0, out)
		f.add(load, low+4, 0, 0)
		f.add(jumpEqual, 0, 0, out)
	}
}
