package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// ForgetOptions say which snapshots Forget forgets.
type ForgetOptions struct {
	// OlderThan is how long ago a snapshot must have been written, by the store's clock; 0
	// or less forgets none by age.
	OlderThan time.Duration
	// All forgets whatever its age; OlderThan is then not minded.
	All bool
	// Keep are numbers of snapshots that stay, whatever their age and whatever was taken
	// down since. The latest always stays.
	Keep   []int64
	DryRun bool
	Now    func() time.Time // nil is the machine's
}

// Forgotten is what a Forget found, and did. It is kept, before anything is deleted, under
// _forgotten/.
type Forgotten struct {
	Version   int       `json:"v"`
	Time      time.Time `json:"time"`
	DryRun    bool      `json:"dry_run,omitempty"`
	Snapshots []int64   `json:"snapshots"` // that are forgotten, now or before
	Kept      int       `json:"kept"`
	// Shards are those that edits have removed and that no kept snapshot names; what stands
	// beside them goes with them.
	Shards  []string `json:"shards"`
	Indexes int      `json:"indexes"` // objects, of forgotten snapshots' indexes
}

const (
	forgottenPrefix  = "_forgotten/"
	forgottenVersion = 1
)

// Forget deletes what only old snapshots need: shards that a later edit has removed (small
// ones that were merged, those that something was taken down from), and the snapshots' own
// indexes, so that no loader finds a list of what is gone. Snapshots that are not forgotten
// can be read as before. Takedowns with [Deed.Erase] that are done have all snapshots before
// them forgotten, of any age.
//
// Records, snapshots and edits stay: it is known for ever what there was. It may run beside
// writers, since an edit is inherited by all later snapshots: what is removed in the latest
// never comes back.
//
// What is returned with an error is what was to be done; made again, it goes on.
func Forget(ctx context.Context, s store.Store, o ForgetOptions) (*Forgotten, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &forgetter{s: s, ls: store.Plain{Store: s}, o: o}
	f.result = &Forgotten{Version: forgottenVersion, Time: o.Now().UTC().Truncate(time.Second), DryRun: o.DryRun, Snapshots: []int64{}, Shards: []string{}}
	if err := f.run(ctx); err != nil {
		return f.result, fmt.Errorf("forget snapshots: %w", err)
	}
	return f.result, nil
}

type forgetter struct {
	s       store.Store
	ls      store.Plain
	o       ForgetOptions
	result  *Forgotten
	latest  *ledger.Snapshot
	kept    []*ledger.Snapshot // those that lack an edit of the latest; nothing is removed of others
	removed map[string]*origin // shards that edits have removed, by key
}

// origin is when a shard came, and when it went.
type origin struct {
	gone   int    // the edit, by its place in the latest snapshot, that removed it
	edit   int    // the edit that added it; -1 for a record
	stream string // of that record: as Stream.Path; "" while it is not known
	seq    int64
}

func (f *forgetter) run(ctx context.Context) (err error) {
	if f.latest, err = ledger.Latest(ctx, f.ls); err != nil {
		if errors.Is(err, ledger.ErrNoSnapshot) {
			return nil
		}
		return err
	}
	if err := f.choose(ctx); err != nil || len(f.result.Snapshots) == 0 {
		return err
	}
	if err := f.trace(ctx); err != nil {
		return err
	}
	objects, err := f.objects(ctx)
	if err != nil || f.o.DryRun || len(objects) == 0 {
		return err
	}
	if err := f.write(ctx); err != nil {
		return err
	}
	return remove(ctx, f.s, objects)
}

