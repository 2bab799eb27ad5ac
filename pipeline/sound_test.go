package pipeline

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

// tape is a track of sound whose n-th sample has the value n/2^20.
type tape struct {
	start   codecs.Rational
	samples int64
	err     error // after the last sample; nil is io.EOF
	asked   [][2]codecs.Rational
	out     []float32
}

const tapeRate = 16000

var zero = codecs.NewRational(0, 1)

func (p *tape) Info() codecs.Info {
	return codecs.Info{Kind: codecs.KindAudio, Container: "tape", Codec: "pcm", Track: 7, Start: p.start, SampleRate: 48000, Channels: 2, Language: "eng"}
}
func (p *tape) Close() error { return nil }

// Span gives the samples whose times lie in [from, to), as its contract says.
func (p *tape) Span(from, to codecs.Rational) (*codecs.Sound, error) {
	if n := len(p.asked); n > 0 && from.Cmp(p.asked[n-1][0]) < 0 {
		return nil, fmt.Errorf("spans descend")
	}
	p.asked = append(p.asked, [2]codecs.Rational{from, to})
	index := func(t codecs.Rational) int64 { return int64(math.Ceil(t.Sub(p.start).Float() * tapeRate)) }
	a, b := max(index(from), 0), min(index(to), p.samples)
	if a >= p.samples {
		if p.err != nil {
			return nil, p.err
		}
		return nil, io.EOF
	}
	p.out = p.out[:0]
	for i := a; i < b; i++ {
		p.out = append(p.out, float32(i)/(1<<20))
	}
	return &codecs.Sound{Rate: tapeRate, PTS: p.start.Add(codecs.NewRational(a, tapeRate)), Samples: p.out}, nil
}

// deck opens tapes by name.
type deck map[string]*tape

func (deck) Sniff(head []byte) (string, bool) {
	return "tape", strings.HasPrefix(string(head), "sound")
}
func (d deck) Open(_ context.Context, src codecs.Source, _ string, _ *Recipe) (codecs.Sounds, error) {
	name := make([]byte, src.Size())
	src.ReadAt(name, 0)
	if d[string(name)] == nil {
		return nil, codecs.Errorf(codecs.CodeNoAudio, codecs.StageProbe, "no sound")
	}
	d[string(name)].asked = nil
	return d[string(name)], nil
}

// record keeps sound as its samples' numbers. The bytes are overwritten by the next call.
func record() SoundEncoder {
	var b []byte
	return func(s *codecs.Sound, _ string) ([]byte, error) {
		clear(b)
		b = nil
		for _, v := range s.Samples {
			b = binary.LittleEndian.AppendUint32(b, uint32(v*(1<<20)))
		}
		return b, nil
	}
}

// heard is the first sample's number in a kept sound, and how many there are.
func heard(s *Sample) (first, n int) {
	b := s.field("audio.wav")
	if len(b) == 0 {
		return -1, 0
	}
	return int(binary.LittleEndian.Uint32(b)), len(b) / 4
}

func soundLine(t *testing.T, r *Recipe, films projector, tapes deck) *Line {
	t.Helper()
	return newTestLine(t, r, Tools{Decoders: []Decoder{films}, Listener: tapes, EncodeSound: record()})
}

func soundRecipe() *Recipe {
	return &Recipe{Dataset: "d", Digest: "digest", Limits: codecs.DefaultLimits(), Video: VideoRules{Truncated: "refuse"},
		Tokens: []patch.Spec{patch.Spec{Name: "n", Layout: patch.NaFlex, MaxPatches: 16}.Normalise()},
		Audio:  AudioRules{Track: "default", Rate: tapeRate, Chunk: time.Second, Keep: "wav"}}
}

func TestSoundChunks(t *testing.T) {
	track := &tape{start: codecs.NewRational(1, 3), samples: 2.5 * tapeRate}
	l := soundLine(t, soundRecipe(), projector{}, deck{"sound": track})
	v, samples := work(t, l, "sound")
	if v.Fault != nil || v.Samples != 3 || v.Frames != 0 || v.MediaSeconds != 2.5 || len(samples) != 3 {
		t.Fatalf("%d samples, verdict %+v", len(samples), v)
	}
	for i, s := range samples {
		from := track.start.Add(codecs.NewRational(int64(i), 1))
		length := min(tapeRate, 40_000-i*tapeRate)
		d := describes(t, s)
		want := SoundInfo{Track: 7, Codec: "pcm", Language: "eng", SampleRate: 48000, Channels: 2, Start: from, Rate: tapeRate, Samples: length}
		if first, n := heard(s); first != i*tapeRate || n != length || !reflect.DeepEqual(*d.Sound, want) {
			t.Errorf("chunk %d has %d samples from %d on: %+v", i, n, first, *d.Sound)
		}
		if s.Key != SampleKey("d", "a", 0, 7, from) || d.Kind != "audio" || d.PTS != from || d.Duration != codecs.NewRational(int64(length), tapeRate) ||
			d.Container != "tape" || d.Size != nil || fieldNames(s) != "json txt audio.wav" {
			t.Errorf("chunk %d: %s, %s", i, fieldNames(s), s.field("json"))
		}
	}
}

