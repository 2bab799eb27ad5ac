package video

import (
	"encoding/binary"
	"testing"
)

func displayMatrix(a, b, c, d int32) []byte {
	var out []byte
	for _, v := range []int32{a, b, 0, c, d, 0, 0, 0, 1 << 30} {
		out = binary.NativeEndian.AppendUint32(out, uint32(v))
	}
	return out
}

func TestParseMatrix(t *testing.T) {
	const one = 1 << 16
	for _, c := range []struct {
		name       string
		a, b, c, d int32
		want       orientation
		ok         bool
	}{
		{"as is", one, 0, 0, one, orientation{}, true},
		{"a phone held upright", 0, one, -one, 0, orientation{false, 90}, true},
		{"on its head", -one, 0, 0, -one, orientation{false, 180}, true},
		{"the other way", 0, -one, one, 0, orientation{false, 270}, true},
		{"a mirror", -one, 0, 0, one, orientation{true, 0}, true},
		{"upside down in a mirror", one, 0, 0, -one, orientation{true, 180}, true},
		{"transposed", 0, one, one, 0, orientation{true, 270}, true},
		{"transposed the other way", 0, -one, -one, 0, orientation{true, 90}, true},
		{"scaled", 3 * one, 0, 0, one / 2, orientation{}, true},
		{"37 degrees", 52339, 39441, -39441, 52339, orientation{}, false},
		{"skewed", one, one, 0, one, orientation{}, false},
		{"zero", 0, 0, 0, 0, orientation{}, false},
	} {
		if o, ok := parseMatrix(displayMatrix(c.a, c.b, c.c, c.d)); o != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %v", c.name, o, ok)
		}
	}
	if _, ok := parseMatrix(make([]byte, 35)); ok {
		t.Error("a short matrix was taken")
	}
}

// Each orientation is spelled out: a 2 x 3 picture as letters.
func TestSteps(t *testing.T) {
	// ab
	// cd
	// ef
	for want, o := range map[string]orientation{
		"abcdef": {false, 0},
		"ecafdb": {false, 90},
		"fedcba": {false, 180},
		"bdface": {false, 270},
		"badcfe": {true, 0},
		"fdbeca": {true, 90},
		"efcdab": {true, 180},
		"acebdf": {true, 270},
	} {
		const w, h = 2, 3
		start, xstep, ystep := o.steps(w, h)
		got := make([]byte, w*h)
		for y := range h {
			for x := range w {
				got[(start+x*xstep+y*ystep)/3] = "abcdef"[y*w+x]
			}
		}
		if string(got) != want {
			t.Errorf("%+v: %s, want %s", o, got, want)
		}
	}
}
