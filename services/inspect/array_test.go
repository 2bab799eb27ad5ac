package inspect

import (
	"bytes"
	"strings"
	"testing"
)

// The headers are numpy 2.1.3's, by numpy.lib.format.write_array.
func TestReadArray(t *testing.T) {
	v1 := func(dict string) string {
		pad := dict + strings.Repeat(" ", (64-(10+len(dict)+1)%64)%64) + "\n"
		return "\x93NUMPY\x01\x00" + string([]byte{byte(len(pad)), byte(len(pad) >> 8)}) + pad
	}
	v2 := func(dict string) string {
		pad := dict + strings.Repeat(" ", (64-(12+len(dict)+1)%64)%64) + "\n"
		return "\x93NUMPY\x02\x00" + string([]byte{byte(len(pad)), byte(len(pad) >> 8), 0, 0}) + pad
	}
	for _, c := range []struct {
		data string
		size int // of the data
		want string
		err  string
	}{
		{v1("{'descr': '|u1', 'fortran_order': False, 'shape': (196, 768), }"), 196 * 768, "uint8 [196, 768]", ""},
		{v1("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 3), }"), 12, "float16 [2, 3]", ""},
		{v1("{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }"), 24, "int64 [3]", ""},
		{v1("{'descr': '|b1', 'fortran_order': False, 'shape': (), }"), 1, "bool []", ""},
		{v1("{'descr': '>f4', 'fortran_order': False, 'shape': (0, 4), }"), 0, "float32 big-endian [0, 4]", ""},
		{v1("{'descr': '<U5', 'fortran_order': False, 'shape': (2,), }"), 40, "<U5 [2]", ""},
		{v2("{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }"), 16, "complex128 [1]", ""},
		{v1("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"), 7, "", "float32 [2] needs 8 bytes and has 7"},
		{v1("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"), 8, "", "too large"},
		{v1("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"), 8, "", "too large"},
		{v1("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"), 8, "", "not understood"},
		{v1("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), 4, "", "not understood"},
		{v1("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }")[:50], 4, "", "ends early"},
		{"\x93NUMPY\x02\x00\xff\xff\xff\xff", 4, "", "the limit is 4096"},
		{"\x93NUMPY\x02\x00\x01", 0, "", "not a .npy file"},
		{"\x93NUMPY\x02\x00\x01\x01", 0, "", "ends early"},
		{"PK\x03\x04 not numpy at all", 0, "", "not a .npy file"},
	} {
		data := c.data + strings.Repeat("d", c.size)
		a, err := readArray(strings.NewReader(data[:min(len(data), len(c.data))]), int64(len(data)))
		switch {
		case c.err == "" && (err != nil || a.String() != c.want):
			t.Errorf("%.60q: %s, %v; want %s", c.data, a, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%.60q: %s, %v; want %s", c.data, a, err, c.err)
		}
	}
}

func FuzzReadArray(f *testing.F) {
	f.Add([]byte("\x93NUMPY\x01\x00\x46\x00{'descr': '<f2', 'fortran_order': True, 'shape': (2, 3), }             \n0123456789ab"))
	f.Add([]byte("\x93NUMPY\x02\x00\x46\x00\x00\x00{'descr': '|b1', 'fortran_order': False, 'shape': (), }               \n1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readArray(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		n := 1
		for _, d := range a.shape {
			n *= d
		}
		if n > len(data) || a.dtype == "" {
			t.Fatalf("%s in %d bytes", a, len(data))
		}
	})
}
