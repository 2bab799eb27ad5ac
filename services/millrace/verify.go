package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
)

type verifyCmd struct {
	storeArg
	Deep     bool   `help:"Read every shard and compare its SHA-256. Without it, sizes and the store's checksums."`
	Progress string `help:"Note in this file how far the check is; a later one with it goes on from there." placeholder:"FILE"`
	Again    bool   `help:"Begin again, whatever --progress knows."`
	Across   bool   `help:"Look for ids that ended as samples twice: in two streams, or beyond a stream's window."`
	Snapshot int64  `help:"Check the loaders' indexes of this snapshot; the latest otherwise." default:"-1" placeholder:"N"`
	Parallel int    `help:"How many shards are checked at a time." default:"8"`
}

func (verifyCmd) Help() string {
	return `Examples:  millrace verify s3://bucket/set --deep
           millrace verify s3://bucket/set --deep --progress set.verified

Needs nothing but the store. Exit code 3, and a line for each fault, if anything is wrong.
With --progress a check may be stopped and gone on with, and the next one sees only what
is new; what it has found right it does not look at again, so start over (--again) every
so often. What is wrong is looked at each time.`
}

// mostAcross is how many ids are held at a time to find repeats: 40 bytes each. Where there
// are more, the records are read more than once.
const mostAcross = 20_000_000

// verified is all that the command finds.
type verified struct {
	*ledger.Report
	Indexes *catalog.Checked `json:"indexes,omitempty"`
	Repeats *ledger.Repeats  `json:"repeats,omitempty"`
}

func (v *verified) faults() []ledger.Fault {
	if v.Indexes == nil {
		return v.Faults
	}
	return append(v.Faults[:len(v.Faults):len(v.Faults)], v.Indexes.Faults...)
}

func (c verifyCmd) Run(a *app) error {
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	o := ledger.VerifyOptions{Deep: c.Deep, Parallel: c.Parallel}
	if c.Progress != "" {
		if err := c.resume(a, &o); err != nil {
			return err
		}
	}
	v, err := c.check(a, s, o)
	if err != nil {
		return err
	}
	if len(v.Streams) == 0 && v.OK() {
		return faultsError{fmt.Errorf("%s holds no ledger: nothing was written there, or it is another place", c.URL)}
	}
	if a.json {
		if err := a.printJSON(v); err != nil {
			return err
		}
	} else {
		v.print(a.out)
	}
	if n := int64(len(v.faults())) + v.MoreFaults; n > 0 {
		return faultsError{fmt.Errorf("the ledger does not hold: %d faults", n)}
	}
	return nil
}

// check does all the checks: of indexes first, since they say which shards must have an
// index beside them.
func (c verifyCmd) check(a *app, s store.Store, o ledger.VerifyOptions) (*verified, error) {
	v := &verified{}
	snap, err := c.snapshot(a, s)
	switch {
	case errors.Is(err, errDamaged): // what is wrong with it is found with the others
	case err != nil:
		return nil, err
	case snap != nil:
		if v.Indexes, err = catalog.CheckIndexes(a.ctx, s, snap); err != nil && damaged(a, err) {
			v.Indexes, err = nil, nil // what it could not read is found with the others
		}
		if err != nil {
			return nil, err
		}
	}
	o.Beside = catalog.Beside(s, v.Indexes)
	p := startCheck(a.errOut)
	v.Report, err = ledger.Verify(a.ctx, store.Plain{Store: s}, o, p.tell)
	p.end()
	if err == nil && c.Across {
		v.Repeats, err = ledger.Across(a.ctx, store.Plain{Store: s}, nil, mostAcross, false)
	}
	return v, err
}

// errDamaged: a snapshot can not be read, and not because the store does not answer.
var errDamaged = errors.New("the snapshot is damaged")

// snapshot gives the one whose indexes are checked, or nil.
func (c verifyCmd) snapshot(a *app, s store.Store) (*ledger.Snapshot, error) {
	var snap *ledger.Snapshot
	var err error
	if c.Snapshot >= 0 {
		if snap, err = ledger.ReadSnapshot(a.ctx, store.Plain{Store: s}, c.Snapshot); store.IsNotFound(err) {
			return nil, usageError{fmt.Errorf("there is no snapshot %d", c.Snapshot)}
		}
	} else if snap, err = ledger.Latest(a.ctx, store.Plain{Store: s}); errors.Is(err, ledger.ErrNoSnapshot) {
		return nil, nil
	}
	if err != nil && damaged(a, err) {
		return nil, errors.Join(errDamaged, err)
	}
	return snap, err
}

