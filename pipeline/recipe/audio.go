package recipe

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// Bounds and defaults of sound.
const (
	leastRate, mostRate   = 8000, 48000 // samples a second
	defaultRate, melRate  = 16000, 16000
	leastChunk, mostChunk = 100 * time.Millisecond, 10 * time.Minute
	defaultChunk          = 30 * time.Second
	melChunk              = 30 * time.Second // what padded features hold at most
	defaultMel            = "whisper"
	defaultBins           = 128
)

// audio reads what becomes of sound: a track alone, which keeps it as FLAC, or a mapping.
func (d *decoder) audio(v *pipeline.AudioRules) func(*node, string) error {
	return func(n *node, path string) error {
		*v = pipeline.AudioRules{Track: "default", Rate: defaultRate, Chunk: defaultChunk}
		if n.kind != isMap {
			v.Keep = "flac"
			return d.track(&v.Track)(n, path)
		}
		if err := d.mapping(n, path, d.audioFields(v)); err != nil {
			return err
		}
		return d.checkAudio(v, n, path)
	}
}

func (d *decoder) audioFields(v *pipeline.AudioRules) []field {
	return []field{
		{"track", d.track(&v.Track)},
		{"rate", whole(d, &v.Rate, leastRate, mostRate)},
		{"chunk", d.duration(&v.Chunk, leastChunk, mostChunk)},
		{"keep", word(d, &v.Keep, "flac", "wav")},
		{"mel", d.mel(&v.Mel)},
	}
}

func (d *decoder) checkAudio(v *pipeline.AudioRules, n *node, path string) error {
	switch {
	case v.Keep == "" && v.Mel == nil:
		return d.fault(n.at, path, "the sound would be stored in no form; write keep: flac, keep: wav or mel: 128")
	case v.Mel != nil && v.Rate != melRate:
		return d.faultAt(join(path, "rate"), fmt.Sprintf("mel is made from %d samples a second; leave the rate out, or mel", melRate))
	case v.Mel != nil && v.Mel.Pad && v.Chunk > melChunk:
		return d.faultAt(join(path, "chunk"), fmt.Sprintf("padded mel holds %s at most; write chunk: %s, or mel: {pad: false}", melChunk, melChunk))
	}
	return nil
}

// track reads default, or a language.
func (d *decoder) track(v *string) func(*node, string) error {
	return func(n *node, path string) error {
		language := len(n.text) == 3 && strings.Trim(n.text, "abcdefghijklmnopqrstuvwxyz") == ""
		if n.kind != isString || n.text != "default" && !language {
			return d.wrong(n, path, "default, or a language in three small letters (ISO 639-2) such as eng")
		}
		*v = n.text
		return nil
	}
}

// mel reads the number of bins, or a mapping.
func (d *decoder) mel(v **pipeline.Mel) func(*node, string) error {
	return func(n *node, path string) error {
		m := &pipeline.Mel{Name: defaultMel, Bins: defaultBins, Pad: true}
		*v = m
		if n.kind != isMap {
			return d.bins(&m.Bins)(n, path)
		}
		return d.mapping(n, path, d.melFields(m))
	}
}

func (d *decoder) melFields(m *pipeline.Mel) []field {
	return []field{{"name", d.fieldName(&m.Name)}, {"bins", d.bins(&m.Bins)}, {"pad", d.flag(&m.Pad)}}
}

func (d *decoder) bins(v *int) func(*node, string) error {
	return func(n *node, path string) error {
		i, ok := wholeOf(n)
		if !ok || i != 80 && i != 128 {
			return d.wrong(n, path, "80 (Whisper up to large-v2) or 128 (large-v3 and Qwen's models)")
		}
		*v = int(i)
		return nil
	}
}

// fieldName reads what prefixes fields of samples, by the rule for token outputs.
func (d *decoder) fieldName(v *string) func(*node, string) error {
	return func(n *node, path string) error {
		const fit = "abcdefghijklmnopqrstuvwxyz0123456789-_"
		if n.kind != isString || n.text == "" || len(n.text) > 64 || strings.Trim(n.text, fit) != "" {
			return d.wrong(n, path, "up to 64 of a-z, 0-9, - and _, as in whisper")
		}
		*v = n.text
		return nil
	}
}

func showAudio(w writer, a *pipeline.AudioRules) {
	w("audio:")
	w("  track: %s # default, or a language", quoteWord(a.Track))
	w("  rate: %d # samples a second, one channel", a.Rate)
	w("  chunk: %s # of sound alone; a clip carries the sound of its own time", a.Chunk)
	if a.Keep != "" {
		w("  keep: %s # flac (16 bits), or wav (32-bit float)", a.Keep)
	}
	if m := a.Mel; m != nil {
		w("  mel: {name: %s, bins: %d, pad: %t} # pad: up to 30 s, as Whisper's extractor does", quote(m.Name), m.Bins, m.Pad)
	}
}

// quoteWord writes a language in quotes, for YAML might read another thing, and
// default without them.
func quoteWord(s string) string {
	if s == "default" {
		return s
	}
	return quote(s)
}
