package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
)

// mdsEntries writes the indexes of a dataset in MDS. What the snapshot before knows is not
// read again; the rest is read from the shards' first bytes, some at a time.
type mdsEntries struct {
	o       *output
	root    *document // names shards from the store's root
	local   *document // from its own folder; none once a shard is compressed
	known   *entryReader
	pending []chan mdsResult
}

type mdsResult struct {
	entry *shard.MDSEntry
	err   error
}

//nolint:gochecknoglobals // a constant table
var mdsKind = docKind{begin: `{"shards":[`, between: ",", end: `],"version":`}

// ahead is how many entries may wait for one before them.
const ahead = 4 * together

func (o *output) mosaic(base string) error {
	o.MDS, o.MDSLocal = base+"/mds/index.json", base+"/mds/local/index.json"
	o.mds = &mdsEntries{o: o, root: &document{key: o.MDS, kind: mdsKind}, local: &document{key: o.MDSLocal, kind: mdsKind}}
	if o.n == 0 {
		return nil
	}
	index, err := o.open(folder(o.n-1, o.Dataset) + "/mds/index.json")
	if index != nil && err == nil {
		o.mds.known, err = index.entries()
	}
	return err
}

func (m *mdsEntries) add(sh ledger.Shard) error {
	out := make(chan mdsResult, 1)
	m.pending = append(m.pending, out)
	entry, err := m.take(sh.Key)
	switch {
	case err != nil:
		return err
	case entry != nil:
		out <- mdsResult{entry, nil}
	default:
		m.o.work.Go(func() error {
			entry, err := shard.ReadMDSEntry(&object{m.o.ctx, m.o.store, sh.Key, sh.Bytes},
				shard.Info{URL: sh.Key, Samples: sh.Samples, Bytes: sh.Bytes, SHA256: sh.SHA256})
			out <- mdsResult{entry, err}
			return err
		})
	}
	return m.settle(ahead)
}

// take gives the entry of a shard that the snapshot before has, too. They stand there in
// the same order.
func (m *mdsEntries) take(key string) (*shard.MDSEntry, error) {
	for m.known != nil {
		e, err := m.known.peek()
		if e == nil || err != nil {
			return nil, err
		}
		file := e.RawData
		if e.ZipData != nil {
			file = e.ZipData
		}
		if file.Basename == key {
			m.known.drop()
			return e, nil
		}
		if !m.o.removed.Has(file.Basename) {
			return nil, nil
		}
		m.known.drop()
	}
	return nil, nil
}

// settle writes entries, in order, until no more than some are being read.
func (m *mdsEntries) settle(most int) error {
	for len(m.pending) > most {
		r := <-m.pending[0]
		m.pending = append(m.pending[:0], m.pending[1:]...)
		if r.err != nil {
			return r.err
		}
		if err := m.write(r.entry); err != nil {
			return err
		}
	}
	return nil
}

func (m *mdsEntries) write(e *shard.MDSEntry) error {
	if e.ZipData != nil && m.local != nil { // read in place, the library would unpack into the store
		m.local.close()
		m.local, m.o.MDSLocal = nil, ""
	}
	var b bytes.Buffer
	if err := shard.WriteMDSIndex(&b, "", []*shard.MDSEntry{e}); err != nil {
		return err
	}
	if err := m.root.splice(b.Bytes()); err != nil || m.local == nil {
		return err
	}
	b.Reset()
	if err := shard.WriteMDSIndex(&b, m.o.up+"../../", []*shard.MDSEntry{e}); err != nil {
		return err
	}
	return m.local.splice(b.Bytes())
}

func (m *mdsEntries) put() error {
	err := m.root.put(m.o.ctx, m.o.store)
	if err != nil || m.local == nil {
		return err
	}
	return m.local.put(m.o.ctx, m.o.store)
}

func (m *mdsEntries) close() {
	m.root.close()
	if m.local != nil {
		m.local.close()
	}
	if m.known != nil {
		_ = m.known.body.Close()
	}
}

// entryReader gives the entries of an MDS index, one at a time.
type entryReader struct {
	key  string
	body io.ReadCloser
	lim  *budget
	dec  *json.Decoder
	next *shard.MDSEntry
	end  bool
}

// mostEntry bounds the bytes of one entry of an index, with what is read ahead of it.
const mostEntry = 1 << 20

// budget is a reader that gives no more than what is left.
type budget struct {
	r    io.Reader
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("one of its entries has more than %d bytes", mostEntry)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (o *object) entries() (*entryReader, error) {
	rc, _, err := o.store.Get(o.ctx, o.key, 0, -1)
	if err != nil {
		return nil, err
	}
	e, err := readEntries(o.key, rc)
	if err != nil {
		_ = rc.Close()
	}
	return e, err
}

// readEntries takes over body, unless there is an error.
func readEntries(key string, body io.ReadCloser) (*entryReader, error) {
	lim := &budget{body, mostEntry}
	e := &entryReader{key: key, body: body, lim: lim, dec: json.NewDecoder(lim)}
	for _, want := range []json.Token{json.Delim('{'), "shards", json.Delim('[')} {
		if got, err := e.dec.Token(); err != nil || got != want {
			return nil, errors.Join(fmt.Errorf("%s is no MDS index: %v stands where %v was expected", key, got, want), err)
		}
	}
	return e, nil
}

// peek gives the entry in hand, or nil after the last.
func (e *entryReader) peek() (*shard.MDSEntry, error) {
	if e.next != nil || e.end {
		return e.next, nil
	}
	e.lim.left = mostEntry
	if !e.dec.More() {
		e.end = true
		_, err := e.dec.Token() // the end of the list, or of a document that was cut
		return nil, err
	}
	var entry shard.MDSEntry
	if err := e.dec.Decode(&entry); err != nil {
		return nil, fmt.Errorf("%s: an entry: %w", e.key, err)
	}
	if entry.RawData == nil {
		return nil, fmt.Errorf("%s: an entry names no file", e.key)
	}
	e.next = &entry
	return e.next, nil
}

func (e *entryReader) drop() { e.next = nil }