// Which media have sound, and what becomes of those that lack it or whose sound is broken.
func TestSoundOrNot(t *testing.T) {
	cut := codecs.Errorf(codecs.CodeTruncated, codecs.StageDecode, "the bytes end early")
	video := func() *film { return shoot("1", "0", "1") }
	films := projector{"silent": video, "both": video, "hollow": video, "cut": video, "cut at once": video}
	tapes := deck{"both": {start: zero, samples: tapeRate + 1}, "hollow": {start: zero}, "no pictures": {start: zero, samples: 1},
		"cut": {start: zero, samples: 100, err: cut}, "cut at once": {start: zero, err: cut},
		"sound": {start: zero, samples: 1}, "sound, hollow": {start: zero},
		"sound, cut": {start: zero, samples: 100, err: cut}, "sound, cut at once": {start: zero, err: cut}}
	keep := func(r *Recipe) { r.Video.Truncated = "keep" }
	clips := func(r *Recipe) { r.Video.Clip, r.Tokens = Clip{All: true}, []patch.Spec{clipSpec()} }
	for name, c := range map[string]struct {
		change  func(*Recipe)
		medium  string
		code    codecs.Code
		samples int64 // of pictures and of sound
	}{
		"video without":          {nil, "silent", "", 2},
		"video with":             {nil, "both", "", 4},
		"video, track is empty":  {nil, "hollow", "", 2},
		"video, sound is cut":    {nil, "cut", codecs.CodeTruncated, 0},
		"cut, kept":              {keep, "cut", "", 3},
		"cut at once, kept":      {keep, "cut at once", "", 2},
		"cut under a clip":       {clips, "cut at once", codecs.CodeTruncated, 0},
		"kept under a clip":      {func(r *Recipe) { clips(r); keep(r) }, "cut at once", "", 1},
		"video with no pictures": {nil, "no pictures", "", 1},
		"sound":                  {nil, "sound", "", 1},
		"empty sound":            {nil, "sound, hollow", codecs.CodeNoAudio, 0},
		"sound is cut":           {nil, "sound, cut", codecs.CodeTruncated, 0},
		"sound cut, kept":        {keep, "sound, cut", "", 1},
		"sound cut at once":      {keep, "sound, cut at once", codecs.CodeTruncated, 0},
		"sound without rules":    {func(r *Recipe) { r.Audio = AudioRules{} }, "sound", CodeMsgNotTaken, 0},
		"no pictures, no rules":  {func(r *Recipe) { r.Audio = AudioRules{} }, "no pictures", codecs.CodeNoVideo, 0},
		"video without rules":    {func(r *Recipe) { r.Audio = AudioRules{} }, "both", "", 2},
		"sound not taken":        {func(r *Recipe) { r.Take.Kinds = []string{"video"} }, "sound", CodeMsgNotTaken, 0},
		"too many chunks":        {func(r *Recipe) { r.Limits.MaxFramesKept = 2; r.Audio.Chunk = time.Millisecond }, "both", codecs.CodeLimitFrames, 0},
	} {
		r := soundRecipe()
		if c.change != nil {
			c.change(r)
		}
		v, _ := work(t, soundLine(t, r, films, tapes), c.medium)
		var code codecs.Code
		if v.Fault != nil {
			code = codecs.Code(v.Fault.Code)
		}
		if code != c.code || v.Samples != c.samples {
			t.Errorf("%s: %d samples, %v; want %d and %q", name, v.Samples, v.Fault, c.samples, c.code)
		}
	}
	if _, err := NewLine(soundRecipe(), Tools{}, Versions{}); err == nil {
		t.Error("rules for sound were compiled with nobody to listen")
	}
}

