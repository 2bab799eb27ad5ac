package keeper

import (
	"github.com/millrace/millrace/pipeline/ledger"
)

// bin is some small shards that become one.
type bin []ledger.Shard

// alike is what shards have in common that may be merged.
type alike struct {
	dataset, recipe, format, ext string
	packed                       bool
}

func likeness(sh ledger.Shard) alike {
	return alike{sh.Dataset, sh.Recipe, sh.Format, extOf(sh.Key), sh.Members > 0}
}

// fill puts the shards of less than below bytes into bins of at most target bytes each, in
// their order, and of shards that are alike. Whatever would be alone in its bin stays as
// it is.
func fill(shards []ledger.Shard, below, target int64) []bin {
	var bins []bin
	open := map[alike]bin{}
	size := map[alike]int64{}
	var order []alike // of first appearance, so that the same shards give the same bins
	for _, sh := range shards {
		if sh.Bytes >= below {
			continue
		}
		k := likeness(sh)
		if size[k]+sh.Bytes > target {
			bins = closeBin(bins, open[k])
			open[k], size[k] = nil, 0
		}
		if _, seen := open[k]; !seen {
			order = append(order, k)
		}
		open[k] = append(open[k], sh)
		size[k] += sh.Bytes
	}
	for _, k := range order {
		bins = closeBin(bins, open[k])
	}
	return bins
}

func closeBin(bins []bin, b bin) []bin {
	if len(b) < 2 {
		return bins
	}
	return append(bins, b)
}
