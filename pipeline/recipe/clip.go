package recipe

import (
	"fmt"

	"github.com/millrace/millrace/pipeline"
)

// maxClip is how many frames a clip of a stated length may have.
const maxClip = 4096

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
