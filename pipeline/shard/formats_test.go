package shard_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// form is a format with a compression.
type form struct{ format, compression string }

func (f form) String() string { return f.format + f.compression }

var forms = []form{{shard.WebDataset, ""}, {shard.MDS, ""}, {shard.MDS, shard.Zstd}, {shard.Parquet, ""}, {shard.Parquet, shard.Zstd}}

func (f form) create(t testing.TB, dir string, fields ...string) *shard.Writer {
	t.Helper()
	w, err := shard.Create(dir, f.format, shard.Options{Name: "x", Compression: f.compression, Fields: fields})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Abort)
	return w
}

// readIn reads a shard's samples, each with its fields in the order of their names.
func readIn(t testing.TB, format string, data io.ReaderAt, size int64) []pipeline.Sample {
	t.Helper()
	r, err := shard.Open(format, data, size, shard.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var all []pipeline.Sample
	for {
		e, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var s pipeline.Sample
		if err := shard.ReadSample(r, e, &s, shard.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		byName(&s)
		all = append(all, s)
	}
}

func byName(s *pipeline.Sample) {
	slices.SortFunc(s.Fields, func(a, b pipeline.Field) int { return strings.Compare(a.Name, b.Name) })
}

// odd has what formats treat in ways of their own.
func odd() []pipeline.Field {
	fs := fields("json", `{"a":[1,2.5e300]}`, "txt", "ein Bär", "frame.jpg", "\xff\xd8\xff", "frame.png", "\x89PNG", "thumb.webp", "RIFF",
		"audio.flac", "fLaC", "audio.wav", "RIFF", "clip.mp4", "ftyp", "chat.json", `[]`, "bin", "\x00\xff")
	for i, a := range []struct {
		dtype string
		shape []int
		bytes int
	}{
		{"uint8", []int{2, 3}, 6}, {"bool", []int{2}, 2}, {"float16", []int{1, 1, 1, 1}, 2}, {"uint16", []int{300}, 600},
		{"float32", []int{1}, 4}, {"int32", []int{70_000, 1}, 280_000}, {"int64", []int{2}, 16}, {"uint8", []int{}, 1}, {"float32", []int{0, 4}, 0},
	} {
		fs = append(fs, pipeline.Field{Name: fmt.Sprintf("l%d.patches.npy", i), Data: npy(a.dtype, a.shape, bytes.Repeat([]byte{1}, a.bytes))})
	}
	return append(fs, pipeline.Field{Name: "bin.npy", Data: npy("uint8", []int{1}, []byte{7})}, pipeline.Field{Name: "npy", Data: npy("uint8", []int{1}, []byte{8})})
}

// Each format gives back, byte by byte, whatever fields a sample has.
func TestFormatsGiveBack(t *testing.T) {
	for _, f := range forms {
		t.Run(f.String(), func(t *testing.T) {
			w := f.create(t, t.TempDir(), "never.jpg", "json")
			var want []pipeline.Sample
			for i := range 3 {
				s := pipeline.Sample{Key: fmt.Sprint("k", i), Fields: odd()}
				add(t, w, s)
				byName(&s)
				want = append(want, s)
			}
			s := seal(t, w)
			if got := readIn(t, f.format, s, s.Bytes); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("read %.2000v\nwrote %.2000v", got, want)
			}
			if got, err := shard.FormatOf(s.Name); err != nil || got != f.format {
				t.Errorf("%s is taken for %q, %v", s.Name, got, err)
			}
			again := f.create(t, t.TempDir(), "json", "never.jpg")
			for i := range 3 {
				add(t, again, pipeline.Sample{Key: fmt.Sprint("k", i), Fields: odd()})
			}
			if b := seal(t, again); b.SHA256 != s.SHA256 {
				t.Errorf("the same samples make %s, then %s", s.SHA256Hex(), b.SHA256Hex())
			}
		})
	}
}

// Samples of any shapes, sorted into shards by Shape, come back whole.
func TestShapesSort(t *testing.T) {
	dir, all := t.TempDir(), odd()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(forms).Draw(t, "form")
		open := map[string]*shard.Writer{}
		want := map[string]string{}
		for i := range rapid.IntRange(1, 6).Draw(t, "samples") {
			s := pipeline.Sample{Key: fmt.Sprint(i)}
			for _, k := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(all)-1), 1, 6, rapid.ID).Draw(t, "fields") {
				s.Fields = append(s.Fields, all[k])
			}
			shape, err := shard.Shape(f.format, &s)
			if err != nil {
				t.Fatal(err)
			}
			w := open[shape]
			if w == nil {
				if w, err = shard.Create(dir, f.format, shard.Options{Name: "x", Compression: f.compression}); err != nil {
					t.Fatal(err)
				}
				defer w.Abort()
				open[shape] = w
			}
			if err := w.Add(&s); err != nil {
				t.Fatal(err)
			}
			byName(&s)
			want[s.Key] = fmt.Sprint(s)
		}
		for _, w := range open {
			s, err := w.Seal()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r, err := shard.Open(f.format, s, s.Bytes, shard.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			for {
				e, err := r.Next()
				if err == io.EOF {
					break
				}
				var got pipeline.Sample
				if err == nil {
					err = shard.ReadSample(r, e, &got, shard.DefaultLimits())
				}
				if err != nil {
					t.Fatal(err)
				}
				if byName(&got); fmt.Sprint(got) != want[got.Key] {
					t.Fatalf("%s: read %v", f, got)
				}
				delete(want, got.Key)
			}
		}
		if len(want) > 0 {
			t.Fatalf("%s: %d samples are lost", f, len(want))
		}
	})
}

