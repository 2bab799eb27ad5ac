package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// cutters are mills that give two samples a job, with as many patches as follow from its
// id, in an order of finishing that is chance. What else they do is up to the id's first
// word: "wide" ones have wider patches and words; "bare" ones no tokens; "long" ones too many;
// "odd" ones say what is not so; "torn" ones have an array that is none.
type cutters struct{ budget int }

func (c cutters) Do(ctx context.Context, a *mill.Assignment, sink mill.Sink) (pipeline.Verdict, error) {
	select {
	case <-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond):
	case <-ctx.Done():
		return pipeline.Verdict{}, ctx.Err()
	}
	if strings.HasPrefix(a.Job.ID, "bad") {
		return pipeline.Verdict{Fault: &pipeline.Fault{Code: string(codecs.CodeInvalid), Stage: "decode", Detail: "bad"}}, nil
	}
	for i := range 2 {
		if err := sink.Add(c.sample(a.Job.ID, i, a.Recipe.Digest)); err != nil {
			return pipeline.Verdict{}, err
		}
	}
	return pipeline.Verdict{Samples: 2}, nil
}

func (c cutters) sample(id string, i int, recipe string) *pipeline.Sample {
	kind, _, _ := strings.Cut(id, "-")
	count, width := 1+len(id)*7%5+i*3, 12
	for _, b := range id {
		count += int(b) % 4
	}
	promised := count
	switch kind {
	case "wide":
		width = 24
	case "long":
		count, promised = c.budget+1, c.budget+1
	case "odd":
		promised++
	}
	s := &pipeline.Sample{Key: pipeline.SampleKey("d", id, 0, 0, codecs.NewRational(int64(i), 1))}
	info := fmt.Sprintf(`{"key":%q,"recipe":%q,"id":%q,"tokens":{"p":{"count":%d,"language":%d}}}`, s.Key, recipe, id, promised, promised)
	patches := patch.AppendNPY(nil, patch.Array{DType: "uint8", Shape: []int{count, width}, Data: bytes.Repeat([]byte{byte(count)}, count*width)})
	grid := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 1), uint64(promised))
	if kind == "bare" {
		info = fmt.Sprintf(`{"key":%q,"recipe":%q}`, s.Key, recipe)
	}
	if kind == "torn" {
		patches = patches[:len(patches)-1]
	}
	s.Fields = []pipeline.Field{{Name: "json", Data: []byte(info)}, {Name: "p.patches.npy", Data: patches},
		{Name: "p.grid.npy", Data: patch.AppendNPY(nil, patch.Array{DType: "int64", Shape: []int{2}, Data: grid})},
		{Name: "frame.jpg", Data: make([]byte, 3000)}}
	if kind == "wide" {
		s.Fields = append(s.Fields, pipeline.Field{Name: "txt", Data: []byte("words")})
	}
	return s
}

// packs is a bench whose recipe has the given outputs; a shard holds a few samples.
func packs(t *testing.T, outputs ...pipeline.Output) *bench {
	b := newBench(t)
	b.recipe.Tokens, b.recipe.Keep.Frame = []patch.Spec{{Name: "p", Layout: patch.NaFlex}}, "jpeg"
	b.recipe.Outputs = outputs
	for i := range b.recipe.Outputs {
		o := &b.recipe.Outputs[i]
		o.ShardBytes, o.ShardSamples, o.ShardAge = 50_000, 20, time.Minute
	}
	b.work = cutters{budget: 64}
	return b
}

func pack(budget, window int) *pipeline.Pack {
	return &pipeline.Pack{Tokens: "p", Budget: budget, Count: "patches", Window: window, Multiple: 1, Mode: "first_fit_decreasing"}
}

func (b *bench) feed(n int64, id func(int64) string) error {
	return b.run(b.t.Context(), func(next int64) Feed { return &jobs{next: next, end: n, id: id} })
}

// record is a commit record and what its shards hold.
type record struct {
	*ledger.Record
	outcomes []ledger.Outcome
	samples  map[string][]*pipeline.Sample // by format
}

// records reads the chain and all that it names.
func (b *bench) records() (l []record) {
	b.t.Helper()
	for item, err := range ledger.Read(b.t.Context(), store.Plain{Store: b.store}, ledger.NamedStream("s"), 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		r := record{Record: item.Record, samples: map[string][]*pipeline.Sample{}}
		if r.outcomes, err = ledger.Outcomes(b.t.Context(), store.Plain{Store: b.store}, item.Record); err != nil {
			b.t.Fatal(err)
		}
		for _, sh := range r.Shards {
			samples := b.samples(sh)
			if int64(len(samples)) != sh.Samples {
				b.t.Errorf("shard %s has %d samples, and says %d", sh.Key, len(samples), sh.Samples)
			}
			r.samples[sh.Format] = append(r.samples[sh.Format], samples...)
		}
		l = append(l, r)
	}
	return l
}

func (b *bench) samples(sh ledger.Shard) (l []*pipeline.Sample) {
	b.t.Helper()
	rc, _, err := b.store.Get(b.t.Context(), sh.Key, 0, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := shard.Open(sh.Format, bytes.NewReader(data), sh.Bytes, shard.DefaultLimits())
	if err != nil {
		b.t.Fatal(err)
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return l
		}
		if err != nil {
			b.t.Fatal(sh.Key, err)
		}
		s := &pipeline.Sample{Key: e.Key}
		for i, f := range e.Fields {
			data, err := io.ReadAll(r.Open(i))
			if err != nil {
				b.t.Fatal(sh.Key, err)
			}
			s.Fields = append(s.Fields, pipeline.Field{Name: f.Name, Data: data})
		}
		l = append(l, s)
	}
}

func (b *bench) verify() *ledger.Report {
	b.t.Helper()
	r, err := ledger.Verify(b.t.Context(), store.Plain{Store: b.store}, ledger.VerifyOptions{Deep: true}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// members are the keys of the samples in a sequence, and the recipes that made them.
func members(t *testing.T, s *pipeline.Sample) (keys []string, recipes []string, seq pipeline.Sequence) {
	t.Helper()
	for _, f := range s.Fields {
		if f.Name != "json" {
			continue
		}
		if err := json.Unmarshal(f.Data, &seq); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range seq.Members {
		var d struct{ Key, Recipe string }
		if err := json.Unmarshal(m, &d); err != nil {
			t.Fatal(err)
		}
		keys, recipes = append(keys, d.Key), append(recipes, d.Recipe)
	}
	if seq.Kind != "sequence" || len(keys) == 0 {
		t.Fatalf("sample %s is no sequence", s.Key)
	}
	return keys, recipes, seq
}

func expected(outcomes []ledger.Outcome) (keys []string) {
	for _, o := range outcomes {
		for i := range o.Samples {
			keys = append(keys, pipeline.SampleKey("d", o.ID, 0, 0, codecs.NewRational(i, 1)))
		}
	}
	sort.Strings(keys)
	return keys
}

func plain(o int64) string { return fmt.Sprint("job-", o) }
