// Package storetest is the suite that every Store must pass.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline/store"
)

// Run holds a store to the promises of package store. open gives a new, empty store
// each time it is called.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"PutGet", putGet}, {"PutReplaces", putReplaces}, {"PutRefusesOtherBytes", putRefuses},
		{"Ranges", ranges}, {"Missing", missing}, {"Stat", stat}, {"Upload", upload},
		{"Create", create}, {"CreateRace", createRace}, {"CreateAgainstPut", createAfterPut},
		{"List", list}, {"ListOrder", listOrder}, {"ListMany", listMany}, {"ListStops", listStops},
		{"Delete", deletes}, {"Keys", keys}, {"Cancelled", cancelled}, {"Concurrent", concurrent},
		{"Probe", probe},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = rng.Read(b)
	return b
}

func put(t *testing.T, s store.Store, key string, data []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, store.BytesBody(data)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s store.Store, key string, offset, length int64) ([]byte, store.Info) {
	t.Helper()
	rc, info, err := s.Get(t.Context(), key, offset, length)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	if err := rc.Close(); err != nil {
		t.Fatal(err)
	}
	return data, info
}

func names(t *testing.T, s store.Store, prefix, after string) []string {
	t.Helper()
	var keys []string
	for info, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func wantKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got %v, want %v", what, err, kind)
	}
}

func putGet(t *testing.T, s store.Store) {
	for i, size := range []int{0, 1, 1000, 1 << 20, 3<<20 + 17} {
		key, data := fmt.Sprintf("data/s/%d", i), noise(size, uint64(i))
		put(t, s, key, data)
		got, info := get(t, s, key, 0, -1)
		if !bytes.Equal(got, data) || info.Size != int64(size) || info.Key != key {
			t.Errorf("size %d: got %d other bytes, info %+v", size, len(got), info)
		}
	}
}

func putReplaces(t *testing.T, s store.Store) {
	put(t, s, "_hint/s", []byte("a longer first version"))
	put(t, s, "_hint/s", []byte("second"))
	if got, info := get(t, s, "_hint/s", 0, -1); string(got) != "second" || info.Size != 6 {
		t.Errorf("got %q of %d bytes", got, info.Size)
	}
}

// putRefuses sends bodies that are not what they are announced as: nothing may be
// left of them.
func putRefuses(t *testing.T, s store.Store) {
	good := store.BytesBody(noise(5000, 1))
	changed := good
	changed.Data = bytes.NewReader(noise(5000, 2))
	short := good
	short.Data = bytes.NewReader(noise(5000, 1)[:4000])
	for name, body := range map[string]store.Body{"changed": changed, "short": short} {
		if err := s.Put(t.Context(), "data/"+name, body); err == nil {
			t.Errorf("a %s body was stored", name)
		}
		if _, err := s.Stat(t.Context(), "data/"+name); !store.IsNotFound(err) {
			t.Errorf("after a refused put of a %s body Stat gives %v", name, err)
		}
	}
	if got := names(t, s, "", ""); len(got) != 0 {
		t.Errorf("refused puts left %q", got)
	}
}

func ranges(t *testing.T, s store.Store) {
	data := noise(1000, 3)
	put(t, s, "r/x", data)
	put(t, s, "r/empty", nil)
	for _, c := range []struct{ offset, length, want int64 }{
		{0, 1000, 1000}, {0, 1, 1}, {999, 1, 1}, {500, -1, 500}, {500, 0, 0}, {1000, 0, 0}, {1000, -1, 0}, {0, 0, 0},
	} {
		got, info := get(t, s, "r/x", c.offset, c.length)
		if !bytes.Equal(got, data[c.offset:c.offset+c.want]) || info.Size != 1000 {
			t.Errorf("range %d+%d: got %d bytes of an object of %d", c.offset, c.length, len(got), info.Size)
		}
	}
	if got, _ := get(t, s, "r/empty", 0, -1); len(got) != 0 {
		t.Errorf("an empty object gave %d bytes", len(got))
	}
	for _, c := range []struct{ offset, length int64 }{{0, 1001}, {999, 2}, {1000, 1}, {1001, -1}, {1001, 0}, {5000, 10}, {-1, 5}, {-1, -1}} {
		rc, _, err := s.Get(t.Context(), "r/x", c.offset, c.length)
		wantKind(t, fmt.Sprintf("range %d+%d", c.offset, c.length), err, store.ErrRange)
		if rc != nil {
			t.Errorf("range %d+%d: a reader came with the error", c.offset, c.length)
		}
	}
}

