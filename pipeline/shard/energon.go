package shard

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Sidecar is a small file that loaders expect beside a shard, under the shard's name
// and Suffix.
type Sidecar struct {
	Suffix string
	Data   []byte
}

// TarIndexSuffix is that of Energon's index of a tar shard (its itar.py): SHARD.tar.idx.
const TarIndexSuffix = ".idx"

// TarIndex is Energon's index of a tar shard: 64-bit little-endian offsets of its
// samples, and of the end of the last.
func TarIndex(entries []Entry) []byte {
	b := make([]byte, 0, 8*(len(entries)+1))
	for i := range entries {
		b = binary.LittleEndian.AppendUint64(b, uint64(entries[i].Offset))
	}
	if n := len(entries); n > 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(entries[n-1].Offset+entries[n-1].Length))
	}
	return b
}

// EnergonInfo is the file .nv-meta/.info.json, in which Energon (7.x) finds a dataset's
// shards. It resolves a relative URL, with "..", against the folder that holds .nv-meta,
// and opens each shard's [TarIndex] beside the shard.
func EnergonInfo(w io.Writer, shards []Info) error {
	counts := make(map[string]int64, len(shards))
	urls := make([]string, len(shards))
	for i, s := range shards {
		urls[i], counts[s.URL] = s.URL, s.Samples
	}
	if err := checkURLs(urls); err != nil {
		return fmt.Errorf("write Energon's info: %w", err)
	}
	return writeJSON(w, map[string]any{"energon_version": "7.4.1", "shard_counts": counts})
}

// EnergonSplit is the file .nv-meta/split.yaml: all shards are for training. (JSON is
// YAML.)
func EnergonSplit(w io.Writer, shards []Info) error {
	urls := make([]string, len(shards))
	for i, s := range shards {
		urls[i] = s.URL
	}
	if err := checkURLs(urls); err != nil {
		return fmt.Errorf("write Energon's split: %w", err)
	}
	return writeJSON(w, map[string]any{"exclude": []string{}, "split_parts": map[string]any{"train": urls, "val": []string{}, "test": []string{}}})
}

// EnergonDataset is the file .nv-meta/dataset.yaml: samples come as they are, for the
// cookers of a task encoder.
const EnergonDataset = "__module__: megatron.energon\n__class__: CrudeWebdataset\n"

func writeJSON(w io.Writer, doc any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(doc)
}
