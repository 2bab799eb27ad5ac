package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
)

// change is done to a sample, or to it and the next.
type change struct {
	name string
	do   func(t testing.TB, a, b *pipeline.Sample)
}

//nolint:gochecknoglobals // a constant
var changes = []change{
	{"a bit of an array", func(t testing.TB, a, _ *pipeline.Sample) { flip(t, a, "vit.patches.npy") }},
	{"a bit of a picture", func(t testing.TB, a, _ *pipeline.Sample) { flip(t, a, "frame.jpg") }},
	{"a bit of a video", func(t testing.TB, a, _ *pipeline.Sample) { flip(t, a, "clip.mp4") }},
	{"a bit of a sound", func(t testing.TB, a, _ *pipeline.Sample) { flip(t, a, "audio.flac") }},
	{"another truth value", func(t testing.TB, a, _ *pipeline.Sample) {
		data := *field(t, a, "valid.npy")
		data[len(data)-1] ^= 1
	}},
	{"another dtype", func(t testing.TB, a, _ *pipeline.Sample) {
		reshape(t, a, func(v *patch.Array) { v.DType = "int32" })
	}},
	{"another shape", func(t testing.TB, a, _ *pipeline.Sample) {
		reshape(t, a, func(v *patch.Array) { slices.Reverse(v.Shape) })
	}},
	{"another text", func(t testing.TB, a, _ *pipeline.Sample) { *field(t, a, "txt") = []byte("ein Baer") }},
	{"a number of the JSON", func(t testing.TB, a, _ *pipeline.Sample) {
		*field(t, a, "json") = bytes.Replace(*field(t, a, "json"), []byte(`"index":0`), []byte(`"index":1`), 1)
	}},
	{"a field less", func(_ testing.TB, a, _ *pipeline.Sample) {
		a.Fields = slices.DeleteFunc(a.Fields, func(f pipeline.Field) bool { return f.Name == "siglip2.mask.npy" })
	}},
	{"two samples' arrays for each other's", func(t testing.TB, a, b *pipeline.Sample) {
		x, y := field(t, a, "siglip2.patches.npy"), field(t, b, "siglip2.patches.npy")
		*x, *y = *y, *x
	}},
	{"a sample less", func(_ testing.TB, a, _ *pipeline.Sample) { a.Fields = nil }},
}

// Every reading sees each change of a sample, in that sample and in no other.
func TestReadersSeeChanges(t *testing.T) {
	clean := realSamples(t)
	if len(clean) < 2*len(changes) {
		t.Fatalf("%d samples, want two or more for each of %d changes", len(clean), len(changes))
	}
	want, why := facts{}, map[string]string{}
	for i := range clean {
		want.add(t, &clean[i])
	}
	changed := clone(clean)
	for i, c := range changes {
		a, b := &changed[2*i], &changed[2*i+1]
		c.do(t, a, b)
		why[a.Key] = c.name
		if strings.HasPrefix(c.name, "two") {
			why[b.Key] = c.name
		}
	}
	changed = slices.DeleteFunc(changed, func(s pipeline.Sample) bool { return len(s.Fields) == 0 })
	commit(t, changed).each(t, []reading{inPlace}, func(name string, saw facts, faults []string) {
		if len(faults) > 0 {
			t.Errorf("%s: faults are %q", name, faults)
		}
		d := differences(saw, want)
		for key, what := range why {
			if d[key] == "" {
				t.Errorf("%s: %s, and nobody sees it", name, what)
			}
			delete(d, key)
		}
		for key := range d {
			t.Errorf("%s: %s was not changed, but differs: %s", name, key, d[key])
		}
	})
}

// A damaged file is a fault, of the library or of its script, or it shows in the samples.
func TestReadersSeeDamage(t *testing.T) {
	p := commit(t, realSamples(t)[:3])
	want := p.own(t)
	shards, err := catalog.Shards(t.Context(), p, p.snap, "")
	if err != nil {
		t.Fatal(err)
	}
	bit := func(b []byte) []byte { b[len(b)*3/4] ^= 1; return b }
	half := func(b []byte) []byte { return b[:len(b)/2] }
	for _, c := range []struct {
		reading string
		file    string // of the store, or a format: its shard
		ending  string
		damage  func([]byte) []byte
		why     string // "" where only the samples tell
	}{
		{"webdataset", shard.WebDataset, "", bit, ""},
		{"wids", shard.WebDataset, "", bit, ""},
		{"wids", shard.WebDataset, "", half, "bytes, the index says"},
		{"megatron-energon", shard.WebDataset, "", bit, ""},
		{"megatron-energon", shard.WebDataset, "", half, "holds 0 samples, .info.json says 3"},
		{"megatron-energon", shard.WebDataset, ".idx", func(b []byte) []byte { b[8]++; return b }, "not what energon prepare writes"},
		{"mosaicml-streaming", shard.MDS, "", bit, "Checksum failure"},
		{"mosaicml-streaming, in place", shard.MDS, "", bit, ""},
		{"pyarrow", shard.Parquet, "", bit, ""},
		{"pyarrow", shard.Parquet, "", half, "magic bytes not found in footer"},
		{"datasets", shard.Parquet, "", half, "magic bytes not found in footer"},
	} {
		all := append(slices.Clone(readings), inPlace)
		r := all[slices.IndexFunc(all, func(r reading) bool { return r.name == c.reading })]
		sh := shards[slices.IndexFunc(shards, func(s ledger.Shard) bool { return s.Format == c.file })]
		restore := damage(t, filepath.Join(p.url, sh.Key+c.ending), c.damage)
		saw, faults, err := r.run(t, p.args(r))
		restore()
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(faults, "\n")
		if c.why != "" && !strings.Contains(text, c.why) {
			t.Errorf("%s, damaged %s%s: faults are %q, want %q", c.reading, c.file, c.ending, text, c.why)
		}
		if d := differences(saw, want); c.why == "" && (len(faults) > 0 || len(d) != 1) {
			t.Errorf("%s, damaged %s%s: %d samples differ, want 1; faults are %q", c.reading, c.file, c.ending, len(d), text)
		}
	}
}

