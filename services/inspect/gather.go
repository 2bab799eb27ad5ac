package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// Limits of what is held at a time, whatever the dataset's size.
const (
	mostProblems    = 20
	mostFieldNames  = 1024
	mostDescription = 16 << 20 // bytes of a sample's json
	mostListed      = 100_000  // samples of one shard
)

// gatherer makes a Report from samples, one after another.
type gatherer struct {
	report                        Report
	fields                        map[string]*fieldTally
	tokens                        map[string]*TokenLine
	kinds, codecs, sizes, recipes tally
	medium                        string // the last sample's origin
	list                          bool
	buf                           []byte
}

type fieldTally struct {
	FieldLine
	arrays tally
}

// Dataset looks into all shards. A shard that can not be read to its end is a problem
// in the Report, not an error; the error is for ctx.
func Dataset(ctx context.Context, name string, shards []Source) (*Report, error) {
	return gather(ctx, name, shards, false)
}

// Shard looks into one shard, and lists its samples.
func Shard(ctx context.Context, s Source) (*Report, error) {
	return gather(ctx, s.Key, []Source{s}, true)
}

func gather(ctx context.Context, name string, shards []Source, list bool) (*Report, error) {
	g := &gatherer{fields: map[string]*fieldTally{}, tokens: map[string]*TokenLine{}, list: list}
	g.report.Name = name
	g.report.Shards = make([]ShardLine, 0, len(shards))
	for i := range shards {
		if err := g.shard(ctx, &shards[i]); err != nil {
			return nil, err
		}
	}
	return g.finish(), nil
}

func (g *gatherer) shard(ctx context.Context, s *Source) error {
	line := ShardLine{Key: s.Key, Bytes: s.Bytes}
	err := s.walk(ctx, func(r shard.Reader, e *shard.Entry) error {
		t := g.sample(r, e)
		line.Samples++
		if line.Samples == 1 {
			line.First = e.Key
		}
		line.Last = e.Key
		widen(&line.From, &line.To, t)
		return ctx.Err()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		g.problem("%v", err)
	} else if s.Samples > 0 && s.Samples != line.Samples {
		g.problem("shard %s holds %d samples; its record says %d", s.Key, line.Samples, s.Samples)
	}
	g.report.Samples += line.Samples
	g.report.Bytes += line.Bytes
	widen(&g.report.From, &g.report.To, line.From)
	widen(&g.report.From, &g.report.To, line.To)
	g.report.Shards = append(g.report.Shards, line)
	return nil
}

// sample counts one sample, and returns its presentation time.
func (g *gatherer) sample(r shard.Reader, e *shard.Entry) *float64 {
	for i := range e.Fields {
		g.field(r, e, i)
	}
	line := SampleLine{Key: e.Key, Bytes: e.Bytes()}
	d, err := describe(r, e, &g.buf)
	switch {
	case err != nil:
		g.problem("%v", err)
	case d == nil: // of someone else's making
		g.report.Media++
	default:
		g.described(d, &line)
	}
	if g.list && len(g.report.List) < mostListed {
		g.report.List = append(g.report.List, line)
	}
	return line.Time
}

func (g *gatherer) described(d *pipeline.Description, line *SampleLine) {
	line.Kind, line.Time, line.Size = d.Kind, d.PTSSeconds, d.Size
	if m := fmt.Sprintf("%q %q %d %d", d.Dataset, d.ID, d.Medium, d.Track); m != g.medium {
		g.medium = m
		g.report.Media++
	}
	g.kinds.add(d.Kind)
	g.codecs.add(strings.Trim(d.Container+"/"+d.Codec, "/"))
	g.recipes.add(d.Recipe)
	if d.Size != nil {
		g.sizes.add(fmt.Sprintf("%dx%d", d.Size[0], d.Size[1]))
	}
	for _, name := range slices.Sorted(maps.Keys(d.Tokens)) {
		t, n := d.Tokens[name], int64(d.Tokens[name].Count)
		line.Tokens += n
		id := fmt.Sprintf("%s %s %d %s", name, t.Layout, t.Patch, t.DType) // recipes change
		sum := g.tokens[id]
		if sum == nil {
			if len(g.tokens) >= mostValues {
				continue
			}
			sum = &TokenLine{Name: name, Layout: t.Layout, Patch: t.Patch, DType: t.DType, Least: n}
			g.tokens[id] = sum
		}
		sum.Samples++
		sum.Tokens += n
		sum.Least, sum.Most = min(sum.Least, n), max(sum.Most, n)
	}
}

func (g *gatherer) field(r shard.Reader, e *shard.Entry, i int) {
	f := e.Fields[i]
	t := g.fields[f.Name]
	if t == nil {
		if len(g.fields) >= mostFieldNames {
			return
		}
		t = &fieldTally{FieldLine: FieldLine{Name: f.Name, Least: f.Size}}
		g.fields[f.Name] = t
	}
	t.Samples++
	t.Bytes += f.Size
	t.Least, t.Most = min(t.Least, f.Size), max(t.Most, f.Size)
	if isArray(f.Name) {
		a, err := readArray(r.Open(i), f.Size)
		if err != nil {
			g.problem("sample %s, field %s: %v", e.Key, f.Name, err)
			return
		}
		t.arrays.add(a.String())
	}
}

func isArray(name string) bool { return name == "npy" || strings.HasSuffix(name, ".npy") }

func (g *gatherer) problem(format string, args ...any) {
	g.report.Faults++
	if len(g.report.Problems) < mostProblems {
		g.report.Problems = append(g.report.Problems, fmt.Sprintf(format, args...))
	}
}

func (g *gatherer) finish() *Report {
	r := &g.report
	r.Fields = []FieldLine{}
	for _, name := range slices.Sorted(maps.Keys(g.fields)) {
		t := g.fields[name]
		t.Arrays = t.arrays.counts()
		r.Fields = append(r.Fields, t.FieldLine)
	}
	for _, id := range slices.Sorted(maps.Keys(g.tokens)) {
		r.Tokens = append(r.Tokens, *g.tokens[id])
	}
	r.Kinds, r.Codecs, r.Sizes, r.Recipes = g.kinds.counts(), g.codecs.counts(), g.sizes.counts(), g.recipes.counts()
	return r
}

// describe reads a sample's field json; nil where it has none, or one of other software
// that means something else by these names. buf is used again.
func describe(r shard.Reader, e *shard.Entry, buf *[]byte) (*pipeline.Description, error) {
	i := e.Field("json")
	if i < 0 {
		return nil, nil
	}
	data, err := shard.ReadField(r, e, i, *buf, shard.Limits{MaxSampleBytes: mostDescription})
	if err != nil {
		return nil, err
	}
	*buf = data[:0]
	d := new(pipeline.Description)
	var other *json.UnmarshalTypeError
	if err := json.Unmarshal(data, d); errors.As(err, &other) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("sample %s, field json: %w", e.Key, err)
	}
	return d, nil
}
