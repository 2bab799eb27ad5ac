package audio

import (
	"fmt"
	"slices"
)

const (
	maxChannels = 64
	minRate     = 1_000   // Hz, in and out
	maxRate     = 768_000 // likewise
)

// Rules say which track is read, and at which rate it comes out.
type Rules struct {
	// Track is "" or "default" (the track marked so, else the first) or a language by its
	// ISO 639-2 code, as in "eng".
	Track string
	// Rate in samples a second, 1000 to 768000.
	Rate int
}

// Validate refuses what no track can fulfil.
func (r Rules) Validate() error {
	if r.Rate < minRate || r.Rate > maxRate {
		return fmt.Errorf("sound can not have %d samples a second: ask for %d to %d", r.Rate, minRate, maxRate)
	}
	return nil
}

// decoders are the codecs that are read, with the one FFmpeg decoder used for each.
var decoders = map[string]string{
	"aac": "aac", "mp3": "mp3float", "mp2": "mp2", "opus": "opus", "vorbis": "vorbis",
	"flac": "flac", "alac": "alac", "ac3": "ac3", "eac3": "eac3",
	"pcm_u8": "pcm_u8", "pcm_s16le": "pcm_s16le", "pcm_s16be": "pcm_s16be", "pcm_s24le": "pcm_s24le", "pcm_s24be": "pcm_s24be",
	"pcm_s32le": "pcm_s32le", "pcm_s32be": "pcm_s32be", "pcm_f32le": "pcm_f32le", "pcm_f32be": "pcm_f32be",
	"pcm_f64le": "pcm_f64le", "pcm_f64be": "pcm_f64be", "pcm_mulaw": "pcm_mulaw", "pcm_alaw": "pcm_alaw",
}

// allDecoders is FFmpeg's codec_whitelist: what probing may open.
func allDecoders() []string {
	var all []string
	for _, d := range decoders {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// bibliographic are the languages with two codes in ISO 639-2: as libraries have it, and
// as everybody else does.
var bibliographic = map[string]string{
	"alb": "sqi", "arm": "hye", "baq": "eus", "bur": "mya", "chi": "zho", "cze": "ces", "dut": "nld", "fre": "fra",
	"geo": "kat", "ger": "deu", "gre": "ell", "ice": "isl", "mac": "mkd", "mao": "mri", "may": "msa", "per": "fas",
	"rum": "ron", "slo": "slk", "tib": "bod", "wel": "cym",
}

func sameLanguage(a, b string) bool { return language(a) == language(b) }

func language(code string) string {
	if t, ok := bibliographic[code]; ok {
		return t
	}
	return code
}