// damage changes a file, until the function that it returns is called.
func damage(t testing.TB, path string, by func([]byte) []byte) func() {
	t.Helper()
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		if err := os.Remove(path); err != nil { // it may not be written to
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(by(bytes.Clone(was)))
	return func() { write(was) }
}

// realSamples are of real stills, with fields of every other kind: texts, a video, a
// sound, truth values, an array without dimensions and one without elements.
func realSamples(t testing.TB) []pipeline.Sample {
	t.Helper()
	p := folder(t)
	output(t, exitDone, nil, "backfill", "-q", media(t, 30, 0), "--recipe", recipeFile(t, "real"), "--to", p.url)
	shards, err := catalog.Shards(t.Context(), p, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	clip, err := os.ReadFile("../../testdata/videos/clip5_100x60.mp4")
	if err != nil {
		t.Fatal(err)
	}
	sound, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=r=16000:d=0.1", "-f", "flac", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := readSamples(t, p, shards)
	for i := range all {
		all[i].Fields = append(all[i].Fields,
			pipeline.Field{Name: "txt", Data: []byte("ein Bär")},
			pipeline.Field{Name: "clip.mp4", Data: clip},
			pipeline.Field{Name: "audio.flac", Data: sound},
			pipeline.Field{Name: "cues.json", Data: []byte(`[{"at":0.1,"text":"é"}]`)},
			pipeline.Field{Name: "valid.npy", Data: patch.AppendNPY(nil, patch.Array{DType: "bool", Shape: []int{4}, Data: []byte{1, 0, 0, 1}})},
			pipeline.Field{Name: "at.npy", Data: patch.AppendNPY(nil, patch.Array{DType: "int64", Data: []byte{7, 0, 0, 0, 0, 0, 0, 0}})},
			pipeline.Field{Name: "boxes.npy", Data: patch.AppendNPY(nil, patch.Array{DType: patch.Float32, Shape: []int{0, 4}})},
		)
	}
	return all
}

func clone(samples []pipeline.Sample) []pipeline.Sample {
	all := slices.Clone(samples)
	for i := range all {
		all[i].Fields = slices.Clone(all[i].Fields)
		for k := range all[i].Fields {
			all[i].Fields[k].Data = bytes.Clone(all[i].Fields[k].Data)
		}
	}
	return all
}

// commit writes samples as one record with shards in each format, and publishes them.
func commit(t testing.TB, samples []pipeline.Sample) published {
	t.Helper()
	p := folder(t)
	c, err := ledger.Open(t.Context(), store.Plain{Store: p}, ledger.NamedStream("made"), ledger.Options{})
	if err == nil {
		err = c.Begin(t.Context(), 0)
	}
	if err == nil {
		err = c.Fence(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	e := ledger.Entry{To: 1, Outcomes: []ledger.Outcome{{ID: "made", Dataset: "made", Status: ledger.OK, Samples: int64(len(samples))}}}
	for _, format := range shard.Formats() {
		alike := map[string][]pipeline.Sample{}
		for _, s := range samples {
			shape, err := shard.Shape(format, &s)
			if err != nil {
				t.Fatal(err)
			}
			alike[shape] = append(alike[shape], s)
		}
		for _, shape := range slices.Sorted(maps.Keys(alike)) {
			e.Shards = append(e.Shards, upload(t, p, c, format, alike[shape]))
		}
	}
	if err := c.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return publish(t, p)
}

func upload(t testing.TB, p place, c *ledger.Chain, format string, samples []pipeline.Sample) ledger.Shard {
	t.Helper()
	w, err := shard.Create(t.TempDir(), format, shard.Options{Name: ulid.Make().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for i := range samples {
		if err := w.Add(&samples[i]); err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, ext, _ := strings.Cut(s.Name, ".")
	key := c.ShardKey(ext)
	if err := store.Upload(t.Context(), p, key, store.Body{Data: s, Size: s.Bytes, SHA256: s.SHA256, CRC32C: s.CRC32C}); err != nil {
		t.Fatal(err)
	}
	return ledger.Shard{Key: key, Dataset: "made", Format: format, Bytes: s.Bytes, SHA256: s.SHA256Hex(),
		CRC32C: fmt.Sprintf("%08x", s.CRC32C), Samples: int64(s.Samples()), From: 0, To: 1}
}

func field(t testing.TB, s *pipeline.Sample, name string) *[]byte {
	t.Helper()
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return &s.Fields[i].Data
		}
	}
	t.Fatalf("%s has no field %s", s.Key, name)
	return nil
}

func flip(t testing.TB, s *pipeline.Sample, name string) {
	t.Helper()
	data := *field(t, s, name)
	data[len(data)*3/4] ^= 1
}

func reshape(t testing.TB, s *pipeline.Sample, change func(*patch.Array)) {
	t.Helper()
	data := field(t, s, "siglip2.patches.npy")
	a, err := patch.ParseNPY(*data)
	if err != nil {
		t.Fatal(err)
	}
	change(&a)
	*data = patch.AppendNPY(nil, a)
}