func TestFormatsRefuse(t *testing.T) {
	plainNPY := npy("uint8", []int{1}, []byte{1})
	for _, c := range []struct {
		form
		fields []pipeline.Field
		why    string
	}{
		{form{shard.MDS, ""}, fields("json", "{}", "txt", "x"), "it belongs into another shard"},
		{form{shard.MDS, ""}, fields("json", "{"), "it belongs into another shard"},
		{form{shard.Parquet, ""}, fields("txt", "\xff"), "no UTF-8"},
		{form{shard.Parquet, ""}, fields("x.npy", "\x93NUMPY\x02"), "no array"},
		{form{shard.Parquet, ""}, fields("x.npy", strings.Replace(string(plainNPY), "'descr': ", "'descr':", 1)), "no array"},
	} {
		w := c.create(t, t.TempDir())
		add(t, w, pipeline.Sample{Key: "a", Fields: fields("json", "{}")})
		err := w.Add(&pipeline.Sample{Key: "b", Fields: c.fields})
		if r := (*shard.Refused)(nil); !errors.As(err, &r) || r.Key != "b" || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s, %q: %v", c.form, c.fields, err)
		}
		if s := seal(t, w); s.Samples() != 1 {
			t.Errorf("%s: %d samples after the refusal", c.form, s.Samples())
		}
	}
	for _, o := range []struct{ format, compression string }{{shard.WebDataset, shard.Zstd}, {shard.MDS, "gz"}, {"zip", ""}} {
		if _, err := shard.Create(t.TempDir(), o.format, shard.Options{Name: "x", Compression: o.compression}); err == nil {
			t.Errorf("%v was created", o)
		}
	}
}

// All parquet shards of a dataset have one schema, whatever fields their samples have,
// and row groups of a bounded size.
func TestParquetSchemaAndGroups(t *testing.T) {
	names := []string{"json", "txt", "vit.patches.npy", "frame.jpg", "audio.flac", "clip.mp4", "bin"}
	var schemas, features []string
	for _, fs := range [][]pipeline.Field{fields("json", "{}"), fields("bin", "x", "frame.jpg", "y")} {
		w := form{shard.Parquet, shard.Zstd}.create(t, t.TempDir(), names...)
		for i := range 3 {
			add(t, w, pipeline.Sample{Key: fmt.Sprint(i), Fields: append(fs[:len(fs):len(fs)], pipeline.Field{Name: "vit.patches.npy", Data: npy("uint8", []int{20 << 20}, make([]byte, 20<<20))})})
		}
		s := seal(t, w)
		f, err := parquet.OpenFile(s, s.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := f.Lookup("huggingface")
		schemas, features = append(schemas, f.Schema().String()), append(features, text)
		if n := len(f.RowGroups()); n != 2 || f.NumRows() != 3 {
			t.Errorf("3 rows of 20 MiB are in %d row groups of %d rows", n, f.NumRows())
		}
		if n := footerSize(t, s, s.Bytes); n > 10_000 {
			t.Errorf("the footer has %d bytes: values are in its statistics", n)
		}
	}
	if schemas[0] != schemas[1] || features[0] != features[1] {
		t.Errorf("schemas\n%s\n%s\nfeatures\n%s\n%s", schemas[0], schemas[1], features[0], features[1])
	}
	const want = `{"info":{"features":{"__key__":{"_type":"Value","dtype":"string"},"audio.flac":{"_type":"Audio"},"bin":{"_type":"Value","dtype":"binary"},` +
		`"clip.mp4":{"_type":"Video"},"frame.jpg":{"_type":"Image"},"json":{"_type":"Value","dtype":"string"},"txt":{"_type":"Value","dtype":"string"},` +
		`"vit.patches":{"data":{"_type":"Value","dtype":"binary"},"dtype":{"_type":"Value","dtype":"string"},"shape":{"_type":"Sequence","feature":{"_type":"Value","dtype":"int64"}}}}}}`
	if features[0] != want {
		t.Errorf("features %s", features[0])
	}
}

func footerSize(t *testing.T, r io.ReaderAt, size int64) uint32 {
	t.Helper()
	var b [4]byte
	if _, err := r.ReadAt(b[:], size-8); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint32(b[:])
}
