package shard_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

func create(t testing.TB, name string) *shard.Writer {
	t.Helper()
	w, err := shard.Create(t.TempDir(), shard.WebDataset, shard.Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Abort)
	return w
}

func add(t testing.TB, w *shard.Writer, samples ...pipeline.Sample) {
	t.Helper()
	for i := range samples {
		if err := w.Add(&samples[i]); err != nil {
			t.Fatal(err)
		}
	}
}

func seal(t testing.TB, w *shard.Writer) *shard.Sealed {
	t.Helper()
	s, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func fields(kv ...string) []pipeline.Field {
	var fs []pipeline.Field
	for i := 0; i < len(kv); i += 2 {
		fs = append(fs, pipeline.Field{Name: kv[i], Data: []byte(kv[i+1])})
	}
	return fs
}

func small() []pipeline.Sample {
	return []pipeline.Sample{
		{Key: "a-0-0-000000000000000", Fields: fields("json", `{"i":1}`, "vit.patches.npy", strings.Repeat("x", 1000), "frame.jpg", "j")},
		{Key: "a-0-0-000000500000000", Fields: fields("json", `{"i":2}`, "vit.patches.npy", strings.Repeat("y", 512), "txt", "words")},
	}
}

// The bytes of a shard are a promise: they may change only together with the
// version of the program that stands in each sample.
func TestBytesAreFixed(t *testing.T) {
	w := create(t, "01H")
	add(t, w, small()...)
	s := seal(t, w)
	const want = "1448dd3118a9f6c2e944beab0601953ef444101d980264a6345a5fa35136f258"
	if s.SHA256Hex() != want {
		t.Errorf("SHA-256 is %s, want %s", s.SHA256Hex(), want)
	}
	if s.Name != "01H.tar" || s.Samples() != 2 || s.Bytes != 3584+3072+1024 {
		t.Errorf("sealed %s: %d samples, %d bytes", s.Name, s.Samples(), s.Bytes)
	}
}

func readAll(t testing.TB, s *shard.Sealed) []pipeline.Sample {
	t.Helper()
	r, err := shard.Open(shard.WebDataset, s, s.Bytes, shard.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var all []pipeline.Sample
	for i := 0; ; i++ {
		e, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := s.Entries[i]; fmt.Sprint(*e) != fmt.Sprint(want) {
			t.Fatalf("entry %d is read as %v, was written as %v", i, *e, want)
		}
		var p pipeline.Sample
		if err := shard.ReadSample(r, e, &p, shard.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestReadsWhatWasAdded(t *testing.T) {
	w := create(t, "x")
	add(t, w, small()...)
	if w.Samples() != 2 || w.Bytes() != 3584+3072 {
		t.Errorf("%d samples, %d bytes", w.Samples(), w.Bytes())
	}
	got := readAll(t, seal(t, w))
	if fmt.Sprint(got) != fmt.Sprint(small()) {
		t.Errorf("read %v", got)
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("k", 60)
	for why, s := range map[string]pipeline.Sample{
		"the key is empty":                    {Key: "", Fields: fields("json", "{}")},
		`the key has '.'`:                     {Key: "a.b", Fields: fields("json", "{}")},
		`the key has '/'`:                     {Key: "a/b", Fields: fields("json", "{}")},
		`the key has '_' at byte 0`:           {Key: "__key__", Fields: fields("json", "{}")},
		"no fields":                           {Key: "a"},
		"a field has no name":                 {Key: "a", Fields: fields("", "x")},
		`has 'J' at byte 0`:                   {Key: "a", Fields: fields("JSON", "x")},
		`has '.' at byte 4`:                   {Key: "a", Fields: fields("vit..npy", "x")},
		"ends with a dot":                     {Key: "a", Fields: fields("vit.", "x")},
		`has '_' at byte 0`:                   {Key: "a", Fields: fields("__url__", "x")},
		`field "txt" is empty`:                {Key: "a", Fields: fields("json", "{}", "txt", "")},
		`field "txt" comes twice`:             {Key: "a", Fields: fields("txt", "a", "txt", "b")},
		"is in the shard already":             {Key: "good", Fields: fields("json", "{}")},
		"the name has 101 bytes; a shard's n": {Key: long, Fields: fields(strings.Repeat("f", 40), "x")},
	} {
		w := create(t, "x")
		add(t, w, pipeline.Sample{Key: "good", Fields: fields("json", "{}")})
		err := w.Add(&s)
		var r *shard.Refused
		if !errors.As(err, &r) || !strings.Contains(err.Error(), why) || r.Key != s.Key {
			t.Errorf("%q: the error is %v", why, err)
		}
		add(t, w, pipeline.Sample{Key: long, Fields: fields(strings.Repeat("f", 39), "x")})
		if got := readAll(t, seal(t, w)); len(got) != 2 {
			t.Errorf("%q: %d samples after the refusal", why, len(got))
		}
	}
}

func TestOneEnd(t *testing.T) {
	w := create(t, "x")
	add(t, w, small()...)
	s := seal(t, w)
	w.Abort()
	if err := w.Add(&small()[0]); err == nil || !strings.Contains(err.Error(), "sealed or aborted already") {
		t.Errorf("Add after Seal: %v", err)
	}
	if _, err := w.Seal(); err == nil {
		t.Error("Seal after Seal")
	}
	if got := readAll(t, s); len(got) != 2 {
		t.Errorf("Abort after Seal took %d samples away", 2-len(got))
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}

	w = create(t, "x")
	if _, err := w.Seal(); err == nil || !strings.Contains(err.Error(), "no samples") {
		t.Errorf("Seal of nothing: %v", err)
	}
	if _, err := shard.Create(t.TempDir(), "zip", shard.Options{Name: "x"}); err == nil || !strings.Contains(err.Error(), `"zip" is not one of [webdataset mds parquet]`) {
		t.Errorf("an unknown format: %v", err)
	}
}

func BenchmarkAddSeal(b *testing.B) {
	const samples, size = 100, 600 << 10
	data := make([]byte, size) // noise, as no picture is: compression has the most to do and the least to gain
	rand.NewChaCha8([32]byte{}).Read(data)
	data = npy("uint8", []int{size}, data)
	for _, f := range forms {
		b.Run(f.String(), func(b *testing.B) {
			dir := b.TempDir()
			b.SetBytes(samples * int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				w := f.create(b, dir)
				for i := range samples {
					s := pipeline.Sample{Key: fmt.Sprintf("%048d", i), Fields: append(fields("json", `{"key":"k"}`), pipeline.Field{Name: "vit.patches.npy", Data: data})}
					add(b, w, s)
				}
				s, err := w.Seal()
				if err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}
