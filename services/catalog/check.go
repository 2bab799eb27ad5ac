package catalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// Checked is what CheckIndexes found.
type Checked struct {
	Snapshot int64 `json:"snapshot"`
	// Complete says that a publisher has written all of the snapshot's indexes. Else it is
	// still at it, or has died, and what is missing is no fault: publish completes it.
	Complete  bool           `json:"complete"`
	Documents int            `json:"documents"`
	Shards    int64          `json:"shards"`
	Faults    []ledger.Fault `json:"faults"`

	tars *ledger.IDs // keys of tar shards whose own indexes are to be there
}

// mostFaults bounds the faults that Checked lists.
const mostFaults = 1000

// CheckIndexes holds the loaders' indexes of a snapshot against it: each names exactly the
// snapshot's shards, with their numbers of samples, in the snapshot's order.
func CheckIndexes(ctx context.Context, s store.Store, snap *ledger.Snapshot) (*Checked, error) {
	done, err := indexed(ctx, s, snap.N)
	if err != nil {
		return nil, fmt.Errorf("check the indexes of snapshot %d: %w", snap.N, err)
	}
	c := &Checked{Snapshot: snap.N, Complete: done != nil, Faults: []ledger.Fault{}, tars: ledger.NewIDs(0)}
	if err := c.all(ctx, s, snap); err != nil {
		return nil, fmt.Errorf("check the indexes of snapshot %d: %w", snap.N, err)
	}
	return c, nil
}

// expected is one dataset in one format: what its indexes are to name, a line a shard.
type expected struct {
	Index
	lines spool
}

func (c *Checked) all(ctx context.Context, s store.Store, snap *ledger.Snapshot) error {
	outputs := map[string]*expected{}
	defer func() {
		for _, e := range outputs {
			e.lines.close()
		}
	}()
	for sh, err := range ledger.Shards(ctx, store.Plain{Store: s}, snap, "") {
		if err != nil {
			return err
		}
		e := outputs[sh.Format+"/"+sh.Dataset]
		if e == nil {
			e = &expected{Index: Index{Dataset: sh.Dataset, Format: sh.Format}}
			outputs[sh.Format+"/"+sh.Dataset] = e
		}
		if _, err := fmt.Fprintf(&e.lines, "%d %s\n", sh.Samples, sh.Key); err != nil {
			return err
		}
		if sh.Format == shard.WebDataset && c.Complete {
			c.tars.Add("", sh.Key, 0, ledger.OK)
		}
		e.Shards++
		c.Shards++
	}
	for _, e := range outputs {
		for _, d := range documentsOf(snap.N, e.Dataset, e.Format) {
			if err := c.document(ctx, s, e, d); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(c.Faults, func(a, b ledger.Fault) int { return strings.Compare(a.Object, b.Object) })
	return nil
}

func (c *Checked) fault(key, format string, args ...any) {
	if len(c.Faults) < mostFaults {
		c.Faults = append(c.Faults, ledger.Fault{Object: key, Text: fmt.Sprintf(format, args...)})
	}
}

// document compares one index with what it is to name.
func (c *Checked) document(ctx context.Context, s store.Store, e *expected, d indexDocument) error {
	rc, _, err := s.Get(ctx, d.key, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		if c.Complete && !d.optional {
			c.fault(d.key, "it is missing, though the snapshot's indexes are complete")
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer rc.Close()
	c.Documents++
	watched := &failing{r: rc}
	named, err := d.open(d.key, watched)
	if err == nil {
		err = compare(e, d, named)
	}
	if watched.err != nil {
		return watched.err
	}
	if err != nil {
		c.fault(d.key, "%v", err)
	}
	return nil
}

// failing remembers why reading has failed.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// compare goes through what an index names and what it is to name side by side. Where an
// index has an order of its own, sums of digests are compared.
func compare(e *expected, d indexDocument, named entrySource) error {
	want, err := e.lines.open()
	if err != nil {
		return err
	}
	var wanted, got tally
	for n := 0; ; n++ {
		line, err := want.ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		entry, more, entryErr := named()
		switch {
		case entryErr != nil:
			return entryErr
		case line == "" && !more:
			if wanted != got {
				return errors.New("it does not name the snapshot's shards, with their numbers of samples")
			}
			return nil
		case line == "" || !more:
			return fmt.Errorf("it names %s shards than the snapshot has, which are %d", map[bool]string{true: "more", false: "fewer"}[more], e.Shards)
		}
		text, key, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		samples, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		if entry.samples < 0 {
			samples = entry.samples // this index does not say
		}
		wish := indexEntry{d.prefix + key, samples}
		if !d.unordered && entry != wish {
			return fmt.Errorf("its shard %d is %s; the snapshot's is %s", n, entry, wish)
		}
		wanted.add(wish)
		got.add(entry)
	}
}

// open gives what was written, from its start.
func (s *spool) open() (*bufio.Reader, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.file == nil {
		return bufio.NewReader(strings.NewReader(s.mem.String())), nil
	}
	if err := s.w.Flush(); err != nil {
		return nil, err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return bufio.NewReader(s.file), nil
}
