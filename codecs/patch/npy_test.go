package patch

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// written by numpy 2.1.3, numpy.save of arrays of those dtypes and shapes.
var numpyFiles = []struct {
	file  string
	array Array
}{
	{npyFile("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", 128, "\x01\x02\x03"), Array{UInt8, []int{3}, []byte("\x01\x02\x03")}},
	{npyFile("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2), }", 128, "\x0e\x00\x00\x00\x00\x00\x00\x00\x18\x00\x00\x00\x00\x00\x00\x00"), Array{"int64", []int{1, 2}, []byte("\x0e\x00\x00\x00\x00\x00\x00\x00\x18\x00\x00\x00\x00\x00\x00\x00")}},
	{npyFile("{'descr': '<f2', 'fortran_order': False, 'shape': (), }", 128, "\x00\x3c"), Array{Float16, []int{}, []byte("\x00\x3c")}},
	{npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }", 128, ""), Array{Float32, []int{0, 4}, nil}},
	{npyFile("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", 128, "\x01\x00"), Array{"bool", []int{2}, []byte("\x01\x00")}},
	{npyFile("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }", 128, "\x07\x00\x00\x00"), Array{"int32", []int{1}, []byte("\x07\x00\x00\x00")}},
	{npyFile("{'descr': '<u2', 'fortran_order': False, 'shape': (1, 1), }", 128, "\x80\x3f"), Array{"uint16", []int{1, 1}, []byte("\x80\x3f")}},
}

// npyFile lays a file out by the format's description: data starts at byte `at`.
func npyFile(header string, at int, data string) string {
	header += strings.Repeat(" ", at-10-len(header)-1) + "\n"
	return "\x93NUMPY\x01\x00" + string([]byte{byte(len(header)), byte(len(header) >> 8)}) + header + data
}

func sameArray(a, b Array) bool {
	return a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Data, b.Data)
}

func TestNPY(t *testing.T) {
	for _, k := range numpyFiles {
		got, err := ParseNPY([]byte(k.file))
		if err != nil || !sameArray(got, k.array) {
			t.Errorf("%q: got %+v, %v", k.file, got, err)
		}
		if len(k.array.Shape) > 0 {
			// Ours may be shorter: numpy leaves room for the first dimension to grow.
			mine := AppendNPY([]byte("before"), k.array)
			data := len(mine) - len("before") - len(k.array.Data)
			if data%64 != 0 || data > 128 {
				t.Errorf("the data of %+v starts at %d", k.array, data)
			}
			if back, err := ParseNPY(mine[len("before"):]); err != nil || !sameArray(back, k.array) {
				t.Errorf("%+v comes back as %+v, %v", k.array, back, err)
			}
		}
	}
}

func TestNPYRefuses(t *testing.T) {
	good := "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }"
	for name, file := range map[string]string{
		"empty":       "",
		"magic":       "\x93NUMPX\x01\x00\x10\x00",
		"version 2":   strings.Replace(npyFile(good, 128, "abc"), "\x01\x00", "\x02\x00", 1),
		"cut header":  npyFile(good, 128, "abc")[:40],
		"cut data":    npyFile(good, 128, "ab"),
		"more data":   npyFile(good, 128, "abcd"),
		"fortran":     npyFile(strings.Replace(good, "False", "True", 1), 128, "abc"),
		"big-endian":  npyFile(strings.Replace(good, "|u1", ">i2", 1), 128, "abcdef"),
		"pickle":      npyFile(strings.Replace(good, "|u1", "|O", 1), 128, "abc"),
		"negative":    npyFile(strings.Replace(good, "3", "-3", 1), 128, "abc"),
		"too large":   npyFile(strings.Replace(good, "3,", "9223372036854775807, 9, 9", 1), 128, "abc"),
		"no shape":    npyFile("{'descr': '|u1', 'fortran_order': False, }", 128, "abc"),
		"twice":       npyFile("{'descr': '|u1', 'descr': '|u1', 'shape': (3,), }", 128, "abc"),
		"another key": npyFile(strings.Replace(good, "shape", "shapes", 1), 128, "abc"),
		"no dict":     npyFile("('descr', 1)", 128, "abc"),
		"long header": npyFile(good, 8192, "abc"),
	} {
		if got, err := ParseNPY([]byte(file)); err == nil {
			t.Errorf("%s: taken as %+v", name, got)
		}
	}
}

func FuzzParseNPY(f *testing.F) {
	for _, k := range numpyFiles {
		f.Add([]byte(k.file))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseNPY(b)
		if err != nil {
			return
		}
		back, err := ParseNPY(AppendNPY(nil, a))
		if err != nil || !sameArray(a, back) {
			t.Fatalf("%+v comes back as %+v, %v", a, back, err)
		}
	})
}
