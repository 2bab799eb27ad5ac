package message

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// Syntax cases in the manner of RFC 8259's grammar: y must pass, n must not.
func TestScanSyntax(t *testing.T) {
	for _, s := range []string{
		`0`, `-0`, `-1.5e+10`, `1E-2`, `"\u00e9\ud83d\ude00\/\b"`, ` [ ] `, "\t{\r\n}", `[1,{"a":null},true,false,""]`,
		`{"":1,"a~b":{"c/d":2}}`, strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		`[{"a":1},{"a":1}]`, `{"a":{"a":{"a":1}}}`,
	} {
		if err := scan([]byte(s)); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{
		``, ` `, `01`, `-`, `1.`, `.5`, `+1`, `1e`, `1e+`, `tru`, `nul`, `True`, `NaN`, `'a'`, `"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\x01\"",
		`[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{"a" 1}`, `{1:1}`, `]`, `1 1`, `// c`,
		`"\udc00"`, `"\ud800"`, `"\ud800\u0041"`, `"\ud800\n"`, `{"a":1,"a":2}`, `[{"x":1,"y":{"x":1},"x":2}]`, "\"\xc0\x80\"",
		strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
	} {
		if err := scan([]byte(s)); err == nil {
			t.Errorf("%q passed", s)
		}
	}
}

func TestScanSaysWhere(t *testing.T) {
	for s, want := range map[string]string{
		`{"a~b":{"c/d":[0,{"e":x}]}}`:           "a JSON value should start here, at /a~0b/c~1d/1/e, byte 22",
		`[1,2,3,4`:                              "the JSON ends early, at /3, byte 8",
		`{"é":"` + "\n" + `"}`:                  `a control character stands bare in a string; write it as \u00XX, at /é, byte 7`,
		`{"` + strings.Repeat("k", 500) + `":}`: `"/` + strings.Repeat("k", maxShown-1) + `"..., byte 504`,
	} {
		if err := scan([]byte(s)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want ...%s...", s, err, want)
		}
	}
}

// A scan costs memory for keys only, and the maps for these are used again.
func TestScanAllocatesNothingForValues(t *testing.T) {
	payload := strings.Repeat(`0123456789`, 100_000)
	b := []byte(`{"a":"` + payload + `","b":[` + strings.Repeat(`1.5,"x",`, 10_000) + `0]}`)
	if n := testing.AllocsPerRun(5, func() {
		if err := scan(b); err != nil {
			t.Fatal(err)
		}
	}); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzScan holds the scanner against encoding/json: it takes a subset of what that
// takes, and what it refuses beyond is one of the known reasons.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"\ud83d\ude00"],"b":{"a":null}}`, `{"a":1,"a":2}`, `"\ud800"`, `[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]`, `{"a":1}x`, "\xef\xbb\xbf{}", `-0.0E-1`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := scan(b)
		valid := json.Valid(b)
		if err == nil && !valid {
			t.Fatalf("%q passed but is not JSON", b)
		}
		if err == nil || !valid {
			return
		}
		known := !utf8.Valid(b)
		for _, why := range []string{"stands twice", "surrogate", "nested deeper", "more than 10000 members"} {
			known = known || strings.Contains(err.Error(), why)
		}
		if !known {
			t.Fatalf("%q is JSON but was refused: %v", b, err)
		}
		if strings.Contains(err.Error(), "surrogate") && !bytes.Contains(b, []byte(`\u`)) {
			t.Fatalf("%q has no escape", b)
		}
	})
}
