package patch

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The .npy format, version 1.0 (numpy.lib.format): magic, version, length of the
// header, a Python dictionary padded so that the data starts at a multiple of 64.
const (
	npyMagic = "\x93NUMPY\x01\x00"
	npyAlign = 64
	// mostNPYHeader is far above what arrays of the known dtypes need.
	mostNPYHeader = 4096
	mostNPYDims   = 32
)

// AppendNPY appends a as a .npy file. The dtype must be one that Array names.
func AppendNPY(dst []byte, a Array) []byte {
	start := len(dst)
	dst = append(dst, npyMagic...)
	dst = append(dst, 0, 0)
	dst = append(dst, "{'descr': '"...)
	dst = append(dst, npyDescr(a.DType)...)
	dst = append(dst, "', 'fortran_order': False, 'shape': ("...)
	for i, n := range a.Shape {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	if len(a.Shape) == 1 {
		dst = append(dst, ',')
	}
	dst = append(dst, "), }"...)
	for (len(dst)-start+1)%npyAlign != 0 {
		dst = append(dst, ' ')
	}
	dst = append(dst, '\n')
	n := len(dst) - start - len(npyMagic) - 2
	dst[start+len(npyMagic)], dst[start+len(npyMagic)+1] = byte(n), byte(n>>8)
	return append(dst, a.Data...)
}

// npyTypes pairs our dtypes with numpy's descriptions.
var npyTypes = [...]struct {
	dtype, descr string
	bytes        int
}{
	{"uint8", "|u1", 1}, {"bool", "|b1", 1}, {"float16", "<f2", 2}, {"uint16", "<u2", 2},
	{"float32", "<f4", 4}, {"float64", "<f8", 8}, {"int32", "<i4", 4}, {"int64", "<i8", 8},
}

func npyDescr(dtype string) string {
	for _, t := range npyTypes {
		if t.dtype == dtype {
			return t.descr
		}
	}
	return "|V1" // raw bytes: numpy opens it, and nobody takes it for numbers
}

// ParseNPY reads a .npy file that AppendNPY could have written, in any header layout
// that numpy writes: version 1.0, C order, little-endian, a dtype that Array names.
// The array's Data is the tail of b, not a copy. It allocates nothing that the header
// could make large.
func ParseNPY(b []byte) (Array, error) {
	if len(b) < len(npyMagic)+2 || string(b[:len(npyMagic)]) != npyMagic {
		return Array{}, errors.New("npy: no magic of version 1.0 at the start")
	}
	n := int(b[len(npyMagic)]) | int(b[len(npyMagic)+1])<<8
	b = b[len(npyMagic)+2:]
	if n > mostNPYHeader || n > len(b) {
		return Array{}, fmt.Errorf("npy: a header of %d bytes in a file that has %d more (the limit is %d)", n, len(b), mostNPYHeader)
	}
	a, width, err := parseHeader(string(b[:n]))
	if err != nil {
		return Array{}, fmt.Errorf("npy: %w", err)
	}
	want := width
	for _, d := range a.Shape {
		if d != 0 && want > math.MaxInt/d {
			return Array{}, fmt.Errorf("npy: shape %v is too large", a.Shape)
		}
		want *= d
	}
	if a.Data = b[n:]; len(a.Data) != want {
		return Array{}, fmt.Errorf("npy: shape %v of %s needs %d bytes; there are %d", a.Shape, a.DType, want, len(a.Data))
	}
	return a, nil
}

// parseHeader reads the dictionary. Its three keys may come in any order.
func parseHeader(s string) (a Array, width int, err error) {
	s = strings.TrimSpace(s)
	s, open := strings.CutPrefix(s, "{")
	s, closed := strings.CutSuffix(s, "}")
	if !open || !closed {
		return a, 0, errors.New("the header is no dictionary")
	}
	var seen, ordered bool
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		key, rest, ok := strings.Cut(s, ":")
		if !ok {
			return a, 0, fmt.Errorf("the header has %q where a key should be", s)
		}
		rest = strings.TrimSpace(rest)
		var value string
		switch key = strings.TrimSpace(key); key {
		case "'descr'":
			seen = a.DType != ""
			value, rest, _ = strings.Cut(rest, ",")
			a.DType, width, err = npyType(strings.TrimSpace(value))
		case "'fortran_order'":
			seen, ordered = ordered, true
			value, rest, _ = strings.Cut(rest, ",")
			if strings.TrimSpace(value) != "False" {
				err = fmt.Errorf("fortran_order is %q; only False is read", value)
			}
		case "'shape'":
			seen = a.Shape != nil
			value, rest, _ = strings.Cut(rest, ")")
			rest = strings.TrimPrefix(strings.TrimSpace(rest), ",")
			a.Shape, err = npyShape(value)
		default:
			err = fmt.Errorf("the header has a key %s", key)
		}
		if err == nil && seen {
			err = fmt.Errorf("the header has %s twice", key)
		}
		if err != nil {
			return a, 0, err
		}
		s = rest
	}
	if a.DType == "" || !ordered || a.Shape == nil {
		return a, 0, errors.New("the header lacks descr, fortran_order or shape")
	}
	return a, width, nil
}

func npyType(quoted string) (string, int, error) {
	for _, t := range npyTypes {
		if quoted == "'"+t.descr+"'" {
			return t.dtype, t.bytes, nil
		}
	}
	return "", 0, fmt.Errorf("dtype %s is not read here", quoted)
}

// npyShape reads a tuple without its closing parenthesis.
func npyShape(s string) ([]int, error) {
	s, ok := strings.CutPrefix(s, "(")
	if !ok {
		return nil, errors.New("the shape is no tuple")
	}
	shape := []int{}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		var number string
		number, s, _ = strings.Cut(s, ",")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || n < 0 || len(shape) == mostNPYDims {
			return nil, fmt.Errorf("the shape has %q as dimension %d", number, len(shape))
		}
		shape = append(shape, n)
	}
	return shape, nil
}
