package recipe

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// languages are the layouts of models whose pictures stand in a language model's text.
var languages = []string{patch.Qwen2VL, patch.Qwen3VL, patch.Pixtral, patch.LLaVANext}

const (
	firstFit           = "first_fit"
	firstFitDecreasing = "first_fit_decreasing"
	defaultWindow      = 512
)

// pack reads how samples are joined into sequences: a budget, or a mapping.
func (d *decoder) pack(v **pipeline.Pack) func(*node, string) error {
	return func(n *node, path string) error {
		p := &pipeline.Pack{Count: "patches", Window: defaultWindow, Multiple: 1}
		*v = p
		if n.kind != isMap {
			p.Mode = firstFitDecreasing
			return d.budget(&p.Budget)(n, path)
		}
		err := d.mapping(n, path, d.packFields(p))
		switch {
		case err != nil:
			return err
		case p.Budget == 0:
			return d.fault(n.at, path, "it has no budget; write budget: 8192")
		case p.Multiple > p.Budget:
			return d.faultAt(join(path, "multiple"), fmt.Sprintf("%d is more than the budget of %d", p.Multiple, p.Budget))
		case p.Mode == "" && p.MaxSamples > 0:
			p.Mode = firstFit // decreasing would leave all the short ones to sequences that are full by number
		case p.Mode == "":
			p.Mode = firstFitDecreasing
		}
		return nil
	}
}

func (d *decoder) packFields(p *pipeline.Pack) []field {
	return []field{
		{"budget", d.budget(&p.Budget)},
		{"tokens", d.fieldName(&p.Tokens)},
		{"count", word(d, &p.Count, "patches", "language")},
		{"window", whole(d, &p.Window, 1, 1<<16)},
		{"multiple", whole(d, &p.Multiple, 1, 1<<16)},
		{"max_samples", whole(d, &p.MaxSamples, 1, 1<<20)},
		{"mode", word(d, &p.Mode, firstFitDecreasing, firstFit)},
	}
}

func (d *decoder) budget(v *int) func(*node, string) error { return whole(d, v, 1, math.MaxInt32) }

// packAt is where an output's pack was written.
func (d *decoder) packAt(i int) string {
	for _, path := range []string{fmt.Sprintf("outputs[%d].pack", i), "outputs.pack"} {
		if d.given(path) {
			return path
		}
	}
	return "pack"
}

// checkPacks gives the key pack to all outputs, says which tokens are packed, and
// refuses what can not be.
func (d *decoder) checkPacks(r *pipeline.Recipe) error {
	for i := range r.Outputs {
		o := &r.Outputs[i]
		if d.packAll != nil {
			if o.Pack != nil {
				return d.faultAt(d.packAt(i), "pack stands at the top too, for every output; leave one of the two out")
			}
			p := *d.packAll
			o.Pack = &p
		}
		if o.Pack == nil {
			continue
		}
		if err := d.checkPack(o.Pack, r.Tokens, d.packAt(i)); err != nil {
			return err
		}
	}
	return d.checkUnpacked(r)
}

func (d *decoder) checkPack(p *pipeline.Pack, tokens []patch.Spec, path string) error {
	var known []string
	for _, s := range tokens {
		if !slices.Contains(known, s.Name) {
			known = append(known, s.Name)
		}
	}
	switch {
	case len(known) == 0:
		return d.faultAt(path, "there are no tokens to pack; write tokens: PRESET")
	case p.Tokens == "" && len(known) > 1:
		return d.faultAt(path, fmt.Sprintf("one token output is packed; say which, as in tokens: %s (there are %s)", known[0], strings.Join(known, ", ")))
	case p.Tokens == "":
		p.Tokens = known[0]
	case !slices.Contains(known, p.Tokens):
		return d.faultAt(join(path, "tokens"), fmt.Sprintf("no token output is called %s; %s", shown(p.Tokens), suggest(p.Tokens, known)))
	}
	for _, s := range tokens {
		if s.Name != p.Tokens {
			continue
		}
		if p.Count == "language" && !slices.Contains(languages, s.Layout) {
			return d.faultAt(join(path, "count"), fmt.Sprintf("layout %s is of no language model, and counts its patches; leave count out (%s have one)", s.Layout, strings.Join(languages, ", ")))
		}
		if most := mostSequence / rowBytes(s, p.Count); int64(p.Budget) > most {
			return d.faultAt(join(path, "budget"), fmt.Sprintf("a sequence of %d tokens of %s may have more than 512 MiB, which not every format holds; write %d or less", p.Budget, s.Name, most), path)
		}
		if n := leastTokens(s, p.Count); n > int64(p.Budget) {
			return d.faultAt(join(path, "budget"), fmt.Sprintf("one sample of %s has %d tokens, more than the budget of %d; write more", s.Name, n, p.Budget), path)
		}
	}
	return nil
}

