package codecs

import (
	"encoding/json"
	"testing"
)

// FuzzRational: what is taken for a number is in lowest terms, and is read back the same.
func FuzzRational(f *testing.F) {
	for _, s := range []string{"", "30000/1001", "-4/6", "0.25", "1/-9223372036854775808", "-9223372036854775808/-1", "0x10", "1_0", "+1/2", "00.10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRational(text)
		if err != nil {
			if r.Known() {
				t.Fatalf("%q is %v and %v", text, r, err)
			}
			return
		}
		if r.Den < 0 || (text == "") != !r.Known() {
			t.Fatalf("%q is %+v", text, r)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Rational
		if err := json.Unmarshal(b, &again); err != nil || again != r {
			t.Fatalf("%q is %+v, and from %s %+v, %v", text, r, b, again, err)
		}
		if r.Known() && (r.Cmp(r) != 0 || r.Add(r).Known() && r.Num > 0 && r.Add(r).Cmp(r) <= 0) {
			t.Fatalf("%v and twice as much are out of order", r)
		}
	})
}
