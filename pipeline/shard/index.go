package shard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Info is what a loader's index says of one shard.
type Info struct {
	URL     string // absolute, or relative to the index itself
	Samples int64
	Bytes   int64
	SHA256  string // hex; only MDS' index has it
}

// WriteShardList writes URLs one a line, for webdataset.WebDataset(open(f).read().split()).
// That library resolves nothing: relative URLs are relative to where the loader runs.
func WriteShardList(w io.Writer, urls []string) error {
	if err := checkURLs(urls); err != nil {
		return fmt.Errorf("write a shard list: %w", err)
	}
	b := bufio.NewWriter(w)
	for _, u := range urls {
		b.WriteString(u)
		b.WriteByte('\n')
	}
	return b.Flush()
}

// widsIndex is the document that wids.ShardListDataset opens (wids 0.1.11,
// wids_specs.py). Its reader ignores the top-level "base" and each shard's "md5sum",
// so neither is written.
type widsIndex struct {
	Kind      string      `json:"__kind__"`
	Version   int         `json:"wids_version"`
	Name      string      `json:"name,omitempty"`
	ShardList []widsShard `json:"shardlist"`
}

type widsShard struct {
	URL      string `json:"url"`
	Samples  int64  `json:"nsamples"`
	FileSize int64  `json:"filesize"`
}

// WriteWids writes the index that the wids library opens, for random access over
// WebDataset shards. A relative URL is resolved against the folder of the index, with
// "..", whatever the index' scheme; one that begins with "/" against its host. The
// library names its local copies by the URL's last part if it is given a cache folder:
// two shards must not share it.
func WriteWids(w io.Writer, name string, shards []Info) error {
	doc := widsIndex{Kind: "wids-shard-index-v1", Version: 1, Name: name, ShardList: make([]widsShard, len(shards))}
	urls := make([]string, len(shards))
	for i, s := range shards {
		if s.Samples < 1 || s.Bytes < 1 {
			return fmt.Errorf("write a wids index: shard %q has %d samples in %d bytes; an index lists shards that hold something", s.URL, s.Samples, s.Bytes)
		}
		urls[i] = s.URL
		doc.ShardList[i] = widsShard{URL: s.URL, Samples: s.Samples, FileSize: s.Bytes}
	}
	if err := checkURLs(urls); err != nil {
		return fmt.Errorf("write a wids index: %w", err)
	}
	return writeJSON(w, doc)
}

// checkURLs refuses what loaders take for something else. Both libraries put a URL
// into a shell command between single quotes, split lists at white space, expand
// braces, and do not percent-decode.
func checkURLs(urls []string) error {
	if len(urls) == 0 {
		return errors.New("there are no shards; loaders refuse an empty list")
	}
	seen := make(map[string]struct{}, len(urls))
	for _, u := range urls {
		name := u[strings.LastIndexByte(u, '/')+1:]
		if name == "" {
			return fmt.Errorf("shard URL %q names no file", u)
		}
		if strings.HasPrefix(u, "pipe:") {
			return fmt.Errorf("shard URL %q: loaders would run it as a command", u)
		}
		for i := range len(u) {
			if !urlByte(u[i]) {
				return fmt.Errorf("shard URL %q has %q at byte %d, which loaders do not take as it is", u, u[i], i)
			}
		}
		if _, twice := seen[name]; twice {
			return fmt.Errorf("shard file name %q comes twice; loaders would take one for the other", name)
		}
		seen[name] = struct{}{}
	}
	return nil
}

func urlByte(c byte) bool {
	return lowerOrDigit(c) || upper(c) || strings.IndexByte("-._~:/?&=%+@,", c) >= 0
}