// A clip's sound is that from its first frame to where the next picked one begins.
func TestClipSound(t *testing.T) {
	r := soundRecipe()
	r.Video.Clip, r.Tokens = Clip{Frames: 2, Stride: 1, Last: "drop"}, []patch.Spec{clipSpec()}
	track := &tape{start: codecs.NewRational(1, 1), samples: 1.5 * tapeRate} // 1 s to 2.5 s
	l := soundLine(t, r, projector{"v": func() *film { return shoot("1/4", "0", "1/2", "1", "3/2", "3", "4") }}, deck{"v": track})
	v, samples := work(t, l, "v")
	if v.Fault != nil || len(samples) != 5 {
		t.Fatalf("%d samples, %v", len(samples), v.Fault)
	}
	var asked []string
	for _, a := range track.asked {
		asked = append(asked, a[0].String()+"-"+a[1].String())
	}
	if got := strings.Join(asked, " "); got != "0/1-1/1 1/2-3/2 1/1-3/1 3/2-4/1 3/1-17/4" {
		t.Errorf("spans were %s", got)
	}
	for i, want := range [][2]int{{-1, 0}, {0, tapeRate / 2}, {0, 1.5 * tapeRate}, {tapeRate / 2, tapeRate}, {-1, 0}} {
		d := describes(t, samples[i])
		if first, n := heard(samples[i]); first != want[0] || n != want[1] || (d.Sound != nil) != (n > 0) || n > 0 && d.Sound.Samples != n {
			t.Errorf("clip %d has %d samples of sound from %d on, want %d from %d: %+v", i, n, first, want[1], want[0], d.Sound)
		}
	}
}

func TestMel(t *testing.T) {
	for name, c := range map[string]struct {
		bins    int
		pad     bool
		chunk   time.Duration
		samples int64
		frames  []int // of each chunk, -1 for a chunk without
		sound   []int
		tokens  []map[string]int
	}{
		"padded": {128, true, 2 * time.Second, 2.5 * tapeRate, []int{3000, 3000}, []int{200, 50},
			[]map[string]int{{"qwen2-audio": 50, "qwen2.5-omni": 50}, {"qwen2-audio": 12, "qwen2.5-omni": 12}}},
		"30 s": {80, true, 30 * time.Second, 30 * tapeRate, []int{3000}, []int{3000}, []map[string]int{{"qwen2-audio": 750, "qwen2.5-omni": 750}}},
		// A last chunk of less than a hop has no features, but is there.
		"bare": {128, false, time.Second, tapeRate + 159, []int{100, -1}, []int{100, 0}, []map[string]int{{"qwen3-omni": 13}, nil}},
	} {
		r := soundRecipe()
		r.Audio.Chunk, r.Audio.Mel = c.chunk, &Mel{Name: "w", Bins: c.bins, Pad: c.pad}
		v, samples := work(t, soundLine(t, r, projector{}, deck{"sound": {start: zero, samples: c.samples}}), "sound")
		if v.Fault != nil || len(samples) != len(c.frames) {
			t.Errorf("%s: %d samples, %v", name, len(samples), v.Fault)
			continue
		}
		for i, s := range samples {
			info := describes(t, s).Sound.Mel
			if c.frames[i] < 0 {
				if info != nil || fieldNames(s) != "json txt audio.wav" {
					t.Errorf("%s, chunk %d: %s, %+v", name, i, fieldNames(s), info)
				}
				continue
			}
			if want := (MelInfo{Name: "w", Bins: c.bins, Frames: c.frames[i], Sound: c.sound[i], Tokens: c.tokens[i]}); !reflect.DeepEqual(*info, want) {
				t.Errorf("%s, chunk %d: %+v, want %+v", name, i, *info, want)
			}
			a, mask := array(t, s, "w.mel.npy"), array(t, s, "w.mask.npy")
			if a.DType != "float32" || !slices.Equal(a.Shape, []int{c.bins, c.frames[i]}) || mask.DType != "int32" || !slices.Equal(mask.Shape, a.Shape[1:]) {
				t.Errorf("%s, chunk %d: features %s %v, mask %s %v", name, i, a.DType, a.Shape, mask.DType, mask.Shape)
			}
			for f := range c.frames[i] {
				if got := binary.LittleEndian.Uint32(mask.Data[4*f:]); (got == 1) != (f < c.sound[i]) || got > 1 {
					t.Fatalf("%s, chunk %d: mask %d at frame %d of %d", name, i, got, f, c.sound[i])
				}
			}
		}
	}
	r := soundRecipe()
	r.Audio.Chunk, r.Audio.Mel = time.Minute, &Mel{Name: "w", Bins: 80, Pad: true}
	v, _ := work(t, soundLine(t, r, projector{}, deck{"sound": {start: zero, samples: 30*tapeRate + 1}}), "sound")
	if v.Fault == nil || v.Fault.Code != string(codecs.CodeLimitDuration) {
		t.Errorf("more than 30 s: %v", v.Fault)
	}
}
