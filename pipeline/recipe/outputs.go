package recipe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// formats of shards that this build writes, and those of them that can be compressed.
// A test of the program holds them equal to pipeline/shard's, which this package may
// not import.
var (
	formats    = []string{"webdataset", "mds", "parquet"}
	compressed = []string{"mds", "parquet"}
)

// Formats lists the formats of shards that a recipe may name.
func Formats() []string { return slices.Clone(formats) }

func blankOutput() pipeline.Output {
	return pipeline.Output{Format: "webdataset", ShardBytes: 256 << 20, ShardSamples: 100_000, ShardAge: time.Minute}
}

// outputs reads the shard formats: names or mappings.
func (d *decoder) outputs(v *[]pipeline.Output) func(*node, string) error {
	return func(n *node, path string) error {
		items := n.items
		if n.kind != isList {
			items = []*node{n}
		}
		if len(items) == 0 {
			return d.fault(n.at, path, "the list is empty; write [webdataset], or leave the field out")
		}
		var all []pipeline.Output
		for i, item := range items {
			at := path
			if n.kind == isList {
				at = fmt.Sprintf("%s[%d]", path, i)
			}
			o, err := d.output(item, at)
			if err != nil {
				return err
			}
			for _, before := range all {
				if before.Format == o.Format {
					return d.fault(item.at, path, "%s stands twice; leave one", o.Format)
				}
			}
			all = append(all, o)
		}
		*v = all
		return nil
	}
}

func (d *decoder) output(n *node, path string) (pipeline.Output, error) {
	o := blankOutput()
	if n.kind != isMap {
		return o, word(d, &o.Format, formats...)(n, path)
	}
	err := d.mapping(n, path, d.outputFields(&o))
	switch {
	case err != nil:
		return o, err
	case !d.given(join(path, "format")):
		return o, d.fault(n.at, path, "it has no format; write format: webdataset")
	case o.Compression != "" && !slices.Contains(compressed, o.Format):
		return o, d.faultAt(join(path, "compression"), fmt.Sprintf("%s has none, as its loaders read it plain; leave it out, or write format: %s", o.Format, strings.Join(compressed, " or ")))
	}
	return o, nil
}

func (d *decoder) outputFields(o *pipeline.Output) []field {
	return []field{
		{"format", word(d, &o.Format, formats...)},
		{"shard_bytes", d.size(&o.ShardBytes, 4<<10, 64<<30)},
		{"shard_samples", whole(d, &o.ShardSamples, 1, 10_000_000)},
		{"shard_age", d.duration(&o.ShardAge, 10*time.Millisecond, 24*time.Hour)},
		{"compression", d.compression(&o.Compression)},
		{"pack", d.pack(&o.Pack)},
	}
}

// compression reads none, which is the empty word, or zstd.
func (d *decoder) compression(v *string) func(*node, string) error {
	return func(n *node, path string) error {
		var s string
		if err := word(d, &s, "none", "zstd")(n, path); err != nil {
			return err
		}
		if s == "zstd" {
			*v = s
		}
		return nil
	}
}
