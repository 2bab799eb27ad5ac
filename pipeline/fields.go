package pipeline

import "github.com/millrace/millrace/codecs/patch"

// FieldNames lists every field that an output's samples may have: what formats with
// columns make columns of, whichever of them a shard happens to hold.
func (r *Recipe) FieldNames(o Output) []string {
	if o.Pack != nil {
		return sequenceFields(o.Pack)
	}
	names := []string{"json", "txt"}
	for _, s := range r.Tokens {
		names = append(names, s.Name+".patches.npy", s.Name+".grid.npy")
		switch s.Layout {
		case patch.NaFlex:
			names = append(names, s.Name+".mask.npy")
		case patch.TimmFlex:
			names = append(names, s.Name+".mask.npy", s.Name+".coords.npy")
		}
		if r.Video.Clip.On() && s.Media != "image" {
			names = append(names, s.Name+".times.npy")
		}
	}
	switch r.Keep.Frame {
	case "":
	case "jpeg":
		names = append(names, "frame.jpg")
	default:
		names = append(names, "frame."+r.Keep.Frame)
	}
	if r.Audio.Keep != "" {
		names = append(names, "audio."+r.Audio.Keep)
	}
	if m := r.Audio.Mel; m != nil {
		names = append(names, m.Name+".mel.npy", m.Name+".mask.npy")
	}
	return unique(names)
}

// unique drops repeats: a token output for images and one for videos may share a name.
func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	kept := names[:0]
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			kept = append(kept, n)
		}
	}
	return kept
}
