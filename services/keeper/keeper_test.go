package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fataler is a testing.TB or a rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

var (
	kafka  = ledger.KafkaStream("c1", "ingest", 3)
	recipe = strings.Repeat("5e", 32)
)

// take opens a stream, which begins at offset 10, and fences it.
func take(t fataler, s store.Store, stream ledger.Stream) *ledger.Chain {
	t.Helper()
	c, err := ledger.Open(context.Background(), store.Plain{Store: s}, stream, ledger.Options{})
	if err == nil {
		err = c.Begin(context.Background(), 10)
	}
	if err == nil {
		err = c.Fence(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// upload puts a shard of these samples, and what goes beside it, where the chain's next
// record may name it.
func upload(t fataler, dir string, s store.Store, c *ledger.Chain, samples []*pipeline.Sample, members int64, from, to int64) ledger.Shard {
	t.Helper()
	w, err := shard.Create(dir, shard.WebDataset, shard.Options{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, sm := range samples {
		if err := w.Add(sm); err != nil {
			t.Fatal(err)
		}
	}
	sealed, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	key := c.ShardKey("tar")
	for _, side := range sealed.Sidecars() {
		if err := s.Put(context.Background(), key+side.Suffix, store.BytesBody(side.Data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Upload(context.Background(), s, key, store.Body{Data: sealed, Size: sealed.Bytes, SHA256: sealed.SHA256, CRC32C: sealed.CRC32C}); err != nil {
		t.Fatal(err)
	}
	return ledger.Shard{Key: key, Dataset: "set", Recipe: recipe, Format: shard.WebDataset, Bytes: sealed.Bytes, SHA256: sealed.SHA256Hex(),
		CRC32C: fmt.Sprintf("%08x", sealed.CRC32C), Samples: int64(len(samples)), Members: members, From: from, To: to}
}

// sampleOf is sample n of a job of the dataset "set".
func sampleOf(id string, n int64) *pipeline.Sample {
	key := pipeline.SampleKey("set", id, 0, 0, codecs.NewRational(n, 2))
	return &pipeline.Sample{Key: key, Fields: []pipeline.Field{
		{Name: "json", Data: fmt.Appendf(nil, `{"key":%q,"dataset":"set","id":%q}`, key, id)},
		{Name: "txt", Data: []byte("words")},
	}}
}

// sequenceOf packs samples as a recipe would.
func sequenceOf(t testing.TB, key string, samples ...*pipeline.Sample) *pipeline.Sample {
	t.Helper()
	seq := pipeline.Sequence{Key: key, Dataset: "set", Kind: "sequence"}
	for _, s := range samples {
		seq.Members = append(seq.Members, s.Fields[0].Data)
	}
	data, err := json.Marshal(seq)
	if err != nil {
		t.Fatal(err)
	}
	return &pipeline.Sample{Key: key, Fields: []pipeline.Field{{Name: "json", Data: data}}}
}

func commit(t fataler, c *ledger.Chain, e ledger.Entry) {
	t.Helper()
	if err := c.Commit(context.Background(), e); err != nil {
		t.Fatal(err)
	}
}

// open reads a whole shard from a store.
func open(s store.Store) func(context.Context, ledger.Shard) (shard.Reader, error) {
	return func(ctx context.Context, sh ledger.Shard) (shard.Reader, error) {
		rc, _, err := s.Get(ctx, sh.Key, 0, -1)
		if err != nil {
			return nil, err
		}
		defer rc.Close()
		data, err := io.ReadAll(rc)
		if err != nil {
			return nil, err
		}
		return shard.Open(sh.Format, strings.NewReader(string(data)), int64(len(data)), shard.DefaultLimits())
	}
}

// keys are those of all samples that records name, sorted.
func keys(t fataler, s store.Store) []string {
	t.Helper()
	var all []string
	e := &explainer{ctx: context.Background(), s: store.Plain{Store: s}, o: Options{Open: open(s)}}
	for item, err := range ledger.Records(context.Background(), store.Plain{Store: s}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		for _, sh := range item.Record.Shards {
			err := e.walk(context.Background(), sh, func(_ shard.Reader, x *shard.Entry) (bool, error) {
				all = append(all, x.Key)
				return false, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(all)
	return all
}
