package still

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/codecs"
)

// The values of [Options.Gray16].
const (
	Gray16High = "high-byte" // v >> 8
	Gray16Clip = "clip"      // min(v, 255), as Pillow 11.3 to 13.0 do
)

// The values of [Options.Animation].
const (
	AnimationFirst = "first" // the picture that a program without animation shows
	AnimationAll   = "all"   // every composited frame that Pick picks
)

// Options says how a picture becomes RGB. The zero value is the service's default.
type Options struct {
	// Background is the colour under transparent pixels, "#rrggbb"; empty is white.
	Background string `yaml:"background,omitempty" json:"background,omitempty"`
	// DropAlpha forgets alpha instead of compositing, as Pillow's convert("RGB") does:
	// what shows is the colour that the file stores under transparent pixels.
	DropAlpha bool `yaml:"drop_alpha,omitempty" json:"drop_alpha,omitempty"`
	// Gray16 is Gray16High (also where empty) or Gray16Clip.
	Gray16 string `yaml:"gray16,omitempty" json:"gray16,omitempty"`
	// Animation is AnimationFirst (also where empty) or AnimationAll.
	Animation string `yaml:"animation,omitempty" json:"animation,omitempty"`
	// Pick chooses among an animation's frames with AnimationAll; the zero Pick is all.
	Pick codecs.Pick `yaml:"pick,omitempty" json:"pick,omitzero"`
	// AllowTruncated gives a JPEG that ends early or is damaged inside, with what
	// libjpeg puts in the gaps (mostly gray), and notes "truncated" or "damaged" in
	// Applied. Other containers are refused all the same.
	AllowTruncated bool `yaml:"allow_truncated,omitempty" json:"allow_truncated,omitempty"`
	// EnableTIFF and EnableBMP let these containers in. Their decoders see less
	// hostile input in the world than the others, hence the switch.
	EnableTIFF bool `yaml:"enable_tiff,omitempty" json:"enable_tiff,omitempty"`
	EnableBMP  bool `yaml:"enable_bmp,omitempty" json:"enable_bmp,omitempty"`
}

// Validate refuses values that do not exist, by name.
func (o Options) Validate() error {
	if _, err := parseColour(o.Background); err != nil {
		return fmt.Errorf("background %q: %w", o.Background, err)
	}
	switch o.Gray16 {
	case "", Gray16High, Gray16Clip:
	default:
		return fmt.Errorf("gray16 %q is not one of %s, %s", o.Gray16, Gray16High, Gray16Clip)
	}
	switch o.Animation {
	case "", AnimationFirst, AnimationAll:
	default:
		return fmt.Errorf("animation %q is not one of %s, %s", o.Animation, AnimationFirst, AnimationAll)
	}
	if o.Pick.Rule == "" {
		return nil
	}
	return o.Pick.Validate()
}

// gray16Note is what is done to 16-bit gray, for Frame.Applied.
func (o Options) gray16Note() string {
	if o.Gray16 == Gray16Clip {
		return "gray16:" + Gray16Clip
	}
	return "gray16:" + Gray16High
}

// allows refuses containers that are behind a switch, with the switch's name.
func (o Options) allows(container string) error {
	switch {
	case container == TIFF && !o.EnableTIFF:
		return denied("tiff", "enable_tiff")
	case container == BMP && !o.EnableBMP:
		return denied("bmp", "enable_bmp")
	}
	return nil
}

func denied(container, setting string) error {
	return codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe,
		"a %s picture, which the still rules do not take; set %s: true to take them", container, setting)
}

type rgb [3]byte

// parseColour reads "#rrggbb"; empty is white.
func parseColour(s string) (rgb, error) {
	if s == "" {
		return rgb{255, 255, 255}, nil
	}
	if len(s) != 7 || s[0] != '#' {
		return rgb{}, fmt.Errorf("a colour is written #rrggbb, as in #ffffff")
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return rgb{}, fmt.Errorf("a colour is written #rrggbb with hexadecimal digits, as in #ffffff")
	}
	return rgb{byte(n >> 16), byte(n >> 8), byte(n)}, nil
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }
