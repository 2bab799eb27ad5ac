package catalog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// indexKeys are the objects that snapshots have as indexes.
func indexKeys(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range s.List(t.Context(), "_index/", "") {
		if err != nil {
			t.Fatal(err)
		}
		all[info.Key] = text(t, s, info.Key)
	}
	return all
}

// mortal is a store whose writer dies after some creates.
type mortal struct {
	store.Store
	mu   sync.Mutex
	left int
}

var errDead = &store.Error{Op: "create", Kind: store.ErrDenied}

func (m *mortal) Create(ctx context.Context, key string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left--; m.left < 0 {
		return errDead
	}
	return m.Store.Create(ctx, key, data)
}

// TestMend: whenever a publisher dies, the next one completes its snapshot, also when
// there is something newer to publish, and with the bytes that the first would have
// written.
func TestMend(t *testing.T) {
	fill := func(s store.Store) {
		commit(t, s, "one", true, all("cats")...)
		if _, err := Publish(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		commit(t, s, "one", true, all("cats")...)
	}
	for die := 0; ; die++ {
		s := store.NewMemory()
		fill(s)
		_, err := Publish(t.Context(), &mortal{Store: s, left: die})
		if err == nil {
			if die < 8 {
				t.Errorf("a snapshot took %d creates", die)
			}
			return
		}
		if !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		left := indexKeys(t, s)
		snap, err := ledger.Latest(t.Context(), store.Plain{Store: s})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, "two", true, all("cats")...)
		p := publish(t, s)
		if snap.N == 1 && (p.Snapshot.N != 2 || !slices.Equal(p.Mended, []int64{1})) {
			t.Fatalf("dead after %d creates: snapshot %d was published, %v were mended", die, p.Snapshot.N, p.Mended)
		}
		after := indexKeys(t, s)
		for key, was := range left {
			if after[key] != was {
				t.Errorf("dead after %d creates: %s has changed", die, key)
			}
		}
		if faults, err := CheckIndexes(t.Context(), s, p.Snapshot); err != nil || len(faults.Faults) > 0 || !faults.Complete {
			t.Errorf("dead after %d creates: %v, %v", die, faults, err)
		}
		if snap.N == 1 {
			if faults, err := CheckIndexes(t.Context(), s, snap); err != nil || len(faults.Faults) > 0 || !faults.Complete {
				t.Errorf("dead after %d creates, the mended: %v, %v", die, faults, err)
			}
		}
		if again := publish(t, s); again.Snapshot.N != p.Snapshot.N || len(again.Mended) > 0 || len(again.Indexes) != 3 {
			t.Errorf("publishing again gives %+v", again)
		}
	}
}

// TestPublishEdited: what edits leave out is in no index of theirs, and what the snapshot
// before knows is not read again although shards between are gone.
func TestPublishEdited(t *testing.T) {
	s := store.NewMemory()
	for range 4 {
		commit(t, s, "one", true, want{"cats", shard.MDS, ""}, want{"cats", shard.WebDataset, ""})
	}
	first := publish(t, s)
	shards, err := Shards(t.Context(), s, first.Snapshot, "cats")
	if err != nil {
		t.Fatal(err)
	}
	gone := []string{shards[2].Key, shards[3].Key} // one of each format
	snap, err := ledger.PublishEdits(t.Context(), store.Plain{Store: s}, ledger.Edit{Kind: ledger.Takedown, Dataset: "cats", Removes: gone})
	if err != nil {
		t.Fatal(err)
	}
	watched := &watched{Store: s}
	p, err := Complete(t.Context(), watched, snap)
	if err != nil || len(p.Indexes) != 2 || p.Indexes[0].Shards != 3 || p.Indexes[1].Shards != 3 || len(p.Mended) != 0 {
		t.Fatalf("got %+v, %v", p, err)
	}
	if len(watched.data) > 0 {
		t.Errorf("it looked at %v, which the snapshot before has indexed", watched.data)
	}
	for key, body := range indexKeys(t, s) {
		if strings.HasPrefix(key, "_index/00000000000000000001/") && (strings.Contains(body, gone[0]) || strings.Contains(body, gone[1])) {
			t.Errorf("%s names what was removed", key)
		}
	}
	if faults, err := CheckIndexes(t.Context(), s, snap); err != nil || len(faults.Faults) > 0 || !faults.Complete {
		t.Errorf("%v, %v", faults, err)
	}
}

// watched notes which objects under data/ are asked for.
type watched struct {
	store.Store
	mu   sync.Mutex
	data []string
}

func (w *watched) Stat(ctx context.Context, key string) (store.Info, error) {
	if strings.HasPrefix(key, "data/") {
		w.mu.Lock()
		w.data = append(w.data, key)
		w.mu.Unlock()
	}
	return w.Store.Stat(ctx, key)
}

// TestForgottenIsNotMended: a snapshot whose shards are gone does not keep later ones from
// being published.
func TestForgottenIsNotMended(t *testing.T) {
	s := store.NewMemory()
	commit(t, s, "one", false, all("cats")...)
	if _, err := ledger.Publish(t.Context(), store.Plain{Store: s}); err != nil {
		t.Fatal(err)
	}
	shards, err := Shards(t.Context(), s, nil, "cats")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, sh := range shards {
		keys = append(keys, sh.Key)
		if err := s.Delete(t.Context(), sh.Key); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, s, "one", false, all("cats")...)
	snap, err := ledger.PublishEdits(t.Context(), store.Plain{Store: s}, ledger.Edit{Kind: ledger.Takedown, Dataset: "cats", Removes: keys})
	if err != nil {
		t.Fatal(err)
	}
	p := publish(t, s)
	if p.Snapshot.N != snap.N+1 || len(p.Mended) != 1 || p.Mended[0] != snap.N || len(p.Indexes) != 3 {
		t.Errorf("got %+v", p)
	}
}
