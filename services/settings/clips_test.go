package settings

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/recipe"
)

const testdata = "../../testdata"

// file is a medium on disk.
type file struct {
	*os.File
	size int64
}

func (f file) Size() int64 { return f.size }

// runFile runs a recipe on one file of testdata/videos, and gives each sample's fields.
func runFile(t *testing.T, yaml, name string) (samples []fields) {
	t.Helper()
	r, err := recipe.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	l, err := Default().NewLine(r)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(testdata, "videos", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	v, err := l.Run(t.Context(), &pipeline.Job{ID: name, Dataset: "d"}, []pipeline.Medium{{Source: file{f, st.Size()}}}, func(s *pipeline.Sample) error {
		kept := fields{}
		for _, f := range s.Fields {
			kept[f.Name] = slices.Clone(f.Data)
		}
		samples = append(samples, kept)
		return nil
	})
	if err != nil || v.Fault != nil {
		t.Fatal(name, err, v.Fault)
	}
	return samples
}

// fields are a sample's, by name.
type fields map[string][]byte

func (f fields) array(t *testing.T, name string) patch.Array {
	t.Helper()
	a, err := patch.ParseNPY(f[name])
	if err != nil {
		t.Fatal(name, err)
	}
	return a
}

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// goldenClips maps "processor/video" to the SHA-256 of the patches, by the models' own
// processors.
func goldenClips(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testdata, "golden", "patch-cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Clips []struct {
			ID      string
			Patches struct{ SHA256 string }
		}
	}
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, c := range g.Clips {
		sums[c.ID] = c.Patches.SHA256
	}
	return sums
}

// The whole line, from the file of a lossless video to the field of a sample, gives the
// bits of the models' own processors.
func TestGoldenClipsThroughLine(t *testing.T) {
	const whole = `
dataset: d
take: video
video: {pick: all, clip: all, codecs: ffv1}
tokens:
  - {name: q2, preset: qwen2.5-vl-video, min_pixels: 3136, max_pixels: 28224, dtype: float32}
  - {name: q3, layout: qwen2vl, media: video, patch: 16, min_pixels: 4096, max_pixels: 36864, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], dtype: float32}
`
	const sixteen = `
dataset: d
take: video
video: {pick: all, codecs: ffv1}
tokens:
  - {name: imagenet, preset: videomae-base, dtype: float32}
  - {name: half, preset: videomae-base, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], dtype: float32}
`
	golden := goldenClips(t)
	for _, c := range []struct {
		recipe, video string
		cases         map[string]string // by name of the token output
		groups        int
	}{
		{whole, "clip16_160x120", map[string]string{"q2": "qwen2vl_video", "q3": "qwen3vl_frames"}, 8},
		{whole, "clip5_100x60", map[string]string{"q2": "qwen2vl_video", "q3": "qwen3vl_frames"}, 3},
		{sixteen, "clip16_160x120", map[string]string{"imagenet": "videomae_224_imagenet", "half": "videomae_224"}, 8},
	} {
		samples := runFile(t, c.recipe, c.video+".mkv")
		if len(samples) != 1 {
			t.Fatalf("%s: %d clips", c.video, len(samples))
		}
		for name, processor := range c.cases {
			want := golden[processor+"/"+c.video]
			if want == "" {
				t.Fatalf("no golden case %s/%s", processor, c.video)
			}
			if got := samples[0].array(t, name+".patches.npy"); digest(got.Data) != want {
				t.Errorf("%s of %s: other patches, float32 %v", processor, c.video, got.Shape)
			}
			if got := samples[0].array(t, name+".times.npy"); !slices.Equal(got.Shape, []int{c.groups, 2}) {
				t.Errorf("%s of %s: times are %v", processor, c.video, got.Shape)
			}
		}
	}
}

// With the presets as they are, patches equal those cut from the frames' PNG files.
func TestPresetClipsThroughLine(t *testing.T) {
	for _, video := range []string{"clip16_160x120", "clip5_100x60"} {
		frames := frameFiles(t, video)
		for _, preset := range []string{"qwen2.5-vl-video", "qwen3-vl-video", "videomae-base"} {
			spec, _ := patch.Preset(preset)
			if spec.Frames > len(frames) {
				continue
			}
			samples := runFile(t, "dataset: d\ntake: video\nvideo: {pick: all, codecs: ffv1}\ntokens: "+preset+"\n", video+".mkv")
			if len(samples) != 1 {
				t.Fatalf("%s of %s: %d clips", preset, video, len(samples))
			}
			want := cutClip(t, spec, frames)
			if got := samples[0].array(t, spec.Name+".patches.npy"); got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || digest(got.Data) != digest(want.Data) {
				t.Errorf("%s of %s: %s %v differ from %s %v of the PNG frames", preset, video, got.DType, got.Shape, want.DType, want.Shape)
			}
		}
	}
}

// Clips that follow each other share out the sound between them, and clips that overlap
// have the same where they do.
func TestClipSoundThroughLine(t *testing.T) {
	sound := func(clip string) (parts [][]byte) {
		const header = 58 // of a WAV file of 32-bit floats
		for _, s := range runFile(t, "dataset: d\ntake: video\nkeep: {frame: png}\nvideo: {pick: all, clip: "+clip+"}\naudio: {keep: wav}\n", "h264_aac.mp4") {
			parts = append(parts, s["audio.wav"][header:])
		}
		return parts
	}
	whole := sound("all")[0]
	if len(whole) < 4*16000/2 {
		t.Fatalf("only %d bytes of sound", len(whole))
	}
	if parts := sound("{frames: 2, stride: 2, last: keep}"); len(parts) < 3 || !bytes.Equal(bytes.Join(parts, nil), whole) {
		t.Errorf("%d clips end to end have other sound than the whole", len(parts))
	}
	double := sound("{frames: 2, stride: 1, last: keep}")
	single := sound("{frames: 1, stride: 1, last: keep}")
	if len(double) < 3 {
		t.Fatalf("%d clips", len(double))
	}
	for i := range double {
		if want := slices.Concat(single[i : i+2]...); !bytes.Equal(double[i], want) {
			t.Errorf("clip %d has %d bytes of sound, its halves have %d", i, len(double[i]), len(want))
		}
	}
}

func frameFiles(t *testing.T, video string) (frames []codecs.Pixels) {
	t.Helper()
	for n := 0; ; n++ {
		f, err := os.Open(filepath.Join(testdata, "golden", "videos", video, fmt.Sprintf("f%03d.png", n)))
		if os.IsNotExist(err) && n > 0 {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		rgba := m.(*image.RGBA)
		p := codecs.Pixels{Width: rgba.Rect.Dx(), Height: rgba.Rect.Dy()}
		for i := 0; i < len(rgba.Pix); i += 4 {
			p.Pix = append(p.Pix, rgba.Pix[i:i+3]...)
		}
		frames = append(frames, p)
	}
}

func cutClip(t *testing.T, spec patch.Spec, frames []codecs.Pixels) patch.Array {
	t.Helper()
	c, err := patch.NewClip(spec, patch.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(len(frames), frames[0].Width, frames[0].Height); err != nil {
		t.Fatal(err)
	}
	for _, p := range frames {
		if err := c.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	tokens, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return tokens.Patches
}
