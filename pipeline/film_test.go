package pipeline

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

// film is a video, or with kind a still, that was planned with some moments and gives
// some frames, then err, or io.EOF.
type film struct {
	kind    codecs.Kind
	planned []codecs.Moment
	frames  []codecs.Frame
	err     error
	n       int
}

func (f *film) Info() codecs.Info {
	return codecs.Info{Kind: f.kind, Container: "film", Codec: "film", Track: 3}
}
func (f *film) Picks() []codecs.Moment { return slices.Clone(f.planned) }
func (f *film) Close() error           { return nil }
func (f *film) Next() (*codecs.Frame, error) {
	if f.n < len(f.frames) {
		f.n++
		return &f.frames[f.n-1], nil
	}
	if f.err != nil {
		return nil, f.err
	}
	return nil, io.EOF
}

// projector opens films by name: a medium's bytes are the name.
type projector map[string]func() *film

func (projector) Sniff(head []byte) (string, bool) {
	return "film", !strings.HasPrefix(string(head), "sound")
}

func (p projector) Open(_ context.Context, src codecs.Source, _ string, _ *Recipe) (codecs.Frames, error) {
	name := make([]byte, src.Size())
	if _, err := src.ReadAt(name, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if p[string(name)] == nil {
		return nil, codecs.Errorf(codecs.CodeNoVideo, codecs.StageProbe, "no pictures")
	}
	return p[string(name)](), nil
}

// noise fills a picture with bytes that follow from the seed alone.
func noise(w, h int, seed uint32) codecs.Pixels {
	p := codecs.Pixels{Width: w, Height: h, Pix: make([]byte, 3*w*h)}
	for i := range p.Pix {
		seed = seed*1664525 + 1013904223
		p.Pix[i] = byte(seed >> 24)
	}
	return p
}

// shoot makes a film of frames at the given times, in seconds; the last lasts as long as
// said, "" for not known.
func shoot(last string, times ...string) *film {
	f := &film{kind: codecs.KindVideo}
	for i, s := range times {
		t, err := codecs.ParseRational(s)
		if err != nil {
			panic(err)
		}
		f.planned = append(f.planned, codecs.Moment{Index: int64(10 + i), PTS: t})
		f.frames = append(f.frames, codecs.Frame{Pixels: noise(80, 60, uint32(i)), Index: int64(10 + i), PTS: t, Key: i == 0,
			BeforeWidth: 60, BeforeHeight: 80, Applied: []string{"rotate:90"}})
		if i > 0 {
			f.frames[i-1].Duration = t.Sub(f.frames[i-1].PTS)
		}
	}
	f.frames[len(times)-1].Duration, _ = codecs.ParseRational(last)
	return f
}

func clipSpec() patch.Spec {
	return patch.Spec{Name: "q", Layout: patch.Qwen2VL, Media: "video", MinPixels: 784, MaxPixels: 4 * 784}.Normalise()
}

func clipRecipe(c Clip) *Recipe {
	return &Recipe{Dataset: "d", Digest: "digest", Limits: codecs.DefaultLimits(), Tokens: []patch.Spec{clipSpec()},
		Video: VideoRules{Clip: c, Truncated: "refuse"}}
}

func newTestLine(t *testing.T, r *Recipe, tools Tools) *Line {
	t.Helper()
	// What is handed on is valid until the next call only: here it is broken by then.
	var last []byte
	tools.Encode = func(p codecs.Pixels, k Keep) (string, []byte, error) {
		clear(last)
		last = slices.Clone(p.Pix[:8])
		return map[string]string{"jpeg": "jpg"}[k.Frame] + strings.TrimPrefix(k.Frame, "jpeg"), last, nil
	}
	l, err := NewLine(r, tools, Versions{Millrace: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// work runs a line on media by name and keeps the samples.
func work(t *testing.T, l *Line, media ...string) (Verdict, []*Sample) {
	t.Helper()
	var in []Medium
	for _, m := range media {
		in = append(in, Medium{Source: memory(m)})
	}
	var out []*Sample
	v, err := l.Run(t.Context(), &Job{ID: "a", Dataset: "d", Text: "words"}, in, func(s *Sample) error {
		out = append(out, clone(s))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, out
}

func clone(s *Sample) *Sample {
	c := &Sample{Key: s.Key}
	for _, f := range s.Fields {
		c.Fields = append(c.Fields, Field{f.Name, slices.Clone(f.Data)})
	}
	return c
}

func describes(t *testing.T, s *Sample) (d Description) {
	t.Helper()
	if err := json.Unmarshal(s.field("json"), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func fieldNames(s *Sample) string {
	var names []string
	for _, f := range s.Fields {
		names = append(names, f.Name)
	}
	return strings.Join(names, " ")
}

func array(t *testing.T, s *Sample, name string) patch.Array {
	t.Helper()
	a, err := patch.ParseNPY(s.field(name))
	if err != nil {
		t.Fatalf("%s of %s: %v", name, s.Key, err)
	}
	return a
}

// timesOf reads NAME.times.npy as rows of seconds and rate.
func timesOf(t *testing.T, s *Sample, name string) (rows [][2]float64) {
	t.Helper()
	a := array(t, s, name+".times.npy")
	if a.DType != "float64" || len(a.Shape) != 2 || a.Shape[1] != 2 {
		t.Fatalf("times are %s %v", a.DType, a.Shape)
	}
	at := func(i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(a.Data[8*i:])) }
	for i := range a.Shape[0] {
		rows = append(rows, [2]float64{at(2 * i), at(2*i + 1)})
	}
	return rows
}

// cutAlone cuts frames of a film as one clip, past the line.
func cutAlone(t *testing.T, spec patch.Spec, frames []codecs.Frame, repeated int) patch.Array {
	t.Helper()
	c, err := patch.NewClip(spec, patch.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(len(frames)+repeated, frames[0].Width, frames[0].Height); err != nil {
		t.Fatal(err)
	}
	for i := range len(frames) + repeated {
		if err := c.Add(frames[min(i, len(frames)-1)].Pixels); err != nil {
			t.Fatal(err)
		}
	}
	tokens, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return tokens.Patches
}

func same(a, b patch.Array) bool {
	return a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && slices.Equal(a.Data, b.Data)
}
