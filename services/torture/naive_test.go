package main

import (
	"archive/tar"
	"bytes"
	"testing"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/store"
)

// The checker sees what a naive sink has lost and doubled, and nothing where it did well.
func TestCheckNaive(t *testing.T) {
	c := &audit.Campaign{Streams: []audit.Stream{{Messages: []audit.Message{{Offset: 0}, {Offset: 1}, {Offset: 2}}}}}
	for _, e := range []struct {
		tars          [][]string
		lost, doubled int
	}{
		{[][]string{{"0-0.bin", "0-1.bin"}, {"0-2.bin"}}, 0, 0},
		{[][]string{{"0-0.bin", "0-1.bin"}, {"0-1.bin", "0-2.bin"}}, 0, 1},
		{[][]string{{"0-0.bin"}, {"0-0.bin"}, {"0-0.bin"}}, 2, 2},
	} {
		s := store.NewMemory()
		for i, names := range e.tars {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, n := range names {
				if err := w.WriteHeader(&tar.Header{Name: n, Mode: 0o600}); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := s.Create(t.Context(), naiveFolder+"/"+string(rune('a'+i))+".tar", b.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
		r, err := checkNaive(t.Context(), read{s}, c)
		if err != nil || r.Lost != e.lost || r.Doubled != e.doubled || r.Messages != 3 {
			t.Errorf("%v gives %+v, %v; want lost %d, doubled %d", e.tars, r, err, e.lost, e.doubled)
		}
	}
}
