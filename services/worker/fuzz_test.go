package worker

import (
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// FuzzMarks: whatever lies where marks do, an attempt is counted from 1 on, and what is given
// up has as many marks as that takes.
func FuzzMarks(f *testing.F) {
	f.Add("1", "2")
	f.Add("x", "9223372036854775807")
	f.Add("-5", "+1")
	f.Add("00000000000000000000000001", "1/2")
	f.Fuzz(func(t *testing.T, one, two string) {
		s, stream := store.NewMemory(), ledger.NamedStream("s")
		a := newAttempts(s, stream, 7, 10, slog.New(slog.DiscardHandler))
		folder := a.prefix + "00000000000000000007/"
		believed := 0
		for _, name := range []string{one, two} {
			if s.Put(t.Context(), folder+name, store.BytesBody(nil)) == nil {
				if n, err := strconv.Atoi(name); err == nil && n > 0 && !strings.Contains(name, "/") {
					believed = max(believed, n)
				}
			}
		}
		n, err := a.begin(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		if n < 1 || n >= mostAttempts && believed < mostAttempts-1 || n < mostAttempts && n != believed+1 {
			t.Fatalf("with the marks %q and %q it is attempt %d", one, two, n)
		}
		if n < mostAttempts {
			a.end(t.Context())
		} else {
			a.committed(t.Context(), 8)
		}
	})
}
