package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

// memory is a medium of some bytes.
type memory string

func (m memory) Size() int64 { return int64(len(m)) }
func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return strings.NewReader(string(m)).ReadAt(p, off)
}

// painter is a decoder for "paint N": N frames of 40x30, then perhaps a fault.
type painter struct{ closed *int }

func (painter) Sniff(head []byte) (string, bool) {
	return "paint", strings.HasPrefix(string(head), "paint")
}

func (p painter) Open(_ context.Context, src codecs.Source, container string, r *Recipe) (codecs.Frames, error) {
	b := make([]byte, src.Size())
	if _, err := src.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	words := strings.Fields(string(b))
	return &painting{p: p, words: words[1:], container: container}, nil
}

type painting struct {
	p         painter
	words     []string
	container string
	n         int64
}

func (p *painting) Info() codecs.Info {
	return codecs.Info{Kind: codecs.KindVideo, Container: p.container, Codec: "paint", Duration: codecs.NewRational(3, 2)}
}
func (p *painting) Close() error { *p.p.closed++; return nil }
func (p *painting) Picks() []codecs.Moment {
	var l []codecs.Moment
	for i, w := range p.words {
		if w != "cut" {
			l = append(l, codecs.Moment{Index: int64(i), PTS: codecs.NewRational(int64(i), 2)})
		}
	}
	return l
}
func (p *painting) Next() (*codecs.Frame, error) {
	if len(p.words) == 0 {
		return nil, io.EOF
	}
	w := p.words[0]
	p.words = p.words[1:]
	if w == "cut" {
		return nil, codecs.Errorf(codecs.CodeTruncated, codecs.StageDecode, "the bytes end early")
	}
	f := &codecs.Frame{Pixels: codecs.Pixels{Width: 40, Height: 30, Pix: make([]byte, 40*30*3)}, Index: p.n, PTS: codecs.NewRational(p.n, 2),
		BeforeWidth: 30, BeforeHeight: 40, Applied: []string{"rotate:90"}}
	p.n++
	return f, nil
}

func testRecipe() *Recipe {
	return &Recipe{Dataset: "d", Digest: "digest", Limits: codecs.DefaultLimits(), Keep: Keep{Frame: "raw"},
		Tokens: []patch.Spec{{Name: "n", Layout: "naflex", MaxPatches: 16}}, Video: VideoRules{Truncated: "refuse"}}
}

