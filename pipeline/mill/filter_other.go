//go:build !amd64 && !arm64

package mill

// machine 0 stands for one that has no filter: its children are confined by landlock
// alone, where that is enough.
const machine = 0

var (
	allowedHere, hiddenHere, deadlyHere []uintptr
	deadlyIfHere                        []rule
)
