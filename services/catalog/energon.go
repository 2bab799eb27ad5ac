package catalog

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

const energonInfo = "/energon/.nv-meta/.info.json"

// webdataset prepares the documents of wids and Energon. Energon's info is last: without
// it there is no dataset.
func (o *output) webdataset(base string) error {
	o.Wids, o.Energon = base+"/wids.json", base+"/energon"
	dataset := &document{key: base + "/energon/.nv-meta/dataset.yaml"}
	if _, err := dataset.body.Write([]byte(shard.EnergonDataset)); err != nil {
		return err
	}
	dataset.kind.write = func(io.Writer, string, shard.Info) error { return nil } // it is the same for any shards
	o.docs = append(o.docs, &document{key: o.Wids, kind: widsKind}, dataset,
		&document{key: base + "/energon/.nv-meta/split.yaml", kind: splitKind, prefix: "../"},
		&document{key: base + energonInfo, kind: infoKind, prefix: "../"})
	if o.n == 0 {
		return nil
	}
	before := folder(o.n-1, o.Dataset)
	if done, err := o.open(before + energonInfo); done == nil || err != nil {
		return err
	}
	list, err := o.open(before + "/" + shard.WebDataset + ".txt")
	if list != nil && err == nil {
		o.known, err = list.lines()
	}
	return err
}

// tarIndexed sees that a shard's index is beside it, unless the snapshot before has seen
// so. Shards that it has stand there in the same order.
func (o *output) tarIndexed(sh ledger.Shard, url string) error {
	for o.known != nil {
		line, err := o.known.peek()
		if err != nil {
			return err
		}
		if line == url {
			o.known.drop()
			return nil
		}
		if line == "" || !o.removed.Has(strings.TrimPrefix(line, o.up)) {
			break
		}
		o.known.drop()
	}
	o.work.Go(func() error { return o.tarIndex(sh) })
	return nil
}

// tarIndex sees that a shard's index is beside it. Writers put it there; for a shard that
// has none it is made from the headers in the shard.
func (o *output) tarIndex(sh ledger.Shard) error {
	key := sh.Key + shard.TarIndexSuffix
	_, err := o.store.Stat(o.ctx, key)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	data, err := tarIndexOf(&object{o.ctx, o.store, sh.Key, sh.Bytes}, sh)
	if err != nil {
		return err
	}
	return create(o.ctx, o.store, key, data)
}

// tarIndexOf makes a shard's index from its headers.
func tarIndexOf(data io.ReaderAt, sh ledger.Shard) ([]byte, error) {
	r, err := shard.Open(sh.Format, data, sh.Bytes, shard.DefaultLimits())
	if err != nil {
		return nil, err
	}
	var entries []shard.Entry
	for {
		e, err := r.Next()
		if err == io.EOF {
			return shard.TarIndex(entries), nil
		}
		if err != nil {
			return nil, fmt.Errorf("shard %s: %w", sh.Key, err)
		}
		entries = append(entries, shard.Entry{Offset: e.Offset, Length: e.Length})
	}
}
