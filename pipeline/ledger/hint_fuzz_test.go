package ledger_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// FuzzHint: a hint costs time, no more: whatever stands there, the chain's end is found.
func FuzzHint(f *testing.F) {
	f.Add([]byte(`{"seq":3,"sha256":"","next":9}`))
	f.Add([]byte(`{"seq":4611686018427387904}`))
	f.Add([]byte(`{"seq":-1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, hint []byte) {
		m := store.NewMemory()
		s := store.Plain{Store: m}
		chain := take(t, s, "w")
		for range 3 {
			if err := chain.Commit(t.Context(), entry(t, m, chain, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Replace(t.Context(), "_hint/"+stream.Path(), hint); err != nil {
			t.Fatal(err)
		}
		c, err := ledger.Open(t.Context(), s, stream, quick("next"))
		if err != nil || c.Position() != chain.Position() {
			t.Fatalf("with the hint %q the chain ends at %+v, not %+v: %v", hint, c.Position(), chain.Position(), err)
		}
	})
}
