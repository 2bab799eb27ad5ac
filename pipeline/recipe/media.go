package recipe

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// cutsStills reports whether a token output's layout takes single pictures.
func cutsStills(s patch.Spec) bool {
	_, err := patch.New(s, patch.DefaultLimits())
	return err == nil
}

// cutsClips reports whether it takes clips.
func cutsClips(s patch.Spec) bool {
	_, err := patch.NewClip(s, patch.DefaultLimits())
	return err == nil
}

// cutsFrom reports whether a token output is cut from a kind of media. Single frames of
// a video are stills, so every layout has some use for video.
func cutsFrom(s patch.Spec, kind string) bool {
	return (s.Media == "" || s.Media == kind) && (kind == "video" || cutsStills(s))
}

// tokensAt is where a token output was written.
func (d *decoder) tokensAt(i int) string {
	if path := fmt.Sprintf("tokens[%d]", i); d.given(path) {
		return path
	}
	return "tokens"
}

// checkTokens sees that each token output has media to be cut from.
func (d *decoder) checkTokens(r *pipeline.Recipe) error {
	for i, s := range r.Tokens {
		path := d.tokensAt(i)
		image, video := r.Take.Wants("image"), r.Take.Wants("video")
		if cutsFrom(s, "image") && image || cutsFrom(s, "video") && video {
			continue
		}
		kind := "image"
		if cutsFrom(s, "video") {
			kind = "video"
		}
		return d.faultAt(path, fmt.Sprintf("it is cut from %s, which take leaves out; add %s to take, or drop the output", kind, kind))
	}
	return nil
}

// clips fills in the clip rule where all token outputs of video ask for the same one,
// and refuses outputs that can not be cut from what the rule makes.
func (d *decoder) clips(r *pipeline.Recipe) error {
	if !r.Take.Wants("video") {
		return nil
	}
	var of []int
	for i, s := range r.Tokens {
		if cutsFrom(s, "video") {
			of = append(of, i)
		}
	}
	if !d.given("video.clip") {
		r.Video.Clip = d.defaultClip(r.Tokens, of)
	}
	if !d.given("video.pick") && r.Video.Clip.On() {
		if p := d.defaultPick(r.Tokens, of, r.Video.Clip); p.Rule != "" {
			r.Video.Pick = p.Normalise()
		}
	}
	c := r.Video.Clip
	if n := int64(c.Frames); n > r.Limits.MaxFramesKept {
		return d.faultAt("limits.max_frames_kept", fmt.Sprintf("%d is less than a clip's %d frames; write more", r.Limits.MaxFramesKept, n), "video.clip")
	}
	for _, i := range of {
		path := d.tokensAt(i)
		if reason := d.noFrames(r.Tokens[i], path, c); reason != "" {
			return d.faultAt(path, reason)
		}
	}
	return nil
}

// defaultClip is what the token outputs of video ask for, if they agree: windows of the
// length of a layout of clips, or, for presets of whole videos, all picked frames.
func (d *decoder) defaultClip(tokens []patch.Spec, of []int) pipeline.Clip {
	var clip pipeline.Clip
	for _, i := range of {
		var c pipeline.Clip
		switch s := tokens[i]; {
		case !cutsStills(s):
			c = pipeline.Clip{Frames: s.Frames, Stride: s.Frames, Last: "drop"}
		case d.isClipPreset(d.tokensAt(i)):
			c = pipeline.Clip{All: true}
		}
		if i != of[0] && c != clip {
			return pipeline.Clip{}
		}
		clip = c
	}
	return clip
}

// defaultPick is how frames are picked for the model whose clips all token outputs of
// video are: by the processor's own rule for whole videos, and each fourth frame for
// VideoMAE, as it was trained on Kinetics-400 (section 4 of the paper, arXiv 2203.12602).
// It has no rule where they do not agree.
func (d *decoder) defaultPick(tokens []patch.Spec, of []int, c pipeline.Clip) codecs.Pick {
	var rule codecs.Pick
	for n, i := range of {
		var p codecs.Pick
		switch s := tokens[i]; {
		case s.Layout == patch.VideoMAE:
			p = codecs.Pick{Rule: codecs.PickEvery, N: 4}
		case c.All && s.Layout == patch.Qwen2VL && d.isClipPreset(d.tokensAt(i)):
			p.Rule = codecs.PickQwen2VL
		case c.All && s.Layout == patch.Qwen3VL && d.isClipPreset(d.tokensAt(i)):
			p.Rule = codecs.PickQwen3VL
		}
		if n > 0 && p.Rule != rule.Rule {
			return codecs.Pick{}
		}
		rule = p
	}
	return rule
}

// isClipPreset reports whether a token output is the preset of a processor of videos.
func (d *decoder) isClipPreset(path string) bool { return strings.HasSuffix(d.presets[path], "-video") }

// noFrames says why an output can not be cut from video by a clip rule, or "".
func (d *decoder) noFrames(s patch.Spec, path string, c pipeline.Clip) string {
	switch stills, clips := cutsStills(s), cutsClips(s); {
	case !c.On() && !stills:
		return fmt.Sprintf("layout %s cuts clips of %d frames, and another output cuts other samples of a video; write video: {clip: {frames: %d}}, and media: image where an output is for images", s.Layout, s.Frames, s.Frames)
	case !c.On() && d.isClipPreset(path):
		return fmt.Sprintf("%s cuts clips, and another output cuts other samples of a video; write video: {clip: all}, and media: image where an output is for images", d.presets[path])
	case !c.On():
		return ""
	case !clips:
		return fmt.Sprintf("layout %s cuts stills, and video.clip makes clips; write media: image, or leave the clip out", s.Layout)
	case stills && s.Media == "":
		family := map[string]string{patch.Qwen2VL: "qwen2.5-vl", patch.Qwen3VL: "qwen3-vl"}[s.Layout]
		return fmt.Sprintf("its bounds are those of stills, and the model's processor has others for clips; write tokens: [%s, %s-video], or media: image or media: video here", family, family)
	case s.Layout == patch.Qwen3VL && !c.All && c.Frames < s.TemporalPatch:
		return fmt.Sprintf("a clip of %d frames is shorter than temporal_patch %d; write longer clips", c.Frames, s.TemporalPatch)
	case !stills && (c.All || c.Frames != s.Frames):
		return fmt.Sprintf("it cuts clips of %d frames, and video.clip makes others; write clip: {frames: %d}", s.Frames, s.Frames)
	case !stills && c.Last == "keep":
		return fmt.Sprintf("it cuts clips of %d frames, and last: keep makes shorter ones; write last: drop or last: repeat", s.Frames)
	}
	return ""
}
