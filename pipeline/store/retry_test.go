package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/store"
)

var errDown = errors.New("down")

// failing fails the first n calls of an operation.
func failing(op string, n int, err error) store.Rule {
	return func(got, _ string, _ int) store.Fault {
		if got != op || n <= 0 {
			return store.Fault{}
		}
		n--
		return store.Fault{Before: err}
	}
}

func TestRetryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		f := store.NewFaulty(store.NewMemory(), failing("put", 5, errDown))
		r := store.NewRetry(f, store.Policy{Attempts: 6, Base: time.Second, Max: 5 * time.Second, Report: func(op, key string, err error, wait time.Duration) {
			if op != "put" || key != "k" || !errors.Is(err, errDown) {
				t.Errorf("told of %s %s: %v", op, key, err)
			}
			waits = append(waits, wait)
		}})
		start := time.Now()
		if err := r.Put(t.Context(), "k", store.BytesBody(nil)); err != nil {
			t.Fatal(err)
		}
		total := time.Duration(0)
		for i, most := range []time.Duration{1, 2, 4, 5, 5} {
			if len(waits) != 5 || waits[i] < most*time.Second/2 || waits[i] > most*time.Second {
				t.Fatalf("waited %v", waits)
			}
			total += waits[i]
		}
		if got := time.Since(start); got != total {
			t.Errorf("told of %v, took %v", total, got)
		}
	})
}

func TestRetryGivesUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		calls int
	}{
		{"transient", errDown, 3},
		{"permanent", &store.Error{Op: "stat", Kind: store.ErrDenied, Err: errDown}, 1},
		{"not found", &store.Error{Op: "stat", Kind: store.ErrNotFound, Err: errDown}, 1},
	} {
		calls := 0
		f := store.NewFaulty(store.NewMemory(), func(string, string, int) store.Fault { calls++; return store.Fault{Before: c.err} })
		r := store.NewRetry(f, store.Policy{Attempts: 3, Base: 1, Max: 1})
		if _, err := r.Stat(t.Context(), "k"); !errors.Is(err, c.err) || calls != c.calls {
			t.Errorf("%s: %d calls, %v", c.name, calls, err)
		}
	}
}

// TestRetryCancelled: the context ends in the wait; that is not told as a failure.
func TestRetryCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := 0
		f := store.NewFaulty(store.NewMemory(), failing("get", 1000, errDown))
		r := store.NewRetry(f, store.Policy{Attempts: 1000, Base: time.Minute, Max: time.Minute, Report: func(string, string, error, time.Duration) { reports++ }})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, _, err := r.Get(ctx, "k", 0, -1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if reports != 1 {
			t.Errorf("%d reports", reports)
		}
	})
}