func missing(t *testing.T, s store.Store) {
	put(t, s, "a/b", []byte("x"))
	for _, key := range []string{"none", "a", "a/c", "a/b/c", "a/b/c/d"} {
		_, _, err := s.Get(t.Context(), key, 0, -1)
		wantKind(t, "get "+key, err, store.ErrNotFound)
		_, err = s.Stat(t.Context(), key)
		wantKind(t, "stat "+key, err, store.ErrNotFound)
		if !store.IsNotFound(err) || !store.IsPermanent(err) {
			t.Errorf("stat %s: %v is not told to be missing for good", key, err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
}

func stat(t *testing.T, s store.Store) {
	data := noise(777, 4)
	body := store.BytesBody(data)
	put(t, s, "s/x", data)
	info, err := s.Stat(t.Context(), "s/x")
	if err != nil {
		t.Fatal(err)
	}
	if info.Key != "s/x" || info.Size != 777 || info.ETag == "" || info.Modified.IsZero() {
		t.Errorf("got %+v", info)
	}
	if info.SHA256 != nil && !bytes.Equal(info.SHA256, body.SHA256[:]) {
		t.Errorf("SHA-256 is %x, want %x", info.SHA256, body.SHA256)
	}
}

func upload(t *testing.T, s store.Store) {
	body := store.BytesBody(noise(100_000, 5))
	if err := store.Upload(t.Context(), s, "u/x", body); err != nil {
		t.Fatal(err)
	}
	other := store.BytesBody(noise(100_000, 6))
	wantKind(t, "verify against other bytes", store.Verify(t.Context(), s, "u/x", other), store.ErrCorrupt)
	longer := store.BytesBody(noise(100_001, 5))
	wantKind(t, "verify against another size", store.Verify(t.Context(), s, "u/x", longer), store.ErrCorrupt)
	wantKind(t, "verify what is missing", store.Verify(t.Context(), s, "u/y", body), store.ErrNotFound)
}

func create(t *testing.T, s store.Store) {
	ctx := t.Context()
	if err := s.Create(ctx, "_log/s/0", []byte("one")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wantKind(t, "create again", s.Create(ctx, "_log/s/0", []byte("two")), store.ErrExists)
	}
	if got, _ := get(t, s, "_log/s/0", 0, -1); string(got) != "one" {
		t.Errorf("the object became %q", got)
	}
	if err := s.Create(ctx, "_log/s/empty", nil); err != nil {
		t.Errorf("create an empty object: %v", err)
	}
	wantKind(t, "create an empty object again", s.Create(ctx, "_log/s/empty", nil), store.ErrExists)
	if err := s.Delete(ctx, "_log/s/0"); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, "_log/s/0", []byte("three")); err != nil {
		t.Errorf("create what was deleted: %v", err)
	}
}

// createRace lets writers compete for a row of keys, each wanting them all.
func createRace(t *testing.T, s store.Store) {
	const writers, rounds = 8, 20
	var mu sync.Mutex
	won := map[string][]int{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range rounds {
				key := fmt.Sprintf("_log/race/%020d", r)
				err := s.Create(t.Context(), key, []byte{byte(w)})
				if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
					continue
				}
				if err != nil {
					t.Errorf("writer %d, round %d: %v", w, r, err)
					return
				}
				mu.Lock()
				won[key] = append(won[key], w)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for r := range rounds {
		key := fmt.Sprintf("_log/race/%020d", r)
		if len(won[key]) != 1 {
			t.Errorf("%s has the winners %v, want one", key, won[key])
			continue
		}
		if got, _ := get(t, s, key, 0, -1); len(got) != 1 || int(got[0]) != won[key][0] {
			t.Errorf("%s was won by %d and holds %v", key, won[key][0], got)
		}
	}
}

func createAfterPut(t *testing.T, s store.Store) {
	put(t, s, "x", []byte("put"))
	wantKind(t, "create over a put", s.Create(t.Context(), "x", []byte("create")), store.ErrExists)
}

func list(t *testing.T, s store.Store) {
	all := []string{"_hint/s", "_log/s/01", "_log/s/02", "_log/s/03", "_log/t/01", "data/s/0/x.tar"}
	for _, key := range all {
		put(t, s, key, []byte(key))
	}
	for _, c := range []struct {
		prefix, after string
		want          []string
	}{
		{"", "", all},
		{"_log/", "", all[1:5]},
		{"_log/s/", "", all[1:4]},
		{"_log/s", "", all[1:4]},
		{"_log/s/", "_log/s/01", all[2:4]},
		{"_log/s/", "_log/s/015", all[2:4]},
		{"_log/", "_log/s/03", all[4:5]},
		{"_log/", "_log/s/:", all[4:5]},
		{"_log/", "_log/t/01", nil},
		{"_log/s/0", "_log/s/02", all[3:4]},
		{"", "_log/t/01", all[5:]},
		{"zzz", "", nil},
		{"data/none/", "", nil},
		{"data/s/0/x.tar", "", all[5:]},
		{"data/s/0/x.tar/", "", nil},
	} {
		if got := names(t, s, c.prefix, c.after); !slices.Equal(got, c.want) {
			t.Errorf("list %q after %q: got %q, want %q", c.prefix, c.after, got, c.want)
		}
	}
	for info, err := range s.List(t.Context(), "data/", "") {
		if err != nil || info.Size != int64(len(info.Key)) || info.Modified.IsZero() {
			t.Errorf("got %+v, %v", info, err)
		}
	}
}

// listOrder has names whose order as paths is not that of their bytes.
func listOrder(t *testing.T, s store.Store) {
	all := []string{"a-b", "a.b", "a/b", "a/c-/x", "a/c/x", "a0", "ab/c", "b ä+%~", "ü"}
	for _, key := range all {
		put(t, s, key, []byte("x"))
	}
	if got := names(t, s, "", ""); !slices.Equal(got, all) {
		t.Errorf("got %q, want %q", got, all)
	}
	for i, after := range all {
		if got := names(t, s, "", after); !slices.Equal(got, all[i+1:]) {
			t.Errorf("after %q: got %q, want %q", after, got, all[i+1:])
		}
	}
	if got := names(t, s, "a", "a.b"); !slices.Equal(got, all[2:7]) {
		t.Errorf("prefix a after a.b: got %q", got)
	}
	for _, key := range all {
		if data, _ := get(t, s, key, 0, -1); string(data) != "x" {
			t.Errorf("%q holds %q", key, data)
		}
	}
}

// listMany needs more than one page of an S3 listing.
func listMany(t *testing.T, s store.Store) {
	const n = 1100
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("_log/many/%020d", i))
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				if err := s.Put(t.Context(), want[i], store.BytesBody([]byte("x"))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := names(t, s, "_log/many/", ""); !slices.Equal(got, want) {
		t.Errorf("got %d keys, want %d in order", len(got), n)
	}
	if got := names(t, s, "_log/many/", want[50]); !slices.Equal(got, want[51:]) {
		t.Errorf("after the 51st: got %d keys, want %d in order", len(got), n-51)
	}
}

func listStops(t *testing.T, s store.Store) {
	for i := range 10 {
		put(t, s, fmt.Sprintf("l/%d", i), []byte("x"))
	}
	seen := 0
	for _, err := range s.List(t.Context(), "l/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("saw %d", seen)
	}
}

func deletes(t *testing.T, s store.Store) {
	put(t, s, "d/x", []byte("x"))
	put(t, s, "d/y", []byte("y"))
	for range 2 {
		if err := s.Delete(t.Context(), "d/x"); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, s, "d/", ""); !slices.Equal(got, []string{"d/y"}) {
		t.Errorf("left are %q", got)
	}
}

func keys(t *testing.T, s store.Store) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/./b", ".hidden", "a/.tmp-x",
		"a\x00b", "a\nb", "a\x7f", `a\b`, "a\xffb", strings.Repeat("k", 256), strings.Repeat("k/", 511) + "kkk",
	} {
		body := store.BytesBody([]byte("x"))
		wantKind(t, fmt.Sprintf("put %q", key), s.Put(t.Context(), key, body), store.ErrInvalid)
		wantKind(t, fmt.Sprintf("create %q", key), s.Create(t.Context(), key, []byte("x")), store.ErrInvalid)
		wantKind(t, fmt.Sprintf("delete %q", key), s.Delete(t.Context(), key), store.ErrInvalid)
		_, _, err := s.Get(t.Context(), key, 0, -1)
		wantKind(t, fmt.Sprintf("get %q", key), err, store.ErrInvalid)
		_, err = s.Stat(t.Context(), key)
		wantKind(t, fmt.Sprintf("stat %q", key), err, store.ErrInvalid)
	}
	for _, prefix := range []string{"/", "../", "a/../", "a//", ".tmp-", "a\x00"} {
		for _, err := range s.List(t.Context(), prefix, "") {
			wantKind(t, fmt.Sprintf("list %q", prefix), err, store.ErrInvalid)
		}
	}
	long := strings.Repeat("k", 200) + "/" + strings.Repeat("l", 200)
	put(t, s, long, []byte("x"))
	if got := names(t, s, "", ""); !slices.Equal(got, []string{long}) {
		t.Errorf("got %q", got)
	}
}

func cancelled(t *testing.T, s store.Store) {
	put(t, s, "c/x", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, "put", s.Put(ctx, "c/y", store.BytesBody([]byte("y"))), context.Canceled)
	wantKind(t, "create", s.Create(ctx, "c/y", []byte("y")), context.Canceled)
	wantKind(t, "delete", s.Delete(ctx, "c/x"), context.Canceled)
	_, _, err := s.Get(ctx, "c/x", 0, -1)
	wantKind(t, "get", err, context.Canceled)
	_, err = s.Stat(ctx, "c/x")
	wantKind(t, "stat", err, context.Canceled)
	err = nil
	for _, e := range s.List(ctx, "c/", "") {
		err = e
	}
	wantKind(t, "list", err, context.Canceled)
	if got := names(t, s, "", ""); !slices.Equal(got, []string{"c/x"}) {
		t.Errorf("a cancelled call changed the store: it holds %q", got)
	}
}

// concurrent replaces an object while it is read: a reader sees one version whole.
func concurrent(t *testing.T, s store.Store) {
	versions := [][]byte{bytes.Repeat([]byte("a"), 64<<10), bytes.Repeat([]byte("b"), 32<<10)}
	put(t, s, "v", versions[0])
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			if err := s.Put(t.Context(), "v", store.BytesBody(versions[i%2])); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for range 20 {
				rc, _, err := s.Get(t.Context(), "v", 0, -1)
				if err != nil {
					t.Error(err)
					return
				}
				data, err := io.ReadAll(rc)
				_ = rc.Close()
				if errors.Is(err, store.ErrCorrupt) {
					continue // told to have been replaced: no half object either
				}
				if err != nil || !bytes.Equal(data, versions[0]) && !bytes.Equal(data, versions[1]) {
					t.Errorf("read %d bytes that are no version: %v", len(data), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func probe(t *testing.T, s store.Store) {
	report, err := store.Probe(t.Context(), s, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if report.Rounds != store.ProbeRounds || report.Racers != store.ProbeRacers {
		t.Errorf("got %+v", report)
	}
	if got := names(t, s, "", ""); len(got) != 0 {
		t.Errorf("the probe left %q", got)
	}
}
