package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// inMemory is a Source of bytes, which counts its requests.
func inMemory(key string, data []byte, requests *int) Source {
	return Source{Key: key, Format: shard.WebDataset, Bytes: int64(len(data)), Get: func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		*requests++
		return io.NopCloser(io.NewSectionReader(bytes.NewReader(data), off, n)), nil
	}}
}

func sealed(t testing.TB, samples ...pipeline.Sample) []byte {
	t.Helper()
	w, err := shard.Create(t.TempDir(), shard.WebDataset, shard.Options{Name: "x"})
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
	data, err := io.ReadAll(s.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// cut is frame i of a video, as the line makes it: w x h pixels of pix through spec.
func cut(t testing.TB, i int, px codecs.Pixels, specs ...patch.Spec) pipeline.Sample {
	t.Helper()
	sec := float64(i) / 4
	pts := codecs.NewRational(int64(i), 4)
	d := pipeline.Description{
		Key: pipeline.SampleKey("set", "v", 0, 0, pts), Dataset: "set", ID: "v", Kind: "video", Container: "mp4", Codec: "h264",
		PTS: pts, PTSSeconds: &sec, Index: int64(i), Size: &[2]int{px.Width, px.Height}, Recipe: "5f3a", Tokens: map[string]pipeline.TokenInfo{},
	}
	s := pipeline.Sample{Key: d.Key, Fields: make([]pipeline.Field, 1)}
	for _, spec := range specs {
		spec = spec.Normalise()
		if spec.DType == "" {
			spec.DType = "uint8"
		}
		c, err := patch.New(spec, patch.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		tk, err := c.Cut(px)
		if err != nil {
			t.Fatal(err)
		}
		d.Tokens[spec.Name] = pipeline.TokenInfo{
			Layout: spec.Layout, Patch: spec.Patch, Count: tk.Count, DType: spec.DType,
			Resized: [2]int{tk.ResizedWidth, tk.ResizedHeight}, Mean: spec.Mean, Std: spec.Std,
		}
		s.Fields = append(s.Fields,
			pipeline.Field{Name: spec.Name + ".patches.npy", Data: patch.AppendNPY(nil, tk.Patches)},
			pipeline.Field{Name: spec.Name + ".grid.npy", Data: patch.AppendNPY(nil, tk.Grid)})
	}
	j, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	j = append(j, bytes.Repeat([]byte(" "), max(1024-len(j), 0))...) // sizes stay when a name is added
	s.Fields[0] = pipeline.Field{Name: "json", Data: j}
	return s
}

// paint fills a picture by a function of place.
func paint(w, h int, level func(x, y, c int) byte) codecs.Pixels {
	px := codecs.Pixels{Width: w, Height: h, Pix: make([]byte, 3*w*h)}
	for i := range px.Pix {
		px.Pix[i] = level(i/3%w, i/3/w, i%3)
	}
	return px
}

func gray(v byte) func(int, int, int) byte { return func(int, int, int) byte { return v } }

func frames(t testing.TB, from, to int) []pipeline.Sample {
	t.Helper()
	var ss []pipeline.Sample
	for i := from; i < to; i++ {
		ss = append(ss, cut(t, i, paint(64, 48, gray(byte(40*i))), patch.Spec{Layout: patch.ViT, Size: 32}, patch.Spec{Layout: patch.NaFlex, MaxPatches: 16}))
	}
	return ss
}

func TestDataset(t *testing.T) {
	var requests int
	a := inMemory("data/a.tar", sealed(t, frames(t, 0, 3)...), &requests)
	b := inMemory("data/b.tar", sealed(t, frames(t, 3, 5)...), &requests)
	a.Samples, b.Samples = 3, 2
	r, err := Dataset(t.Context(), "set", []Source{a, b})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, TextOptions{MaxShards: 1}); err != nil {
		t.Fatal(err)
	}
	const want = `set

  samples  5
  media    1
  shards   2, 104 KiB
  times    00:00.000 .. 00:01.000
  kinds    video
  codecs   mp4/h264
  sizes    64x48
  recipes  5f3a

  TOKENS  LAYOUT  PATCH  DTYPE  SAMPLES  TOKENS  LEAST  MOST
  naflex  naflex     16  uint8        5      60     12    12
  vit     vit        16  uint8        5      20      4     4

  FIELD               SAMPLES     BYTES     LEAST      MOST  DTYPE AND SHAPE
  json                      5   5.0 KiB   1.0 KiB   1.0 KiB
  naflex.grid.npy           5     720 B     144 B     144 B  int64 [2]
  naflex.patches.npy        5  60.6 KiB  12.1 KiB  12.1 KiB  uint8 [16, 768]
  vit.grid.npy              5     720 B     144 B     144 B  int64 [2]
  vit.patches.npy           5  15.6 KiB   3.1 KiB   3.1 KiB  uint8 [4, 768]

  SHARD       SAMPLES     BYTES  TIMES
  data/a.tar        3  62.5 KiB  00:00.000 .. 00:00.500
  ... and 1 more
`
	if text.String() != want {
		t.Errorf("the report is\n%s", text.String())
	}
	if r.Faults != 0 || r.Bytes != a.Bytes+b.Bytes || r.Shards[1].First != pipeline.SampleKey("set", "v", 0, 0, codecs.NewRational(3, 4)) {
		t.Errorf("%+v", r)
	}
	var again Report
	var j bytes.Buffer
	if err := errors.Join(WriteJSON(&j, r), json.Unmarshal(j.Bytes(), &again)); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", again.Fields) != fmt.Sprintf("%+v", r.Fields) || *again.To != 1 {
		t.Errorf("JSON: %s", j.String())
	}
}

func TestShardAndSample(t *testing.T) {
	data := sealed(t, frames(t, 0, 3)...)
	path := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Shard(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, TextOptions{MaxSamples: 2}); err != nil {
		t.Fatal(err)
	}
	key := pipeline.SampleKey("set", "v", 0, 0, codecs.NewRational(1, 4))
	if want := "  " + key + "  video  00:00.250  64x48      16  16.5 KiB\n  ... and 1 more\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("the report ends\n%s", text.String())
	}

	s, err := Sample(t.Context(), []Source{src}, key)
	if err != nil {
		t.Fatal(err)
	}
	if text.Reset(); s.WriteText(&text) != nil || !strings.Contains(text.String(), "  vit.patches.npy      3.1 KiB  uint8  [4, 768]\n") || !strings.Contains(text.String(), `    "pts": "1/4",`) {
		t.Errorf("the sample is\n%s", text.String())
	}
	if _, err := Sample(t.Context(), []Source{src}, "nobody"); err == nil || !strings.Contains(err.Error(), `no sample has the key "nobody"`) {
		t.Errorf("a key that is not there: %v", err)
	}
	if _, err := File(filepath.Join(t.TempDir(), "x.tar")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := File("x.zip"); err == nil || !strings.Contains(err.Error(), "no shard format") {
		t.Errorf("a zip: %v", err)
	}
}

func TestProblemsAreShown(t *testing.T) {
	var requests int
	ss := frames(t, 0, 3)
	ss[1].Fields[0].Data = []byte("{")
	ss[2].Fields[1].Data = ss[2].Fields[1].Data[:200]
	whole := sealed(t, ss...)
	cutOff := inMemory("cut.tar", whole[:len(whole)-1024], &requests)
	miscounted := inMemory("many\x1b[2J.tar", sealed(t, frames(t, 5, 6)...), &requests)
	miscounted.Samples = 7
	others := inMemory("others.tar", sealed(t, pipeline.Sample{Key: "a", Fields: []pipeline.Field{{Name: "json", Data: []byte(`{"id":5}`)}}}), &requests)
	r, err := Dataset(t.Context(), "set", []Source{cutOff, miscounted, others})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"field json: unexpected end of JSON input", "uint8 [4, 768] needs 3072 bytes and has 72",
		"shard cut.tar: tar, after byte", "holds 1 samples; its record says 7", "4 problems",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	if r.Faults != 4 || r.Samples != 5 || strings.ContainsRune(text.String(), 0x1b) {
		t.Errorf("%d faults, %d samples in\n%q", r.Faults, r.Samples, text.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dataset(ctx, "set", []Source{cutOff}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Reading a dataset's headers must not fetch its arrays.
func TestRequests(t *testing.T) {
	var requests int
	var ss []pipeline.Sample
	for i := range 4 {
		ss = append(ss, cut(t, i, paint(64, 48, gray(9)), patch.Spec{Layout: patch.ViT, Size: 384}))
	}
	src := inMemory("x.tar", sealed(t, ss...), &requests)
	if _, err := Dataset(t.Context(), "set", []Source{src}); err != nil {
		t.Fatal(err)
	}
	if requests > 3*len(ss)+1 {
		t.Errorf("%d requests for %d samples", requests, len(ss))
	}
}

func TestBlocksReadAsFile(t *testing.T) {
	data := make([]byte, 3*blockBytes+17)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	rapid.Check(t, func(t *rapid.T) {
		var requests int
		src := inMemory("x", data, &requests)
		b := &blocks{ctx: t.Context(), src: &src}
		for range rapid.IntRange(1, 4).Draw(t, "reads") {
			off := rapid.IntRange(0, len(data)+5).Draw(t, "off")
			got := make([]byte, rapid.SampledFrom([]int{0, 1, 512, blockBytes - 1, blockBytes, 2*blockBytes + 3}).Draw(t, "n"))
			want := make([]byte, len(got))
			n, err := b.ReadAt(got, int64(off))
			m, wantErr := bytes.NewReader(data).ReadAt(want, int64(off))
			if n != m || err != wantErr || !bytes.Equal(got, want) {
				t.Fatalf("ReadAt(%d, %d) = %d, %v; want %d, %v", len(got), off, n, err, m, wantErr)
			}
		}
	})
	short := Source{Bytes: 100, Get: func(context.Context, int64, int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("")), nil
	}}
	if _, err := (&blocks{ctx: t.Context(), src: &short}).ReadAt(make([]byte, 1), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an object shorter than its size: %v", err)
	}
}
