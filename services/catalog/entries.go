package catalog

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/pipeline/shard"
)

// indexEntry is what an index says of one shard; samples are -1 where it does not say.
type indexEntry struct {
	url     string
	samples int64
}

// String is for people.
func (e indexEntry) String() string {
	if e.samples < 0 {
		return e.url
	}
	return fmt.Sprintf("%s with %d samples", e.url, e.samples)
}

// entrySource gives an index's entries, one at a time; false after the last.
type entrySource func() (indexEntry, bool, error)

// indexDocument is one of the indexes of a dataset in a format.
type indexDocument struct {
	key       string
	prefix    string // of URLs, before the shard's key
	unordered bool   // its entries have an order of their own
	optional  bool   // there is none for some datasets
	open      func(key string, r io.Reader) (entrySource, error)
}

func documentsOf(n int64, dataset, format string) []indexDocument {
	base := folder(n, dataset)
	up := strings.Repeat("../", strings.Count(base, "/")+1)
	docs := []indexDocument{{key: base + "/" + format + ".txt", prefix: up, open: listEntries}}
	switch format {
	case shard.WebDataset:
		docs = append(docs,
			indexDocument{key: base + "/wids.json", prefix: up, open: widsEntries},
			indexDocument{key: base + "/energon/.nv-meta/split.yaml", prefix: "../" + up, open: splitEntries},
			indexDocument{key: base + energonInfo, prefix: "../" + up, unordered: true, open: infoEntries})
	case shard.MDS:
		docs = append(docs,
			indexDocument{key: base + "/mds/index.json", open: mdsEntriesOf},
			indexDocument{key: base + "/mds/local/index.json", prefix: up + "../../", optional: true, open: mdsEntriesOf})
	}
	return docs
}

func listEntries(key string, r io.Reader) (entrySource, error) {
	l := &lines{key: key, r: bufio.NewReaderSize(r, mostLine)}
	return func() (indexEntry, bool, error) {
		line, err := l.peek()
		l.drop()
		return indexEntry{line, -1}, line != "", err
	}, nil
}

func mdsEntriesOf(key string, r io.Reader) (entrySource, error) {
	e, err := readEntries(key, io.NopCloser(r))
	if err != nil {
		return nil, err
	}
	return func() (indexEntry, bool, error) {
		entry, err := e.peek()
		if entry == nil || err != nil {
			return indexEntry{}, false, err
		}
		e.drop()
		file := entry.RawData
		if entry.ZipData != nil {
			file = entry.ZipData
		}
		return indexEntry{file.Basename, entry.Samples}, true, nil
	}, nil
}

func widsEntries(key string, r io.Reader) (entrySource, error) {
	d := newWalk(key, r)
	if err := d.to(json.Delim('['), "shardlist"); err != nil {
		return nil, err
	}
	return func() (indexEntry, bool, error) {
		var s struct {
			URL     string `json:"url"`
			Samples int64  `json:"nsamples"`
		}
		more, err := d.next(&s)
		return indexEntry{s.URL, s.Samples}, more, err
	}, nil
}

func splitEntries(key string, r io.Reader) (entrySource, error) {
	d := newWalk(key, r)
	if err := d.to(json.Delim('['), "split_parts", "train"); err != nil {
		return nil, err
	}
	return func() (indexEntry, bool, error) {
		var url string
		more, err := d.next(&url)
		return indexEntry{url, -1}, more, err
	}, nil
}

func infoEntries(key string, r io.Reader) (entrySource, error) {
	d := newWalk(key, r)
	if err := d.to(json.Delim('{'), "shard_counts"); err != nil {
		return nil, err
	}
	return func() (indexEntry, bool, error) {
		d.lim.left = mostEntry
		name, err := d.dec.Token() // a key, or the end
		url, more := name.(string)
		if err != nil || !more {
			return indexEntry{}, false, err
		}
		var samples int64
		err = d.dec.Decode(&samples)
		return indexEntry{url, samples}, true, err
	}, nil
}

// walk reads a JSON document without holding it.
type walk struct {
	key string
	lim *budget
	dec *json.Decoder
}

func newWalk(key string, r io.Reader) *walk {
	lim := &budget{r, mostEntry}
	return &walk{key, lim, json.NewDecoder(lim)}
}

// to goes to what stands under some names, past what stands before, and into it.
func (w *walk) to(open json.Delim, names ...string) error {
	for _, name := range names {
		if err := w.token(json.Delim('{')); err != nil {
			return err
		}
		for {
			got, err := w.dec.Token()
			if err != nil {
				return fmt.Errorf("it is no index: %w", err)
			}
			if got == name {
				break
			}
			var skipped json.RawMessage
			if got == json.Delim('}') {
				return fmt.Errorf("it is no index: it has no %s", name)
			}
			if err := w.dec.Decode(&skipped); err != nil {
				return fmt.Errorf("it is no index: %w", err)
			}
		}
	}
	return w.token(open)
}

func (w *walk) token(want json.Token) error {
	got, err := w.dec.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v stands where %v was expected", got, want)
	}
	if err != nil {
		return fmt.Errorf("it is no index: %w", err)
	}
	return nil
}

// next decodes the next element; false after the last.
func (w *walk) next(v any) (bool, error) {
	w.lim.left = mostEntry
	if !w.dec.More() {
		_, err := w.dec.Token() // the end of the list, or of a document that was cut
		return false, err
	}
	if err := w.dec.Decode(v); err != nil {
		return false, fmt.Errorf("an entry: %w", err)
	}
	return true, nil
}

// tally sums digests of entries: equal for the same ones in any order.
type tally [2]uint64

func (t *tally) add(e indexEntry) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", e.samples, e.url))
	t[0] += binary.BigEndian.Uint64(sum[:])
	t[1] += binary.BigEndian.Uint64(sum[8:])
}
