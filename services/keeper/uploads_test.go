package keeper

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

// Uploads of shards in parts that nobody has ended are aborted when they are old; those
// that people make over days, elsewhere, are left alone.
func TestSweepUploads(t *testing.T) {
	s := store.NewRetry(s3test.Start(t).Open(t), store.Policy{})
	parts, ok := store.AsParted(s)
	if !ok {
		t.Fatal("the store takes no parts")
	}
	for _, key := range []string{"data/s/1/a.tar", "data/s/1/b.tar", "edited/x/c.tar", "_upload/big"} {
		id, err := parts.BeginParts(t.Context(), key)
		if err == nil {
			err = parts.PutPart(t.Context(), key, id, store.Part{Number: 1, Data: []byte("some bytes")})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	later := SweepOptions{Now: func() time.Time { return time.Now().Add(StaleUpload + time.Minute) }}
	dry := later
	dry.DryRun = true
	for _, c := range []struct {
		o    SweepOptions
		n    int
		want Verdict
	}{{SweepOptions{}, 3, Young}, {dry, 3, Deletable}, {later, 3, Deleted}, {later, 0, ""}} {
		uploads, err := SweepUploads(t.Context(), s, c.o)
		if err != nil || len(uploads) != c.n {
			t.Fatalf("%d uploads, want %d that are %s; %v", len(uploads), c.n, c.want, err)
		}
		for _, u := range uploads {
			if u.Verdict != c.want || u.ID == "" || u.Begun.IsZero() {
				t.Errorf("%+v, want %s", u, c.want)
			}
		}
	}
	u, ok := store.AsUnfinished(s)
	if !ok {
		t.Fatal("the store does not tell of uploads")
	}
	left := 0
	for x, err := range u.Unfinished(t.Context(), "") {
		if left++; err != nil || x.Key != "_upload/big" {
			t.Errorf("left is %+v, %v", x, err)
		}
	}
	if left != 1 {
		t.Errorf("%d uploads are left, want that of people", left)
	}
	if none, err := SweepUploads(t.Context(), store.NewMemory(), later); err != nil || len(none) != 0 {
		t.Errorf("in memory: %v, %v", none, err)
	}
}