// damaged says of an error that it comes from what is in the store, or is not there.
func damaged(a *app, err error) bool {
	var known *store.Error
	return a.ctx.Err() == nil && (store.IsNotFound(err) || !errors.As(err, &known))
}

// progressFile is what --progress names.
type progressFile struct {
	URL   string        `json:"url"`
	State *ledger.State `json:"state"`
}

// mostProgress bounds it: over 100,000 streams.
const mostProgress = 256 << 20

// resume goes on from the file, if there is one, and keeps it up to date.
func (c verifyCmd) resume(a *app, o *ledger.VerifyOptions) error {
	o.Save = func(state *ledger.State) error {
		data, err := json.Marshal(progressFile{c.URL, state})
		if err != nil {
			return err
		}
		return replaceFile(c.Progress, data)
	}
	if c.Again {
		return nil
	}
	info, err := os.Stat(c.Progress)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && info.Size() > mostProgress {
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(c.Progress)
	}
	var f struct {
		URL   string          `json:"url"`
		State json.RawMessage `json:"state"`
	}
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err == nil && f.URL != c.URL {
		err = fmt.Errorf("it is of %s", f.URL)
	}
	if err == nil {
		o.From, err = ledger.ParseState(f.State)
	}
	if err != nil {
		return usageError{fmt.Errorf("--progress %s: %w (--again begins again)", c.Progress, err)}
	}
	if c.Deep && !o.From.Deep {
		fmt.Fprintln(a.errOut, "what was verified before was not read: beginning again, with --deep")
		return nil
	}
	fmt.Fprintf(a.errOut, "going on from %s, which knows %d streams\n", c.Progress, len(o.From.Streams))
	return nil
}

// replaceFile writes a file beside the old one, and puts it in its place.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// print ends with one line that says it all.
func (v *verified) print(w io.Writer) {
	var sum ledger.StreamReport
	for _, s := range v.Streams {
		fmt.Fprintf(w, "%s: %d records, offsets %d to %d; %d samples in %d shards (%s); jobs: %d ok, %d dup-of, %d quarantined; %d offsets without a message",
			s.Stream, s.Records, s.From, s.To, s.Samples, s.Shards, size(s.Bytes), s.OK, s.DupOf, s.Quarantined, s.Skipped)
		if s.Earlier > 0 {
			fmt.Fprintf(w, "; %d of the records were verified before", s.Earlier)
		}
		fmt.Fprintln(w)
		sum.Samples += s.Samples
		sum.Shards += s.Shards
		sum.Quarantined += s.Quarantined
	}
	faults := v.faults()
	for _, f := range faults {
		fmt.Fprintln(w, "FAULT", f)
	}
	if v.MoreFaults > 0 {
		fmt.Fprintf(w, "FAULT and %d more\n", v.MoreFaults)
	}
	if n := int64(len(v.Orphans)) + v.MoreOrphans; n > 0 {
		fmt.Fprintf(w, "%d objects are named by no record (left by writers that died; no fault)\n", n)
	}
	if v.Gone > 0 {
		fmt.Fprintf(w, "%d shards that edits had removed are gone; snapshots before the edits can not be read (no fault)\n", v.Gone)
	}
	if i := v.Indexes; i != nil {
		fmt.Fprintf(w, "snapshot %d: %d indexes name its %d shards\n", i.Snapshot, i.Documents, i.Shards)
		if !i.Complete {
			fmt.Fprintf(w, "the indexes of snapshot %d are not complete: run millrace publish (no fault)\n", i.Snapshot)
		}
	}
	if v.Repeats != nil {
		printRepeats(w, v.Repeats)
	}
	verdict := "the ledger holds"
	if n := int64(len(faults)) + v.MoreFaults; n > 0 {
		verdict = fmt.Sprintf("the ledger DOES NOT hold: %d faults", n)
	}
	fmt.Fprintf(w, "%d samples, %d shards, %d quarantined; %s\n", sum.Samples, sum.Shards, sum.Quarantined, verdict)
}

// printRepeats warns of samples whose keys are there twice.
func printRepeats(w io.Writer, r *ledger.Repeats) {
	if r.Repeated > 0 {
		fmt.Fprintf(w, "WARNING %d of %d ids ended as samples more than once, so there are samples with equal keys; take one of the two down (millrace takedown), or read the dataset as it is:\n", r.Repeated, r.IDs)
		for _, x := range r.Examples {
			fmt.Fprintf(w, "  %s of dataset %s: %s offset %d, and %s offset %d\n", x.ID, x.Dataset, x.First.Stream, x.First.Offset, x.Again.Stream, x.Again.Offset)
		}
	}
	if r.Partial {
		fmt.Fprintf(w, "%d ids were looked at for repeats; there are more: millrace verify --across looks at all\n", r.IDs)
	}
}
