package recipe

import (
	"fmt"

	"github.com/millrace/millrace/pipeline"
)

// Bounds of clips: the frames of one of a stated length, and how many of them a frame may
// be in, as each that is under way has a cutter for each output.
const (
	maxClip    = 4096
	maxOverlap = 16
)

// clip reads how picked frames are joined: all, or {frames: 16, stride: 8, last: drop}.
func (d *decoder) clip(v *pipeline.Clip) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind == isString && n.text == "all" {
			*v = pipeline.Clip{All: true}
			return nil
		}
		if n.kind != isMap {
			return d.wrong(n, path, "all, or a window of picked frames as in {frames: 16}")
		}
		c := pipeline.Clip{Last: "drop"}
		err := d.mapping(n, path, d.clipFields(&c))
		switch {
		case err != nil:
			return err
		case c.Frames == 0:
			return d.fault(n.at, path, "it has no length; write frames: 16, or clip: all for one clip of all picked frames")
		case c.Stride == 0:
			c.Stride = c.Frames
		case c.Frames > maxOverlap*c.Stride:
			return d.faultAt(join(path, "stride"), fmt.Sprintf("windows of %d frames would overlap more than %d-fold; write %d or more", c.Frames, maxOverlap, (c.Frames+maxOverlap-1)/maxOverlap))
		}
		*v = c
		return nil
	}
}

func (d *decoder) clipFields(c *pipeline.Clip) []field {
	return []field{
		{"frames", whole(d, &c.Frames, 1, maxClip)},
		{"stride", whole(d, &c.Stride, 1, maxEvery)},
		{"last", word(d, &c.Last, "drop", "keep", "repeat")},
	}
}

// showClip writes a clip rule as clip reads it.
func showClip(c pipeline.Clip) string {
	if c.All {
		return "all"
	}
	return fmt.Sprintf("{frames: %d, stride: %d, last: %s}", c.Frames, c.Stride, c.Last)
}
