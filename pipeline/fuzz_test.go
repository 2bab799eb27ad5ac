package pipeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

// FuzzPack: a sample may come of a mill that hostile bytes have taken over. One that the
// packer takes is packed, twice in one sequence as well, to the length that it was taken for.
func FuzzPack(f *testing.F) {
	grid := func(n ...int64) []byte {
		a := patch.Array{DType: "int64", Shape: []int{len(n)}}
		for _, v := range n {
			a.Data = append(a.Data, byte(v), byte(v>>8), 0, 0, 0, 0, 0, 0)
		}
		return patch.AppendNPY(nil, a)
	}
	patches := patch.AppendNPY(nil, patch.Array{DType: "uint8", Shape: []int{4, 3}, Data: []byte("abcdefghijkl")})
	coords := patch.AppendNPY(nil, patch.Array{DType: "int64", Shape: []int{4, 2}, Data: make([]byte, 64)})
	f.Add([]byte(`{"tokens":{"vit":{"count":4,"language":1}}}`), patches, grid(2, 2), coords, "patches", uint8(1))
	f.Add([]byte(`{"tokens":{"vit":{"count":4,"language":1}}}`), patches, grid(1, 2, 2), []byte{}, "language", uint8(2))
	f.Add([]byte(`{"tokens":{"vit":{"count":3}}}`), patches, grid(3, 1), coords, "patches", uint8(8))
	f.Add([]byte(`{"tokens":{"vit":{"count":4,"language":-1}}}`), patches, grid(300, 1), coords[:40], "language", uint8(0))
	f.Fuzz(func(t *testing.T, json, patches, grid, coords []byte, count string, multiple uint8) {
		if count != "patches" && count != "language" {
			return
		}
		p := &Pack{Tokens: "vit", Budget: 1 << 12, Count: count, Window: 4, Multiple: int(multiple), Mode: "first_fit_decreasing"}
		s := &Sample{Key: "k", Fields: []Field{{"json", json}, {"vit.patches.npy", patches}, {"vit.grid.npy", grid}, {"other", coords}}}
		if len(coords) > 0 {
			s.Fields = append(s.Fields, Field{"vit.coords.npy", coords})
		}
		n, shape, err := p.Length(s)
		if err != nil {
			if codecs.AsError(err) == nil {
				t.Fatalf("a sample is refused, and it is not the medium's fault: %v", err)
			}
			return
		}
		trimmed := p.Trim(s)
		if m, same, err := p.Length(trimmed); err != nil || m != n || same != shape {
			t.Fatalf("trimmed it is %d of %q, not %d of %q: %v", m, same, n, shape, err)
		}
		if n < 1 || n > p.Budget {
			t.Fatalf("its length is %d", n)
		}
		seq, err := p.Join("d", "r", []*Sample{trimmed, trimmed}, []int{n, n})
		if err != nil {
			t.Fatalf("it was taken, and is not packed: %v", err)
		}
		var m member
		if m.patches, err = patch.ParseNPY(seq.field("vit.patches.npy")); err != nil {
			t.Fatal(err)
		}
		rounded := (n + max(p.Multiple, 1) - 1) / max(p.Multiple, 1) * max(p.Multiple, 1)
		if count == "patches" && m.patches.Shape[0] != 2*rounded {
			t.Fatalf("two of %d patches are %v", n, m.patches.Shape)
		}
		for _, field := range seq.Fields {
			if strings.HasSuffix(field.Name, ".npy") {
				if _, err := patch.ParseNPY(field.Data); err != nil {
					t.Fatalf("%s: %v", field.Name, err)
				}
			}
		}
	})
}

// FuzzSecret: whatever a setting's file holds, it is given by Reveal alone.
func FuzzSecret(f *testing.F) {
	f.Add([]byte("hunter2hunter2\n"))
	f.Add([]byte("\xff\x00\r\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var s Secret
		err := s.UnmarshalText([]byte("file:" + path))
		if err != nil {
			if len(content) > 20 && strings.Contains(err.Error(), string(content)) {
				t.Fatalf("the error tells it: %v", err)
			}
			return
		}
		if strings.TrimSpace(string(content)) != s.Reveal() {
			t.Fatalf("%q is read as %q", content, s.Reveal())
		}
		text, err := s.MarshalText()
		said := fmt.Sprintf("%v %+v %#v %s %q %x %s %v", s, s, s, s, s, s, text, errors.Join(err))
		if len(s.Reveal()) > 20 && (strings.Contains(said, s.Reveal()) || strings.Contains(said, fmt.Sprintf("%x", s.Reveal()))) {
			t.Fatalf("%q is in %q", s.Reveal(), said)
		}
	})
}
