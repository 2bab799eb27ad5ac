package catalog

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// commit appends one record to a stream, with a shard for each dataset named.
func commit(t *testing.T, s store.Store, stream string, datasets ...string) {
	t.Helper()
	ctx := context.Background()
	c, err := ledger.Open(ctx, store.Plain{Store: s}, ledger.NamedStream(stream), ledger.Options{})
	if err == nil {
		err = c.Begin(ctx, 0)
	}
	if err == nil {
		err = c.Fence(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	e := ledger.Entry{To: c.Next() + 1}
	for i, d := range datasets {
		body := store.BytesBody(fmt.Appendf(nil, "shard of %s", d))
		key := c.ShardKey("tar")
		if err := store.Upload(ctx, s, key, body); err != nil {
			t.Fatal(err)
		}
		e.Shards = append(e.Shards, ledger.Shard{Key: key, Dataset: d, Format: "webdataset", Bytes: body.Size, SHA256: hex.EncodeToString(body.SHA256[:]),
			CRC32C: fmt.Sprintf("%08x", body.CRC32C), Samples: 2, From: c.Next(), To: e.To})
		e.Outcomes = append(e.Outcomes, ledger.Outcome{Offset: c.Next(), Part: i, ID: fmt.Sprint(d, i), Dataset: d, Status: ledger.OK, Samples: 2})
	}
	if err := c.Commit(ctx, e); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, s store.Store, key string) string {
	t.Helper()
	rc, _, err := s.Get(context.Background(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPublish(t *testing.T) {
	s := store.NewMemory()
	commit(t, s, "one", "cats", "dogs")
	commit(t, s, "two", "cats")
	first, err := Publish(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Indexes) != 2 || first.Indexes[0].Dataset != "cats" || first.Indexes[0].Shards != 2 || first.Indexes[0].Samples != 4 || first.Indexes[1].Shards != 1 {
		t.Fatalf("the first snapshot has %+v", first.Indexes)
	}
	before := text(t, s, first.Indexes[0].List)

	commit(t, s, "one", "cats")
	commit(t, s, "three", "cats") // a stream that the first snapshot does not know
	if got, err := Shards(t.Context(), s, first.Snapshot, "cats"); err != nil || len(got) != 2 {
		t.Errorf("the first snapshot has %d shards of cats now, want the 2 that it had: %v", len(got), err)
	}
	if got, err := Shards(t.Context(), s, nil, ""); err != nil || len(got) != 5 {
		t.Errorf("there are %d shards in all, want 5: %v", len(got), err)
	}
	second, err := Publish(t.Context(), s)
	if err != nil || second.Snapshot.N != first.Snapshot.N+1 || second.Indexes[0].Shards != 4 {
		t.Fatalf("the second snapshot is %+v, %v", second, err)
	}
	if text(t, s, first.Indexes[0].List) != before {
		t.Error("a published list has changed")
	}
	again, err := Publish(t.Context(), s)
	if err != nil || again.Snapshot.N != second.Snapshot.N {
		t.Errorf("publishing with nothing new makes snapshot %d, %v", again.Snapshot.N, err)
	}

	// What the lists name is there, seen from where they are.
	var wids struct {
		Shardlist []struct {
			URL      string
			Nsamples int64
		}
	}
	if err := json.Unmarshal([]byte(text(t, s, second.Indexes[0].Wids)), &wids); err != nil || len(wids.Shardlist) != 4 {
		t.Fatalf("the wids index has %d shards, %v", len(wids.Shardlist), err)
	}
	for i, line := range strings.Fields(text(t, s, second.Indexes[0].List)) {
		if line != wids.Shardlist[i].URL {
			t.Errorf("line %d is %s, the wids index says %s", i, line, wids.Shardlist[i].URL)
		}
		if _, err := s.Stat(t.Context(), strings.TrimPrefix(line, "../../../")); err != nil {
			t.Errorf("line %d names %s: %v", i, line, err)
		}
	}
}
