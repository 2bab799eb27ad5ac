package deadletter

import (
	"log/slog"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// FuzzPlace: whatever stands where an outbox has noted its place, it goes on from there or
// from the beginning: it never stops, and never begins before that.
func FuzzPlace(f *testing.F) {
	f.Add([]byte(`{"seq":17}`))
	f.Add([]byte(`{"seq":-2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := store.NewMemory()
		stream := ledger.NamedStream("s")
		if err := s.Put(t.Context(), outboxPrefix+stream.Path(), store.BytesBody(data)); err != nil {
			t.Fatal(err)
		}
		b := &Outbox{Store: store.Plain{Store: s}, Log: slog.New(slog.DiscardHandler)}
		at, err := b.place(t.Context(), stream)
		if err != nil || at.Seq < -1 {
			t.Fatalf("%q is the place %+v, %v", data, at, err)
		}
		if err := b.note(t.Context(), stream, at); err != nil {
			t.Fatal(err)
		}
		if again, err := b.place(t.Context(), stream); err != nil || again != at {
			t.Fatalf("%+v is read back as %+v, %v", at, again, err)
		}
	})
}
