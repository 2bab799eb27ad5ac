package recipe

import (
	"slices"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// Effect is what a changed field of a recipe can change of a dataset.
type Effect string

// The effects, the gravest first. What a field's effects do not name stays as it is.
const (
	Arrays      Effect = "arrays"      // of a sample that both recipes make, the arrays can differ
	Samples     Effect = "samples"     // samples are of other moments or media, or of other ones too
	Originals   Effect = "originals"   // kept pictures and sound differ
	Sequences   Effect = "sequences"   // other samples are joined into a sequence
	Names       Effect = "names"       // keys or fields are called otherwise
	Description Effect = "description" // numbers in a sample's JSON that a loader applies
	Refusals    Effect = "refusals"    // what is refused, and nothing of what is not
	Packaging   Effect = "packaging"   // how samples are put into shards
	Words       Effect = "words"       // nothing but words for people
)

// Says puts an effect into words.
func (e Effect) Says() string {
	switch e {
	case Arrays:
		return "arrays can differ"
	case Samples:
		return "other samples"
	case Originals:
		return "kept originals differ"
	case Sequences:
		return "other sequences of the same arrays"
	case Names:
		return "other names of the same contents"
	case Description:
		return "numbers for the loader: arrays equal"
	case Refusals:
		return "limits: only what is refused"
	case Packaging:
		return "only packaging: arrays equal"
	}
	return "words for people"
}

// effects are those of every field of [pipeline.Recipe], by the names of its JSON. A
// list has two: "tokens" is the order of its elements, "tokens[]" is an element that
// only one of two recipes has. What can be nil has one for being there at all. Picks and
// clip rules count as one field.
var effects = map[string][]Effect{
	"version": {Arrays, Samples, Originals},
	"dataset": {Names}, // keys of samples derive from it
	"about":   {Words},
	"digest":  {}, // says of the others

	"take.kinds": {Samples},

	"source.honour": {Refusals},

	"video.pick":               {Arrays, Samples}, // arrays: of clips, which are named by their first frame
	"video.clip":               {Arrays, Samples},
	"video.interlaced":         {Arrays, Samples, Originals},
	"video.hdr":                {Arrays, Samples, Originals},
	"video.keep_sample_aspect": {Arrays, Originals},
	"video.truncated":          {Samples},
	"video.containers":         {Samples},
	"video.codecs":             {Samples},

	"image.animation":  {Samples},
	"image.pick":       {Samples},
	"image.alpha":      {Arrays, Originals},
	"image.gray16":     {Arrays, Originals},
	"image.containers": {Samples},
	"image.truncated":  {Samples},

	"audio.track":    {Arrays, Samples, Originals},
	"audio.rate":     {Originals}, // features are of one rate
	"audio.chunk":    {Arrays, Samples, Originals},
	"audio.keep":     {Originals},
	"audio.mel":      {Arrays},
	"audio.mel.name": {Names},
	"audio.mel.bins": {Arrays},
	"audio.mel.pad":  {Arrays},

	"tokens":                {Packaging},
	"tokens[]":              {Arrays},
	"tokens.name":           {Names},
	"tokens.layout":         {Arrays},
	"tokens.media":          {Arrays},
	"tokens.patch":          {Arrays},
	"tokens.resize":         {Arrays},
	"tokens.size":           {Arrays},
	"tokens.crop":           {Arrays},
	"tokens.max_patches":    {Arrays},
	"tokens.min_pixels":     {Arrays},
	"tokens.max_pixels":     {Arrays},
	"tokens.temporal_patch": {Arrays},
	"tokens.merge":          {Arrays},
	"tokens.frames":         {Arrays},
	"tokens.pinpoints":      {Arrays},
	"tokens.filter":         {Arrays},
	"tokens.pass_order":     {Arrays},
	"tokens.dtype":          {Arrays},
	"tokens.mean":           {Arrays, Description},
	"tokens.std":            {Arrays, Description},

	"keep.frame":    {Originals},
	"keep.quality":  {Originals},
	"keep.max_side": {Originals},

	"outputs":                  {Packaging},
	"outputs[]":                {Packaging},
	"outputs.format":           {Packaging},
	"outputs.shard_bytes":      {Packaging},
	"outputs.shard_samples":    {Packaging},
	"outputs.shard_age":        {Packaging},
	"outputs.compression":      {Packaging},
	"outputs.pack":             {Sequences},
	"outputs.pack.tokens":      {Sequences},
	"outputs.pack.budget":      {Sequences},
	"outputs.pack.count":       {Sequences},
	"outputs.pack.window":      {Sequences},
	"outputs.pack.multiple":    {Sequences},
	"outputs.pack.max_samples": {Sequences},
	"outputs.pack.mode":        {Sequences},

	"limits.max_side":             {Refusals},
	"limits.max_video_pixels":     {Refusals},
	"limits.max_image_pixels":     {Refusals},
	"limits.max_image_frames":     {Refusals},
	"limits.max_animation_pixels": {Refusals},
	"limits.max_frames_kept":      {Refusals},
	"limits.max_frames_decoded":   {Refusals},
	"limits.max_streams":          {Refusals},
	"limits.max_duration_seconds": {Refusals},
	"limits.max_fps":              {Refusals},
	"limits.max_size_changes":     {Refusals},
	"limits.max_metadata_bytes":   {Refusals},
	"limits.max_video_side":       {Refusals},
	"limits.max_tokens":           {Refusals},
	"limits.max_frame_bytes":      {Refusals},
}

// effectsOf are the effects of a field that differs between a and b, and of a token
// output's field, between the outputs s and t.
func effectsOf(field string, a, b *pipeline.Recipe, s, t patch.Spec) []Effect {
	switch field {
	case "video.pick":
		if !a.Video.Clip.On() && !b.Video.Clip.On() { // a sample is one frame, named by its time
			return []Effect{Samples}
		}
	case "video.interlaced":
		return treated(a.Video.Interlaced, b.Video.Interlaced)
	case "video.hdr":
		return treated(a.Video.HDR, b.Video.HDR)
	case "audio.track", "audio.chunk":
		l := []Effect{Samples}
		if a.Audio.Mel != nil || b.Audio.Mel != nil {
			l = append(l, Arrays)
		}
		if a.Audio.Keep != "" || b.Audio.Keep != "" {
			l = append(l, Originals)
		}
		return l
	case "tokens.mean", "tokens.std":
		if s.DType == patch.UInt8 && t.DType == patch.UInt8 {
			return []Effect{Description}
		}
		return []Effect{Arrays}
	}
	return slices.Clone(effects[field])
}

// treated are the effects of treating odd video otherwise: if one recipe refuses it, the
// two have none of it in common.
func treated(a, b string) []Effect {
	if a == "refuse" || b == "refuse" {
		return []Effect{Samples}
	}
	return []Effect{Arrays, Originals}
}
