package inspect

import (
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// array is what a .npy field's header says.
type array struct {
	dtype string // numpy's name, or its code where we have none
	shape []int
}

// String is as numpy people write it: "uint8 [196, 768]".
func (a array) String() string { return a.dtype + " " + a.shapeString() }

func (a array) shapeString() string {
	dims := make([]string, len(a.shape))
	for i, n := range a.shape {
		dims[i] = strconv.Itoa(n)
	}
	return "[" + strings.Join(dims, ", ") + "]"
}

const mostNPYHeader = 4096

// npyHeader is the dictionary as numpy writes it, keys in order.
var npyHeader = regexp.MustCompile(`^\{'descr': '([<>|=]?)([a-zA-Z])([0-9]{1,4})', 'fortran_order': (?:True|False), 'shape': \(([0-9, ]{0,200})\), ?\}\s*$`)

// readArray reads a .npy header (versions 1 to 3) from a field of size bytes, and
// checks the size against it. The data stays unread: a dataset's arrays are most of
// its bytes.
func readArray(r io.Reader, size int64) (array, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:10]); err != nil || string(head[:6]) != "\x93NUMPY" {
		return array{}, errors.New("not a .npy file")
	}
	start, n := int64(10), int64(head[8])|int64(head[9])<<8
	if head[6] > 1 {
		if _, err := io.ReadFull(r, head[10:]); err != nil {
			return array{}, errors.New("the .npy header ends early")
		}
		start, n = 12, n|int64(head[10])<<16|int64(head[11])<<24
	}
	if n > mostNPYHeader {
		return array{}, fmt.Errorf("the .npy header has %d bytes; the limit is %d", n, mostNPYHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return array{}, errors.New("the .npy header ends early")
	}
	m := npyHeader.FindSubmatch(text)
	if m == nil {
		return array{}, fmt.Errorf("the .npy header is not understood: %.80q", text)
	}
	width, _ := strconv.Atoi(string(m[3]))
	a := array{dtype: dtypeName(string(m[1]), string(m[2]), width)}
	if m[2][0] == 'U' {
		width *= 4
	}
	want := int64(width)
	for dim := range strings.SplitSeq(string(m[4]), ",") {
		if dim = strings.TrimSpace(dim); dim == "" {
			continue
		}
		d, err := strconv.Atoi(dim)
		if err != nil || d != 0 && want > math.MaxInt64/int64(d) {
			return array{}, fmt.Errorf("the .npy shape (%s) is too large", m[4])
		}
		want *= int64(d)
		a.shape = append(a.shape, d)
	}
	if have := size - start - n; have != want {
		return a, fmt.Errorf("%s needs %d bytes and has %d", a, want, have)
	}
	return a, nil
}

func dtypeName(order, kind string, width int) string {
	names := map[string]string{"u": "uint", "i": "int", "f": "float", "c": "complex"}
	name, ok := names[kind]
	switch {
	case kind == "b" && width == 1:
		return "bool"
	case !ok:
		return order + kind + strconv.Itoa(width)
	}
	name += strconv.Itoa(8 * width)
	if order == ">" {
		name += " big-endian"
	}
	return name
}
