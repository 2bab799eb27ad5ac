package recipe

import (
	"slices"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// kinds of jobs, in the order in which people write them.
var kinds = []string{"video", "image", "audio", "text"}

// check refuses what contradicts itself across fields, and puts the recipe in its
// normal form. Each step relies on those before it.
func (d *decoder) check(r *pipeline.Recipe) error {
	if r.Dataset == "" {
		return d.fault(position{1, 1}, "dataset", "it is missing; write dataset: NAME")
	}
	for _, step := range []func(*pipeline.Recipe) error{d.checkTake, d.checkPictures, d.checkTokens, d.clips, d.checkSound, d.checkPacks} {
		if err := step(r); err != nil {
			return err
		}
	}
	widen(r)
	return r.Limits.Validate()
}

// checkTake refuses rules for what is not taken.
func (d *decoder) checkTake(r *pipeline.Recipe) error {
	switch {
	case d.given("take") && len(r.Take.Kinds) == 0:
		return d.faultAt("take", "the list is empty; name video, image, audio or text, or leave the field out to take all")
	case d.given("video") && !r.Take.Wants("video"):
		return d.faultAt("video", "it has rules but take leaves video out; add video to take or drop the rules")
	case d.given("image") && !r.Take.Wants("image"):
		return d.faultAt("image", "it has rules but take leaves image out; add image to take or drop the rules")
	case d.given("audio") && !r.Take.Wants("audio") && !r.Take.Wants("video"):
		return d.faultAt("audio", "it has rules but take leaves audio and video out; add audio to take or drop the rules")
	case slices.Contains(r.Take.Kinds, "audio") && !r.Audio.On():
		return d.faultAt("take", "no rules say what becomes of sound; write audio: {keep: flac}, or audio: {mel: 128}")
	}
	return nil
}

// checkPictures sees that samples of images and videos hold a picture. A recipe that
// does not say what it takes takes what its token outputs can be cut from.
func (d *decoder) checkPictures(r *pipeline.Recipe) error {
	if r.Keep.Frame == "" && len(r.Tokens) == 0 && (r.Take.Wants("video") || r.Take.Wants("image")) {
		advice := "write tokens: siglip2-base-patch16-naflex, or keep: {frame: jpeg}"
		if r.Audio.On() {
			advice += ", or take: audio"
		}
		return d.faultAt("tokens", "samples would hold no picture; "+advice)
	}
	for i, s := range r.Tokens {
		if s.Media == "" && !cutsStills(s) && r.Take.Wants("image") && r.Keep.Frame != "" && !cutsAny(r, "image") {
			return d.faultAt(d.tokensAt(i), "layout "+s.Layout+" cuts clips alone, so that images would be kept uncut; write media: video here if that is meant, or take: video")
		}
	}
	for _, kind := range []string{"video", "image"} {
		if !r.Take.Wants(kind) || r.Keep.Frame != "" || cutsAny(r, kind) {
			continue
		}
		if d.given("take") || d.given(kind) || kind == "video" && r.Audio.On() {
			return d.faultAt("tokens", "none is cut from "+kind+", so that its samples would hold no picture; add one that is, write keep: {frame: jpeg}, or leave "+kind+" out of take")
		}
		drop(r, kind)
	}
	return nil
}

// cutsAny reports whether any token output is cut from a kind of media.
func cutsAny(r *pipeline.Recipe, kind string) bool {
	return slices.ContainsFunc(r.Tokens, func(s patch.Spec) bool { return cutsFrom(s, kind) })
}

// checkSound sees that the fields of features and of token outputs are told apart.
func (d *decoder) checkSound(r *pipeline.Recipe) error {
	if m := r.Audio.Mel; m != nil && slices.ContainsFunc(r.Tokens, func(s patch.Spec) bool { return s.Name == m.Name }) {
		return d.faultAt("audio.mel.name", "a token output is called "+m.Name+" too; give one of them another name", "audio.mel")
	}
	return nil
}

// all are the kinds of jobs that the recipe could take.
func all(r *pipeline.Recipe) []string {
	return slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool { return kind == "audio" && !r.Audio.On() })
}

// drop takes a kind of job no more.
func drop(r *pipeline.Recipe, kind string) {
	if len(r.Take.Kinds) == 0 {
		r.Take.Kinds = all(r)
	}
	r.Take.Kinds = slices.DeleteFunc(r.Take.Kinds, func(k string) bool { return k == kind })
}

// widen writes "all kinds" in its one normal form, the empty list.
func widen(r *pipeline.Recipe) {
	if len(r.Take.Kinds) == len(all(r)) {
		r.Take.Kinds = nil
	}
}