func runLine(t *testing.T, r *Recipe, job *Job, media ...string) (Verdict, []Sample, int) {
	t.Helper()
	closed := 0
	l, err := NewLine(r, Tools{Decoders: []Decoder{painter{&closed}}, Encode: func(p codecs.Pixels, _ Keep) (string, []byte, error) { return "raw", p.Pix[:1], nil }}, Versions{Millrace: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	var in []Medium
	for _, m := range media {
		in = append(in, Medium{Source: memory(m), ID: SourceID{URI: "u", SHA256: "s", Bytes: int64(len(m))}, Role: "screen"})
	}
	var out []Sample
	v, err := l.Run(t.Context(), job, in, func(s *Sample) error {
		c := Sample{Key: s.Key}
		for _, f := range s.Fields {
			c.Fields = append(c.Fields, Field{f.Name, append([]byte(nil), f.Data...)})
		}
		out = append(out, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, out, closed
}

func TestLine(t *testing.T) {
	job := &Job{ID: "a", Dataset: "d", Text: "words", Meta: json.RawMessage(`{"a <b>": 1}`), Conversations: json.RawMessage(`[{"from":"x"}]`),
		Provenance: &Provenance{Source: "licensed", Licence: "CC0-1.0"}}
	v, samples, closed := runLine(t, testRecipe(), job, "paint x x", "paint x")
	if v.Fault != nil || v.Samples != 3 || v.Frames != 3 || v.MediaSeconds != 3 || v.Tokens == 0 || closed != 2 {
		t.Fatalf("verdict %+v, %d of 2 media closed", v, closed)
	}
	var names []string
	for _, f := range samples[1].Fields {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "json txt n.patches.npy n.mask.npy n.grid.npy frame.raw" {
		t.Errorf("fields are %s", got)
	}
	var d Description
	if err := json.Unmarshal(samples[1].Fields[0].Data, &d); err != nil {
		t.Fatal(err)
	}
	if d.Key != samples[1].Key || d.Key != SampleKey("d", "a", 0, 0, codecs.NewRational(1, 2)) || d.ID != "a" || d.PTS != codecs.NewRational(1, 2) || *d.PTSSeconds != 0.5 ||
		*d.SizeBefore != [2]int{30, 40} || *d.Size != [2]int{40, 30} || d.Applied[0] != "rotate:90" || d.SourceSHA256 != "s" || d.Recipe != "digest" ||
		d.Millrace != "v1" || d.Role != "screen" || d.Provenance.Licence != "CC0-1.0" || d.Tokens["n"].Count == 0 || d.Tokens["n"].DType != "uint8" {
		t.Errorf("description is %s", samples[1].Fields[0].Data)
	}
	if !strings.Contains(string(samples[1].Fields[0].Data), `{"a <b>":1}`) {
		t.Errorf("meta did not travel as it was: %s", samples[1].Fields[0].Data)
	}
	a, err := patch.ParseNPY(samples[1].Fields[2].Data)
	if err != nil || a.Shape[0] != 16 || a.Shape[1] != 768 || a.DType != "uint8" {
		t.Errorf("patches are %s %v, %v", a.DType, a.Shape, err)
	}
}

func TestLineRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Recipe)
		job    Job
		media  []string
		code   codecs.Code
	}{
		"not taken":      {func(r *Recipe) { r.Take.Kinds = []string{"image"} }, Job{}, []string{"paint x"}, CodeMsgNotTaken},
		"no frames":      {nil, Job{}, []string{"paint"}, codecs.CodeNoFrames},
		"unknown bytes":  {nil, Job{}, []string{"something else"}, codecs.CodeFormatDenied},
		"no bytes":       {nil, Job{}, []string{""}, CodeSourceEmpty},
		"cut":            {nil, Job{}, []string{"paint x cut"}, codecs.CodeTruncated},
		"cut, kept":      {func(r *Recipe) { r.Video.Truncated = "keep" }, Job{}, []string{"paint x cut"}, ""},
		"cut at once":    {func(r *Recipe) { r.Video.Truncated = "keep" }, Job{}, []string{"paint cut"}, codecs.CodeTruncated},
		"too many":       {func(r *Recipe) { r.Limits.MaxFramesKept = 1 }, Job{}, []string{"paint x x"}, codecs.CodeLimitFrames},
		"many tokens":    {func(r *Recipe) { r.Limits.MaxTokens = 1 }, Job{}, []string{"paint x"}, codecs.CodeLimitTokens},
		"second medium":  {nil, Job{}, []string{"paint x", "paint cut"}, codecs.CodeTruncated},
		"nothing at all": {nil, Job{}, nil, CodeMsgInvalid},
		"text alone":     {nil, Job{Text: "words"}, nil, ""},
		"text not taken": {func(r *Recipe) { r.Take.Kinds = []string{"video"} }, Job{Text: "words"}, nil, CodeMsgNotTaken},
	} {
		r := testRecipe()
		if c.change != nil {
			c.change(r)
		}
		v, _, _ := runLine(t, r, &c.job, c.media...)
		var code codecs.Code
		if v.Fault != nil {
			code = codecs.Code(v.Fault.Code)
		}
		if code != c.code || (v.Fault == nil) != (v.Samples > 0) {
			t.Errorf("%s: %d samples, fault %v; want code %q", name, v.Samples, v.Fault, c.code)
		}
		if name == "second medium" && !strings.HasPrefix(v.Fault.Detail, "medium 2 of 2: ") {
			t.Errorf("%s: the fault does not say which: %v", name, v.Fault)
		}
	}
}

// What is not the media's fault is an error, not a verdict.
func TestLineErrors(t *testing.T) {
	closed := 0
	l, err := NewLine(testRecipe(), Tools{Decoders: []Decoder{painter{&closed}}, Encode: func(codecs.Pixels, Keep) (string, []byte, error) { return "raw", []byte{1}, nil }}, Versions{})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the pipe is broken")
	if _, err := l.Run(t.Context(), &Job{}, []Medium{{Source: memory("paint x")}}, func(*Sample) error { return broken }); !errors.Is(err, broken) || closed != 1 {
		t.Errorf("emit's error comes back as %v; %d media closed", err, closed)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Run(ctx, &Job{}, []Medium{{Source: memory("paint x")}}, func(*Sample) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %v", err)
	}
}
