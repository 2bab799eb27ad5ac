package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// counted counts what is asked of a store.
type counted struct {
	store.Plain
	mu     sync.Mutex
	opened map[string]int
	heads  int
}

func (c *counted) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	c.mu.Lock()
	c.opened[strings.SplitN(key, "/", 2)[0]]++
	c.mu.Unlock()
	return c.Plain.Open(ctx, key)
}

func (c *counted) Head(ctx context.Context, key string) (int64, []byte, []byte, error) {
	c.mu.Lock()
	c.heads++
	c.mu.Unlock()
	return c.Plain.Head(ctx, key)
}

// TestVerifyResumes: a second check looks at what is new, counts everything, and notices
// when what was verified is not what it was.
func TestVerifyResumes(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	chain := take(t, s, "w")
	commit := func(n int) {
		for range n {
			if err := chain.Commit(t.Context(), entry(t, m, chain, 2)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var state *ledger.State
	check := func(deep bool) (*ledger.Report, *counted) {
		t.Helper()
		c := &counted{Plain: s, opened: map[string]int{}}
		r, err := ledger.Verify(t.Context(), c, ledger.VerifyOptions{Deep: deep, From: state, Save: func(st *ledger.State) error {
			data, err := json.Marshal(st)
			if err == nil {
				state, err = ledger.ParseState(data)
			}
			return err
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r, c
	}
	commit(40)
	if _, err := ledger.Publish(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if r, _ := check(true); !r.OK() || r.Streams[0].Shards != 40 || r.Streams[0].Earlier != 0 {
		t.Fatalf("the first: %+v", r)
	}
	commit(3)
	if _, err := ledger.Publish(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	r, asked := check(true)
	got := r.Streams[0]
	if !r.OK() || got.Records != 45 || got.Earlier != 42 || got.Shards != 43 || got.OK != 86 || r.Snapshots != 2 || len(r.Orphans) != 0 {
		t.Errorf("the second: %+v", r)
	}
	if asked.opened["data"] != 3 || asked.opened["_log"] > 6 {
		t.Errorf("it opened %v to see 3 new records", asked.opened)
	}
	if r, asked := check(false); !r.OK() || asked.opened["data"] != 0 || r.Streams[0].Earlier != 45 {
		t.Errorf("a shallow check after a deep one: %+v, opened %v", r, asked.opened)
	}
	if r, _ := check(true); !r.OK() || r.Streams[0].Earlier != 0 {
		t.Errorf("a deep check after a shallow one: %+v", r)
	}
	forge(t, m, ledger.RecordKey(stream, 44), `"status":"ok"`, `"status":"ok" `)
	if r, _ := check(true); r.OK() || !strings.Contains(r.Faults[0].Text, "the log was changed") || len(state.Streams) != 0 {
		t.Errorf("over a changed record: %+v", r.Faults)
	}
}

// TestVerifyStopsAtFault: what comes after a fault is looked at again the next time.
func TestVerifyStopsAtFault(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	chain := take(t, s, "w")
	e := entry(t, m, chain, 2)
	if err := errors.Join(chain.Commit(t.Context(), e), m.Delete(t.Context(), e.Shards[0].Key)); err != nil {
		t.Fatal(err)
	}
	var state *ledger.State
	for range 2 {
		r, err := ledger.Verify(t.Context(), s, ledger.VerifyOptions{From: state, Save: func(st *ledger.State) error { state = st; return nil }}, nil)
		if err != nil || len(r.Faults) != 1 || len(state.Streams) != 0 {
			t.Errorf("got %+v, %v, state %+v", r, err, state)
		}
	}
}

// TestVerifyManyStreams checks several at a time.
func TestVerifyManyStreams(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	for i := range 20 {
		c, err := ledger.Open(t.Context(), s, ledger.NamedStream(fmt.Sprintf("s%02d", i)), quick("w"))
		if err == nil {
			err = errors.Join(c.Begin(t.Context(), 0), c.Fence(t.Context()))
		}
		for range i {
			if err == nil {
				err = c.Commit(t.Context(), entry(t, m, c, 1))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var last ledger.Progress
	r, err := ledger.Verify(t.Context(), s, ledger.VerifyOptions{Deep: true}, func(p ledger.Progress) { last = p })
	if err != nil || !r.OK() || len(r.Streams) != 20 {
		t.Fatalf("got %+v, %v", r, err)
	}
	for i, got := range r.Streams {
		if got.Stream != fmt.Sprintf("s%02d", i) || got.Shards != int64(i) {
			t.Errorf("stream %d is %+v", i, got)
		}
	}
	if last.Streams != 20 || last.Records != 230 || last.Known != 230 || last.Shards != 190 {
		t.Errorf("the last progress is %+v", last)
	}
}

// TestVerifyEdits spoils edits in one way at a time.
func TestVerifyEdits(t *testing.T) {
	type made struct {
		m     *store.Memory
		keys  []string
		added ledger.Shard
		ref   string
	}
	for name, c := range map[string]struct {
		kind    ledger.EditKind
		samples int64
		spoil   func(t *testing.T, x made)
		want    string
	}{
		"nothing":             {ledger.Compact, 4, func(*testing.T, made) {}, ""},
		"taken down":          {ledger.Takedown, 1, func(*testing.T, made) {}, ""},
		"too few":             {ledger.Compact, 3, func(*testing.T, made) {}, "it is to keep all samples, but adds 3 in webdataset, in place of 4"},
		"too many":            {ledger.Takedown, 5, func(*testing.T, made) {}, "it adds 5 samples in webdataset, in place of 4"},
		"its shard is gone":   {ledger.Compact, 4, func(t *testing.T, x made) { _ = x.m.Delete(t.Context(), x.added.Key) }, "it is missing, though an edit names it"},
		"the removed is gone": {ledger.Compact, 4, func(t *testing.T, x made) { _ = x.m.Delete(t.Context(), x.keys[0]) }, ""},
		"the edit is gone":    {ledger.Compact, 4, func(t *testing.T, x made) { _ = x.m.Delete(t.Context(), x.ref) }, "it is missing"},
		"the edit was changed": {ledger.Compact, 4, func(t *testing.T, x made) { forge(t, x.m, x.ref, `"v":1`, `"v":2`) },
			"the snapshot says"},
		"a shard of nobody's": {ledger.Takedown, 0, func(t *testing.T, x made) {}, "which no record names"},
	} {
		m := store.NewMemory()
		s := store.Plain{Store: m}
		chain := take(t, s, "w")
		x := made{m: m}
		for range 3 {
			e := entry(t, m, chain, 2)
			x.keys = append(x.keys, e.Shards[0].Key)
			if err := chain.Commit(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ledger.Publish(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		e := ledger.Edit{Kind: c.kind, Dataset: "set", Removes: x.keys[:2]}
		if c.samples > 0 {
			x.added = added(t, m, c.samples)
			e.Adds = []ledger.Shard{x.added}
		} else {
			e.Removes = []string{"data/nobody/00000000000000000001/x.tar"}
		}
		snap, err := ledger.PublishEdits(t.Context(), s, e)
		if err != nil {
			t.Fatal(err)
		}
		x.ref = snap.Edits[0].Key
		c.spoil(t, x)
		r := verify(t, s, true)
		if c.want == "" && (!r.OK() || r.Edits != 1 || r.Snapshots != 2) || c.want != "" && (len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Text, c.want)) {
			t.Errorf("%s: got %+v, want %q", name, r, c.want)
		}
		if gone := r.Gone == 1; gone != (name == "the removed is gone") {
			t.Errorf("%s: %d shards are gone", name, r.Gone)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"v":1,"deep":true,"streams":{"a":{"seq":0,"sha256":"` + strings.Repeat("0f", 32) + `","next":3,"counts":{"stream":"a","records":1}}},"snapshots":{"n":2,"sha256":"` + strings.Repeat("ab", 32) + `"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := ledger.ParseState(data)
		if err != nil {
			return
		}
		r, err := ledger.Verify(t.Context(), store.Plain{Store: store.NewMemory()}, ledger.VerifyOptions{From: state}, nil)
		if err != nil || state.Snapshots != nil && r.OK() {
			t.Fatalf("an empty store goes on from %s: %+v, %v", data, r, err)
		}
	})
}
