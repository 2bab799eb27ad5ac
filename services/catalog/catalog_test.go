package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// want is a shard to commit: of a dataset, in a format.
type want struct{ dataset, format, compression string }

func tars(datasets ...string) []want {
	var ws []want
	for _, d := range datasets {
		ws = append(ws, want{d, shard.WebDataset, ""})
	}
	return ws
}

// commit appends one record to a stream, with a shard of two samples for each wanted.
func commit(t *testing.T, s store.Store, stream string, sidecars bool, wants ...want) {
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
	for i, w := range wants {
		sh := sealed(t, fmt.Sprint(stream, "-", c.Next(), "-", i), w)
		_, ext, _ := strings.Cut(sh.Name, ".")
		key := c.ShardKey(ext)
		if err := store.Upload(ctx, s, key, store.Body{Data: sh, Size: sh.Bytes, SHA256: sh.SHA256, CRC32C: sh.CRC32C}); err != nil {
			t.Fatal(err)
		}
		for _, side := range sh.Sidecars() {
			if sidecars {
				if err := s.Put(ctx, key+side.Suffix, store.BytesBody(side.Data)); err != nil {
					t.Fatal(err)
				}
			}
		}
		e.Shards = append(e.Shards, ledger.Shard{Key: key, Dataset: w.dataset, Format: w.format, Bytes: sh.Bytes, SHA256: sh.SHA256Hex(),
			CRC32C: fmt.Sprintf("%08x", sh.CRC32C), Samples: int64(sh.Samples()), From: c.Next(), To: e.To})
		e.Outcomes = append(e.Outcomes, ledger.Outcome{Offset: c.Next(), Part: i, ID: fmt.Sprint(w, i), Dataset: w.dataset, Status: ledger.OK, Samples: 2})
	}
	if err := c.Commit(ctx, e); err != nil {
		t.Fatal(err)
	}
}

// sealed is a shard of two samples.
func sealed(t *testing.T, key string, w want) *shard.Sealed {
	t.Helper()
	wr, err := shard.Create(t.TempDir(), w.format, shard.Options{Name: "x", Compression: w.compression, Fields: []string{"json", "txt", "vit.patches.npy", "frame.png"}})
	if err != nil {
		t.Fatal(err)
	}
	defer wr.Abort()
	var pic bytes.Buffer
	if err := png.Encode(&pic, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		array := patch.AppendNPY(nil, patch.Array{DType: patch.UInt8, Shape: []int{2, 3 + i}, Data: make([]byte, 6+2*i)})
		err := wr.Add(&pipeline.Sample{Key: fmt.Sprint(key, "-", i), Fields: []pipeline.Field{
			{Name: "json", Data: fmt.Appendf(nil, `{"i":%d}`, i)}, {Name: "txt", Data: []byte("words")},
			{Name: "vit.patches.npy", Data: array}, {Name: "frame.png", Data: pic.Bytes()},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	sh, err := wr.Seal()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sh.Close() })
	return sh
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
	commit(t, s, "one", true, tars("cats", "dogs")...)
	commit(t, s, "two", true, tars("cats")...)
	first, err := Publish(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Indexes) != 2 || first.Indexes[0].Dataset != "cats" || first.Indexes[0].Shards != 2 || first.Indexes[0].Samples != 4 || first.Indexes[1].Shards != 1 {
		t.Fatalf("the first snapshot has %+v", first.Indexes)
	}
	before := text(t, s, first.Indexes[0].List)

	commit(t, s, "one", true, tars("cats")...)
	commit(t, s, "three", true, tars("cats")...) // a stream that the first snapshot does not know
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