// TestRetryCreateOnce: a create is never repeated.
func TestRetryCreateOnce(t *testing.T) {
	calls := 0
	f := store.NewFaulty(store.NewMemory(), func(string, string, int) store.Fault { calls++; return store.Fault{Before: errDown} })
	if err := store.NewRetry(f, store.Policy{}).Create(t.Context(), "k", nil); !errors.Is(err, errDown) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// TestRetryResumes: a download that breaks off after every few bytes is read whole; of
// an object that is replaced meanwhile, nothing is made up.
func TestRetryResumes(t *testing.T) {
	m := store.NewMemory()
	data := bytes.Repeat([]byte("0123456789"), 50)
	if err := m.Put(t.Context(), "k", store.BytesBody(data)); err != nil {
		t.Fatal(err)
	}
	gets := 0
	f := store.NewFaulty(m, func(op, _ string, _ int) store.Fault {
		if op == "get" {
			gets++
		}
		return store.Fault{Short: 1 + 7*int64(gets%2)}
	})
	r := store.NewRetry(f, store.Policy{Attempts: 4, Base: 1, Max: 1})
	rc, info, err := r.Get(t.Context(), "k", 3, 490)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if err != nil || !bytes.Equal(got, data[3:493]) || info.Size != 500 || gets < 70 {
		t.Errorf("got %d bytes in %d downloads, %v", len(got), gets, err)
	}
	if err := rc.Close(); err != nil {
		t.Error(err)
	}
	for _, other := range [][]byte{data, data[:20], nil} {
		rc, _, err := r.Get(t.Context(), "k", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(rc, make([]byte, 30)); err != nil {
			t.Fatal(err)
		}
		if err := m.Put(t.Context(), "k", store.BytesBody(other)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(rc); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("replaced by %d bytes: %v", len(other), err)
		}
		_ = rc.Close()
		if err := m.Put(t.Context(), "k", store.BytesBody(data)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRetryListResumes: a listing that fails half-way goes on, with no key twice.
func TestRetryListResumes(t *testing.T) {
	m := store.NewMemory()
	var want []string
	for i := range 20 {
		key := fmt.Sprintf("k/%02d", i)
		want = append(want, key)
		if err := m.Put(t.Context(), key, store.BytesBody(nil)); err != nil {
			t.Fatal(err)
		}
	}
	r := store.NewRetry(&breakingList{Memory: m}, store.Policy{Attempts: 10, Base: 1, Max: 1})
	var got []string
	for info, err := range r.List(t.Context(), "k/", "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// breakingList fails after every third object.
type breakingList struct{ *store.Memory }

func (b *breakingList) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		n := 0
		for info, err := range b.Memory.List(ctx, prefix, after) {
			if n++; n > 3 {
				yield(store.Info{}, errDown)
				return
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func TestFaulty(t *testing.T) {
	m := store.NewMemory()
	var next store.Fault
	f := store.NewFaulty(m, func(string, string, int) store.Fault { d := next; next = store.Fault{}; return d })
	has := func(key string) bool { _, err := m.Stat(t.Context(), key); return err == nil }

	next = store.Fault{Before: errDown}
	if err := f.Create(t.Context(), "before", nil); !errors.Is(err, errDown) || has("before") {
		t.Errorf("before: %v, stored %v", err, has("before"))
	}
	next = store.Fault{After: errDown}
	if err := f.Create(t.Context(), "after", nil); !errors.Is(err, errDown) || !has("after") {
		t.Errorf("after: %v, stored %v", err, has("after"))
	}
	next = store.Fault{Late: 2}
	if err := f.Create(t.Context(), "late", nil); !errors.Is(err, store.ErrUnknown) || has("late") {
		t.Errorf("late: %v, stored %v", err, has("late"))
	}
	if _, err := f.Stat(t.Context(), "late"); !store.IsNotFound(err) {
		t.Errorf("one call on: %v", err)
	}
	if _, err := f.Stat(t.Context(), "late"); err != nil {
		t.Errorf("two calls on: %v", err)
	}
	next = store.Fault{Late: 1000}
	_ = f.Delete(t.Context(), "late")
	if f.Settle(); has("late") {
		t.Error("a late delete did not settle")
	}
	ctx, cancel := context.WithCancel(t.Context())
	next = store.Fault{Late: 1000}
	_ = f.Create(ctx, "orphaned", nil)
	cancel()
	if f.Settle(); !has("orphaned") {
		t.Error("a late write died with its caller")
	}
	synctest.Test(t, func(t *testing.T) {
		next = store.Fault{Delay: time.Hour}
		start := time.Now()
		if _, err := f.Stat(t.Context(), "after"); err != nil || time.Since(start) != time.Hour {
			t.Errorf("delayed by %v, %v", time.Since(start), err)
		}
	})
}

// TestRatesReplay: a seed decides everything.
func TestRatesReplay(t *testing.T) {
	rates := store.Rates{Before: 0.2, After: 0.2, Late: 0.2, MaxLate: 5, Conflict: 0.2, Short: 0.2}
	run := func(seed uint64) (faults []string) {
		rule := rates.Rule(seed)
		for i, op := range []string{"put", "create", "get", "stat", "list", "delete"} {
			for n := range 50 {
				faults = append(faults, fmt.Sprint(rule(op, "k", i*50+n)))
			}
		}
		return faults
	}
	if !slices.Equal(run(5), run(5)) || slices.Equal(run(5), run(6)) {
		t.Error("a seed does not decide, or all seeds do the same")
	}
}

func TestMeteredTells(t *testing.T) {
	var events []store.Event
	m := store.NewMetered(store.NewMemory(), func(e store.Event) { events = append(events, e) })
	ctx := t.Context()
	_ = m.Put(ctx, "a/1", store.BytesBody(make([]byte, 100)))
	_ = m.Create(ctx, "a/1", make([]byte, 7))
	_, _ = m.Stat(ctx, "a/2")
	_ = m.Delete(ctx, "a/3")
	for range m.List(ctx, "a/", "") {
		break
	}
	rc, _, err := m.Get(ctx, "a/1", 0, 60)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, rc)
	_, _ = rc.Close(), rc.Close()
	_, _, _ = m.Get(ctx, "a/2", 0, -1)
	want := []struct {
		op    string
		bytes int64
		kind  error
	}{{"put", 100, nil}, {"create", 7, store.ErrExists}, {"stat", 0, store.ErrNotFound}, {"delete", 0, nil}, {"list", 1, nil}, {"get", 60, nil}, {"get", 0, store.ErrNotFound}}
	if len(events) != len(want) {
		t.Fatalf("got %+v", events)
	}
	for i, w := range want {
		e := events[i]
		if e.Op != w.op || e.Bytes != w.bytes || e.Took < 0 || !errors.Is(e.Err, w.kind) || (e.Err == nil) != (w.kind == nil) {
			t.Errorf("event %d is %+v, want %+v", i, e, w)
		}
	}
}