// mostSequence is how large a sequence's patches may be: it is made in memory, and every
// format must hold it.
const mostSequence = 512 << 20

// rowBytes is how many bytes one token of a sequence has; "language" ones at least.
func rowBytes(s patch.Spec, count string) int64 {
	n := s.RowBytes()
	if count == "language" {
		n *= int64(max(s.Merge, 1) * max(s.Merge, 1))
	}
	return n
}

// leastTokens is what each sample of an output has, or, of layouts that fill a number
// of patches, about has. Where that is open it is a lower bound.
func leastTokens(s patch.Spec, count string) int64 {
	side := s.Crop
	if side == 0 {
		side = s.Size
	}
	square := int64(side/s.Patch) * int64(side/s.Patch)
	switch s.Layout {
	case patch.ViT:
		return square
	case patch.VideoMAE:
		return square * int64(s.Frames/s.TemporalPatch)
	case patch.LLaVANext:
		if count == "language" {
			return square // of tiles, what holds the picture alone is counted
		}
		return 2 * square // the whole picture, and a tile or more
	case patch.NaFlex, patch.TimmFlex:
		return int64(s.MaxPatches)
	case patch.Qwen2VL:
		n := s.MinPixels / int64(s.Patch*s.Patch)
		if count == "language" {
			n /= int64(s.Merge * s.Merge)
		}
		return n
	}
	return 1
}

// checkUnpacked refuses what no output would hold: a pack has token arrays alone.
func (d *decoder) checkUnpacked(r *pipeline.Recipe) error {
	var packed []string
	for _, o := range r.Outputs {
		if o.Pack != nil {
			packed = append(packed, o.Pack.Tokens)
		}
	}
	if len(packed) == 0 {
		return nil
	}
	// A sample without the tokens that an output packs is refused, whatever other outputs
	// there are: each holds all samples of the jobs that a record names.
	if d.given("take") && r.Take.Wants("text") {
		return d.faultAt("take", "a job of words alone has no tokens to pack; take video or image only, or leave pack out")
	}
	if r.Take.Wants("text") {
		drop(r, "text")
	}
	if r.Audio.On() && r.Take.Wants("video") && !r.Video.Clip.On() {
		return d.faultAt("audio", "sound makes samples of its own here, which have no tokens to pack; make clips, which carry their sound, or leave pack or audio out")
	}
	if r.Audio.On() && r.Take.Wants("audio") {
		if d.given("take") {
			return d.faultAt("take", "sound alone has no tokens to pack; take no audio, or leave pack out")
		}
		drop(r, "audio")
	}
	if len(packed) < len(r.Outputs) {
		return nil
	}
	const beside = "; leave it out, or write a second output without pack"
	switch {
	case r.Keep.Frame != "":
		return d.faultAt("keep", "a pack holds no pictures, and every output is packed"+beside)
	case r.Audio.On():
		return d.faultAt("audio", "a pack holds no sound, and every output is packed"+beside)
	}
	for i, s := range r.Tokens {
		if !slices.Contains(packed, s.Name) {
			return d.faultAt(d.tokensAt(i), "every output is packed, and none with "+s.Name+beside)
		}
	}
	return nil
}

func showPack(w writer, p *pipeline.Pack) {
	if p == nil {
		return
	}
	w("    pack: # samples joined into sequences")
	w("      tokens: %s", quote(p.Tokens))
	w("      budget: %d # tokens in a sequence", p.Budget)
	w("      count: %s # patches, or language: places in a language model's text", p.Count)
	w("      window: %d # samples sorted among each other", p.Window)
	w("      multiple: %d # a sample's length is rounded up to it", p.Multiple)
	if p.MaxSamples > 0 {
		w("      max_samples: %d", p.MaxSamples)
	}
	w("      mode: %s", p.Mode)
}