// choose tells snapshots that are forgotten from those that are kept.
func (f *forgetter) choose(ctx context.Context) error {
	erased, err := f.erased(ctx)
	if err != nil {
		return err
	}
	limit := f.o.Now().Add(-f.o.OlderThan)
	for info, err := range f.s.List(ctx, snapPrefix, "") {
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(info.Key, snapPrefix), 10, 64)
		if err != nil || n >= f.latest.N { // what was published meanwhile is younger than all
			continue
		}
		old := f.o.All || f.o.OlderThan > 0 && !info.Modified.After(limit)
		if (old || n < erased) && !slices.Contains(f.o.Keep, n) {
			f.result.Snapshots = append(f.result.Snapshots, n)
			continue
		}
		snap, err := ledger.ReadSnapshot(ctx, f.ls, n)
		if err != nil {
			return err
		}
		f.result.Kept++
		if len(snap.Edits) < len(f.latest.Edits) {
			f.kept = append(f.kept, snap)
		}
	}
	f.result.Kept++ // the latest
	return nil
}

const snapPrefix = "_snap/"

// erased is the number of the snapshot before which all name what was to be erased.
func (f *forgetter) erased(ctx context.Context) (int64, error) {
	deeds, err := Deeds(ctx, f.s, "")
	if err != nil {
		return 0, err
	}
	before := int64(0)
	for _, d := range deeds {
		if d.Erase && !d.Done.IsZero() {
			before = max(before, d.Snapshot)
		}
	}
	return before, nil
}

// trace finds the shards that edits have removed, and where they came from.
func (f *forgetter) trace(ctx context.Context) error {
	f.removed = map[string]*origin{}
	i := 0
	added := map[string]int{}
	for e, err := range ledger.Edits(ctx, f.ls, f.latest) {
		if err != nil {
			return err
		}
		for _, key := range e.Removes {
			x := &origin{gone: i, edit: -1}
			if by, ok := added[key]; ok {
				x.edit = by
				delete(added, key)
			}
			f.removed[key] = x
		}
		for _, sh := range e.Adds {
			added[sh.Key] = i
		}
		i++
	}
	if len(f.removed) == 0 || len(f.kept) == 0 {
		return nil
	}
	for item, err := range ledger.Records(ctx, f.ls, f.latest) {
		if err != nil {
			return err
		}
		for _, sh := range item.Record.Shards {
			if x := f.removed[sh.Key]; x != nil {
				x.stream, x.seq = item.Record.Stream, item.Record.Seq
			}
		}
	}
	return nil
}

// needed says whether a kept snapshot names a shard that a later edit has removed.
func (f *forgetter) needed(x *origin) bool {
	return slices.ContainsFunc(f.kept, func(snap *ledger.Snapshot) bool {
		if x.gone < len(snap.Edits) {
			return false
		}
		if x.edit >= 0 {
			return x.edit < len(snap.Edits)
		}
		return slices.ContainsFunc(snap.Streams, func(p ledger.Pinned) bool { return p.Stream == x.stream && x.seq <= p.Seq })
	})
}

// objects are those to delete, indexes first.
func (f *forgetter) objects(ctx context.Context) ([]Orphan, error) {
	var all []Orphan
	for _, n := range f.result.Snapshots {
		for info, err := range f.s.List(ctx, fmt.Sprintf("_index/%020d/", n), "") {
			if err != nil {
				return nil, err
			}
			all = append(all, Orphan{Key: info.Key, Verdict: Deletable})
		}
	}
	f.result.Indexes = len(all)
	for key, x := range f.removed {
		if f.needed(x) {
			continue
		}
		before := len(all)
		for info, err := range f.s.List(ctx, key, "") { // itself, and what stands beside it
			if err != nil {
				return nil, err
			}
			if info.Key == key || shardOf(info.Key) == key {
				all = append(all, Orphan{Key: info.Key, Verdict: Deletable})
			}
		}
		if len(all) > before {
			f.result.Shards = append(f.result.Shards, key)
		}
	}
	slices.Sort(f.result.Shards)
	return all, nil
}

// write keeps what is about to be deleted.
func (f *forgetter) write(ctx context.Context) error {
	data, err := json.Marshal(f.result)
	if err != nil {
		return err
	}
	return store.Upload(ctx, f.s, forgottenPrefix+ulid.Make().String()+".json", store.BytesBody(data))
}
