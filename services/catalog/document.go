package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// docKind says how an index is written an entry at a time. The format's own writer makes
// it of one shard; begin and end are around the entry there. What comes before, between
// and after entries is then the same for any number of them.
type docKind struct {
	begin, between, end string
	write               func(w io.Writer, dataset string, s shard.Info) error
}

//nolint:gochecknoglobals // constant tables
var (
	listKind = docKind{write: func(w io.Writer, _ string, s shard.Info) error { return shard.WriteShardList(w, []string{s.URL}) }}
	widsKind = docKind{`"shardlist": [`, ",", "\n ]\n}\n", func(w io.Writer, dataset string, s shard.Info) error {
		return shard.WriteWids(w, dataset, []shard.Info{s})
	}}
	splitKind = docKind{`"train": [`, ",", "\n  ],\n  \"val\"", func(w io.Writer, _ string, s shard.Info) error {
		return shard.EnergonSplit(w, []shard.Info{s})
	}}
	infoKind = docKind{`"shard_counts": {`, ",", "\n }\n}\n", func(w io.Writer, _ string, s shard.Info) error {
		return shard.EnergonInfo(w, []shard.Info{s})
	}}
)

// document is an index that grows.
type document struct {
	key    string
	kind   docKind
	prefix string // of URLs, besides
	body   spool
	tail   []byte // what follows the last entry
	n      int
	buf    bytes.Buffer
}

func (d *document) add(dataset string, s shard.Info) error {
	s.URL = d.prefix + s.URL
	d.buf.Reset()
	if err := d.kind.write(&d.buf, dataset, s); err != nil {
		return err
	}
	return d.splice(d.buf.Bytes())
}

// splice adds the entry of a document that has only that.
func (d *document) splice(one []byte) error {
	from, to := bytes.Index(one, []byte(d.kind.begin)), bytes.LastIndex(one, []byte(d.kind.end))
	from += len(d.kind.begin)
	if d.kind.end == "" {
		to = len(one)
	}
	if from < len(d.kind.begin) || to < from {
		return fmt.Errorf("%s: an index of one shard is written as %.200q, which is not as expected", d.key, one)
	}
	if d.n == 0 {
		_, _ = d.body.Write(one[:from])
		d.tail = bytes.Clone(one[to:])
	} else {
		_, _ = d.body.Write([]byte(d.kind.between))
	}
	d.n++
	_, err := d.body.Write(one[from:to])
	return err
}

// put stores the document, if it is not there yet.
func (d *document) put(ctx context.Context, s store.Store) error {
	if _, err := d.body.Write(d.tail); err != nil {
		return err
	}
	d.tail = nil
	return d.body.put(ctx, s, d.key)
}

func (d *document) close() { d.body.close() }

// attempts bounds how often a create without an outcome is sent, and pause is between
// them.
const (
	attempts = 6
	pause    = 200 * time.Millisecond
)

// create makes an object, if there is none. Whoever was first has written the same.
func create(ctx context.Context, s store.Store, key string, data []byte) error {
	var err error
	for range attempts {
		err = s.Create(ctx, key, data)
		if err == nil || errors.Is(err, store.ErrExists) {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}
