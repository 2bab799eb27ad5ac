package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

// Description is a sample's field "json": where it came from, what was done to it,
// and what its arrays are. Readers depend on these names; none changes its meaning.
type Description struct {
	Key     string `json:"key"`
	Dataset string `json:"dataset"`
	ID      string `json:"id"` // the job's
	Medium  int    `json:"medium"`
	Track   int    `json:"track"`
	Kind    string `json:"kind"` // video, image, audio, text
	Role    string `json:"role,omitempty"`

	URI          string `json:"uri,omitempty"`
	Version      string `json:"version,omitempty"`
	SourceSHA256 string `json:"source_sha256,omitempty"`
	SourceBytes  int64  `json:"source_bytes,omitempty"`
	Container    string `json:"container,omitempty"`
	Codec        string `json:"codec,omitempty"`

	PTS        codecs.Rational `json:"pts,omitzero"`
	PTSSeconds *float64        `json:"pts_seconds,omitempty"`
	Duration   codecs.Rational `json:"duration,omitzero"`
	Index      int64           `json:"index"`
	Keyframe   bool            `json:"keyframe,omitempty"`
	// SizeBefore is (width, height) as decoded; Size after rotation and sample aspect.
	SizeBefore *[2]int        `json:"size_before,omitempty"`
	Size       *[2]int        `json:"size,omitempty"`
	Colour     *codecs.Colour `json:"colour,omitempty"`
	Applied    []string       `json:"applied,omitempty"`

	Clip   *ClipInfo            `json:"clip,omitempty"`
	Sound  *SoundInfo           `json:"sound,omitempty"`
	Tokens map[string]TokenInfo `json:"tokens,omitempty"`

	Text          string          `json:"text,omitempty"`
	Conversations json.RawMessage `json:"conversations,omitempty"`
	Events        json.RawMessage `json:"events,omitempty"`
	Meta          json.RawMessage `json:"meta,omitempty"`
	Provenance    *Provenance     `json:"provenance,omitempty"`

	Recipe string `json:"recipe"` // digest
	Versions
}

// TokenInfo says what one token output's arrays are.
type TokenInfo struct {
	Layout    string          `json:"layout"`
	Patch     int             `json:"patch"`
	Count     int             `json:"count"`              // patches, without padding
	Language  int             `json:"language,omitempty"` // tokens that they are to the language model
	Resized   [2]int          `json:"resized"`            // (width, height) after the resize, before any crop
	DType     string          `json:"dtype"`
	Filter    patch.Filter    `json:"filter"`
	PassOrder patch.PassOrder `json:"pass_order"`
	Mean      [3]float64      `json:"mean"`
	Std       [3]float64      `json:"std"`
	// Tolerance is how far the patches may be from what the model's own processor gives
	// for these pixels, in levels of 255; 0 is equal bits. See patch.Spec.Tolerance.
	Tolerance int `json:"tolerance_levels"`
}

func (l *Line) describe(job *Job, key string) *Description {
	return &Description{
		Key: key, Dataset: job.Dataset, ID: job.ID,
		Text: job.Text, Conversations: job.Conversations, Events: job.Events, Meta: job.Meta,
		Provenance: job.Provenance, Recipe: l.recipe.Digest, Versions: l.versions,
	}
}

// setMedium says where a sample comes from.
func (d *Description) setMedium(r *run, info codecs.Info) {
	d.Medium, d.Track, d.Kind = r.medium, info.Track, string(info.Kind)
	d.URI, d.Version, d.SourceSHA256, d.SourceBytes = r.ID.URI, r.ID.Version, r.ID.SHA256, r.ID.Bytes
	d.Role = r.Role
	d.Container, d.Codec = info.Container, info.Codec
}

func (d *Description) setTime(pts, duration codecs.Rational) {
	d.PTS, d.Duration = pts, duration
	if pts.Known() {
		s := pts.Float()
		d.PTSSeconds = &s
	}
}

func (d *Description) setFrame(r *run, info codecs.Info, f *codecs.Frame) {
	d.setMedium(r, info)
	d.setTime(f.PTS, f.Duration)
	d.Index, d.Keyframe = f.Index, f.Key
	d.SizeBefore = &[2]int{f.BeforeWidth, f.BeforeHeight}
	d.Size = &[2]int{f.Width, f.Height}
	d.Colour, d.Applied = &f.Colour, f.Applied
}

func (d *Description) setTokens(spec patch.Spec, t *patch.Tokens, clip bool) {
	if d.Tokens == nil {
		d.Tokens = map[string]TokenInfo{}
	}
	d.Tokens[spec.Name] = TokenInfo{
		Layout: spec.Layout, Patch: spec.Patch, Count: t.Count, Language: t.Language,
		Resized: [2]int{t.ResizedWidth, t.ResizedHeight},
		DType:   spec.DType, Filter: spec.Filter, PassOrder: spec.PassOrder, Mean: spec.Mean, Std: spec.Std, Tolerance: spec.Tolerance(clip),
	}
}

// arrays are a token output's files, reused.
type arrays [4][]byte

// addTo names the arrays in a sample: NAME.patches.npy and so on.
func (a *arrays) addTo(s *Sample, name string, t *patch.Tokens) {
	for i, part := range []struct {
		name string
		*patch.Array
	}{{"patches", &t.Patches}, {"mask", t.Mask}, {"grid", &t.Grid}, {"coords", t.Coords}} {
		if part.Array != nil {
			a[i] = patch.AppendNPY(a[i][:0], *part.Array)
			s.Fields = append(s.Fields, Field{name + "." + part.name + ".npy", a[i]})
		}
	}
}

// finish puts the description and the text first, as people look for them there.
func (l *Line) finish(s *Sample, job *Job, d *Description) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // what the caller sent stays as it was, but for white space
	if err := enc.Encode(d); err != nil {
		return fmt.Errorf("writing the description of %s: %w", s.Key, err)
	}
	front := []Field{{"json", bytes.TrimSuffix(b.Bytes(), []byte("\n"))}}
	if job.Text != "" {
		front = append(front, Field{"txt", []byte(job.Text)})
	}
	s.Fields = append(front, s.Fields...)
	return nil
}
