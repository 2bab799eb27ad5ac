package recipe

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// Parse reads a recipe. The name stands for the file in errors, which are one line:
// "name:line:column: field: what is wrong; what to write".
func Parse(name string, data []byte) (*pipeline.Recipe, error) {
	n, err := parseYAML(name, data)
	if err != nil {
		return nil, err
	}
	d := newDecoder(name)
	r := blank()
	if err := d.mapping(n, "", d.fields(r)); err != nil {
		return nil, err
	}
	if err := d.check(r); err != nil {
		return nil, err
	}
	r.Digest = Digest(r)
	return r, nil
}

// Load reads a recipe from a file.
func Load(path string) (*pipeline.Recipe, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the recipe can not be opened: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the recipe can not be read: %w", err)
	}
	return Parse(path, data)
}

// Default is the recipe of a dataset that has none: one frame a second and every
// image, cut for SigLIP2 NaFlex as bytes, with a small JPEG of each frame to look at.
func Default(dataset string) (*pipeline.Recipe, error) {
	if !isDataset(dataset) {
		return nil, fmt.Errorf("dataset %s: %s", shown(dataset), datasetRule)
	}
	return Parse("default recipe", fmt.Appendf(nil, `dataset: %q
tokens: siglip2-base-patch16-naflex
keep: {frame: jpeg, max_side: 512}
`, dataset))
}

// blank is a recipe with every default.
func blank() *pipeline.Recipe {
	return &pipeline.Recipe{
		Version: 1,
		Video:   pipeline.VideoRules{Pick: codecs.Pick{Rule: codecs.PickFPS, Rate: codecs.NewRational(1, 1)}, Truncated: "refuse"},
		Image:   pipeline.ImageRules{Animation: "first", Alpha: "over:#ffffff", Gray16: "high-byte", Truncated: "refuse"},
		Outputs: []pipeline.Output{blankOutput()},
		Limits:  codecs.DefaultLimits(),
	}
}

// fields are the keys of a recipe, in the order in which people write them.
func (d *decoder) fields(r *pipeline.Recipe) []field {
	return []field{
		{"version", d.version},
		{"dataset", d.dataset(&r.Dataset)},
		{"about", d.text(&r.About, 4096)},
		{"take", d.words(&r.Take.Kinds, kinds...)},
		{"source", d.section(d.sourceFields(&r.Source))},
		{"video", d.section(d.videoFields(&r.Video))},
		{"image", d.section(d.imageFields(&r.Image))},
		{"audio", d.audio(&r.Audio)},
		{"tokens", d.tokens(&r.Tokens)},
		{"keep", d.keep(&r.Keep)},
		{"pack", d.pack(&d.packAll)},
		{"outputs", d.outputs(&r.Outputs)},
		{"limits", d.section(d.limitFields(&r.Limits))},
	}
}

func (d *decoder) section(fields []field) func(*node, string) error {
	return func(n *node, path string) error { return d.mapping(n, path, fields) }
}

func (d *decoder) version(n *node, path string) error {
	if v, ok := wholeOf(n); !ok || v != 1 {
		return d.fault(n.at, path, "%s is not known; this build reads version 1, which may be left out", shown(n.text))
	}
	return nil
}

const datasetRule = "write 1 to 64 letters, digits, dots, underscores and dashes, the first a letter or digit"

func (d *decoder) dataset(v *string) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind == isMap || n.kind == isList || !isDataset(n.text) {
			return d.wrong(n, path, strings.TrimPrefix(datasetRule, "write "))
		}
		*v = n.text
		return nil
	}
}

// isDataset keeps names fit for a folder, a bucket's prefix and a label.
func isDataset(s string) bool {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	return len(s) > 0 && len(s) <= 64 && ok(rune(s[0])) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !ok(r) && r != '.' && r != '_' && r != '-' })
}
