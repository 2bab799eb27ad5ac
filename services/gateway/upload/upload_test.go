package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/gateway/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testPart is the size of a part here.
const testPart = 1000

func as(t testing.TB, tenant string) context.Context {
	return identity.With(t.Context(), identity.Identity{Tenant: tenant})
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func openDir(t testing.TB) *store.Dir {
	t.Helper()
	dir, err := store.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// process is a gateway's process over a store.
func process(t testing.TB, s store.Store) *Store {
	t.Helper()
	u, err := newStore(s, 1, testPart)
	if err != nil {
		t.Fatal(err)
	}
	u.appears = 0
	return u
}

func begin(t testing.TB, s *Store, size int, meta ...string) string {
	t.Helper()
	m := handler.MetaData{}
	for i := 0; i < len(meta); i += 2 {
		m[meta[i]] = meta[i+1]
	}
	u, err := s.NewUpload(as(t, "acme"), handler.FileInfo{Size: int64(size), MetaData: m})
	if err != nil {
		t.Fatal(err)
	}
	info, err := u.GetInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.ID
}

// step is what a sender does once: it asks for the offset, sends up to chunk bytes from
// there, and the handler finishes what is complete.
func step(t testing.TB, s *Store, id string, data []byte, chunk int) (done bool, err error) {
	ctx := as(t, "acme")
	u, err := s.Get(ctx, id)
	if err != nil {
		return false, err
	}
	at := u.Offset()
	if at < u.Size {
		n, err := u.WriteChunk(ctx, at, bytes.NewReader(data[at:min(at+int64(chunk), u.Size)]))
		if err != nil {
			return false, err
		}
		if n < 1 || n > int64(chunk) {
			t.Fatalf("of up to %d bytes from %d on %d were taken", chunk, at, n)
		}
	}
	if u.Offset() < u.Size {
		return false, nil
	}
	if err := u.FinishUpload(ctx); err != nil {
		return false, err
	}
	return true, u.SetJob(ctx, "job")
}

// drive sends until the upload is complete, or steps were made.
func drive(t testing.TB, s *Store, id string, data []byte, chunk, steps int) error {
	t.Helper()
	var last error
	for range steps {
		done, err := step(t, s, id, data, chunk)
		if done && err == nil {
			return nil
		}
		last = err
	}
	return fmt.Errorf("not complete after %d steps: %w", steps, last)
}

// checkWhole holds a complete upload against what was sent.
func checkWhole(t testing.TB, s *Store, id string, want []byte) {
	t.Helper()
	u, err := s.Get(as(t, "acme"), id)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Body(); !u.Complete || got.SHA256 != sha256.Sum256(want) || got.Size != int64(len(want)) {
		t.Fatalf("%+v is not complete, or of other bytes", u.State)
	}
	if got := object(t, s, id); !bytes.Equal(got, want) {
		t.Fatalf("the object has %d bytes, other than the %d that were sent", len(got), len(want))
	}
}

func object(t testing.TB, s *Store, id string) []byte {
	t.Helper()
	rc, _, err := s.parts.Get(t.Context(), Prefix+"acme/"+id, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rc.Close() }()
	b, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ends are the ends of the names of an upload's objects.
func ends(t testing.TB, s store.Store, id string) (got []string) {
	t.Helper()
	for info, err := range s.List(t.Context(), Prefix+"acme/"+id, "") {
		if err != nil {
			t.Fatal(err)
		}
		end := strings.TrimPrefix(info.Key, Prefix+"acme/"+id)
		if strings.HasPrefix(end, tailMark) {
			end = tailMark
		}
		got = append(got, end)
	}
	return got
}

// What tusd asks of a data store.
func TestContract(t *testing.T) {
	dir := openDir(t)
	s, ctx := process(t, dir), as(t, "acme")
	for name, info := range map[string]handler.FileInfo{
		"no bytes": {}, "fewer": {Size: -1}, "too many": {Size: MaxSize + 1}, "some day": {Size: 1, SizeIsDeferred: true},
		"endless metadata": {Size: 1, MetaData: handler.MetaData{"meta": strings.Repeat("x", maxState)}},
	} {
		if _, err := s.NewUpload(ctx, info); err == nil || !strings.HasPrefix(err.Error(), "ERR_") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.NewUpload(t.Context(), handler.FileInfo{Size: 1}); err == nil {
		t.Error("nobody may begin an upload")
	}
	if _, err := s.GetUpload(t.Context(), strings.Repeat("0", 26)); err == nil || errors.Is(err, handler.ErrNotFound) {
		t.Errorf("nobody asks: %v", err)
	}
	data := noise(2*testPart + 300)
	id := begin(t, s, len(data))
	for name, id := range map[string]string{"unknown": strings.Repeat("0", 26), "empty": "", "upwards": "../other/" + id, "upper case": strings.ToUpper(id), "its state": id + ".info", "with a NUL": id[:25] + "\x00"} {
		if u, err := s.GetUpload(ctx, id); u != nil || !errors.Is(err, handler.ErrNotFound) {
			t.Errorf("%s: %v, %v", name, u, err)
		}
	}
	if u, err := s.GetUpload(as(t, "other"), id); u != nil || !errors.Is(err, handler.ErrNotFound) {
		t.Errorf("another tenant's: %v, %v", u, err)
	}
	get := func() *Upload {
		t.Helper()
		u, err := s.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, at := range []int64{-1, 1, int64(len(data)), 1 << 40} {
		if n, err := get().WriteChunk(ctx, at, bytes.NewReader(data)); n != 0 || !errors.Is(err, handler.ErrMismatchOffset) {
			t.Errorf("at %d: %d, %v", at, n, err)
		}
	}
	if err := get().FinishUpload(ctx); err == nil {
		t.Error("finished with no bytes")
	}
	// A body that breaks keeps what has come, and says what happened.
	gone := errors.New("the network is gone")
	n, err := get().WriteChunk(ctx, 0, io.MultiReader(bytes.NewReader(data[:testPart+1]), brokenReader{gone}))
	if n != testPart+1 || !errors.Is(err, gone) || get().Offset() != n {
		t.Errorf("%d, %v, at %d", n, err, get().Offset())
	}
	if got := ends(t, dir, id); !slices.Equal(got, []string{stateEnd, tailMark}) {
		t.Errorf("there are %q", got)
	}
	if n, err := get().WriteChunk(ctx, n, strings.NewReader("")); n != 0 || err != nil {
		t.Errorf("no bytes: %d, %v", n, err)
	}
	// A body that is longer than was declared is read no further than that.
	more := io.MultiReader(bytes.NewReader(data[n:]), brokenReader{errors.New("read on")})
	u := get()
	if got, err := u.WriteChunk(ctx, n, more); got != int64(len(data))-n || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	for range 2 {
		if err := u.FinishUpload(ctx); err != nil {
			t.Error(err)
		}
	}
	checkWhole(t, s, id, data)
	if got := ends(t, dir, id); !slices.Equal(got, []string{"", doneEnd}) {
		t.Errorf("there are %q", got)
	}
	if n, err := get().WriteChunk(ctx, int64(len(data)), strings.NewReader("x")); n != 0 || err == nil {
		t.Errorf("more: %d, %v", n, err)
	}
	if err := s.AsTerminatableUpload(get()).Terminate(ctx); err == nil {
		t.Error("a complete upload was taken back")
	}
	checkWhole(t, s, id, data)
	id = begin(t, s, len(data))
	if _, err := step(t, s, id, data, testPart+7); err != nil {
		t.Fatal(err)
	}
	if err := s.AsTerminatableUpload(get()).Terminate(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(ctx, id); !errors.Is(err, handler.ErrNotFound) || len(ends(t, dir, id)) > 0 {
		t.Errorf("after its end: %v, %q", err, ends(t, dir, id))
	}
	if rc, err := u.GetReader(ctx); rc != nil || err == nil {
		t.Error("uploads are given out")
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

// The digest that was announced is held against what came before the object is there.
func TestAnnouncedDigest(t *testing.T) {
	dir := openDir(t)
	s, data := process(t, dir), noise(testPart+1)
	id := begin(t, s, len(data), MetaSHA256, fmt.Sprintf("%x", sha256.Sum256(data[1:])))
	err := drive(t, s, id, data, len(data), 1)
	var e handler.Error
	if !errors.As(err, &e) || e.ErrorCode != DigestCode || len(ends(t, dir, id)) > 0 {
		t.Errorf("%v, left are %q", err, ends(t, dir, id))
	}
	id = begin(t, s, len(data), MetaSHA256, fmt.Sprintf("%x", sha256.Sum256(data)))
	if err := drive(t, s, id, data, len(data), 1); err != nil {
		t.Error(err)
	}
}

// steady copies what is put, as a network does: a late put must not see a buffer that is
// used again.
type steady struct{ store.Parted }

func (s steady) Put(ctx context.Context, key string, b store.Body) error {
	data, err := io.ReadAll(io.NewSectionReader(b.Data, 0, b.Size))
	if err != nil {
		return err
	}
	return s.Parted.Put(ctx, key, store.BytesBody(data))
}

// A process dies at each of its calls to the store, before it is done or after; the next
// one goes on.
func TestKilledAtEachCall(t *testing.T) {
	data := noise(3*testPart + 321)
	died := errors.New("the process is dead")
	calls := 0
	for _, chunk := range []int{700, 2*testPart + 5, len(data)} {
		for _, applied := range []bool{false, true} {
			for at := 1; ; at++ {
				dir := openDir(t)
				id := begin(t, process(t, dir), len(data))
				dead := false
				faulty := store.NewFaulty(dir, func(string, string, int) store.Fault {
					calls++
					at := at
					if dead {
						return store.Fault{Before: died}
					}
					if n := calls; n == at {
						dead = true
						if applied {
							return store.Fault{After: died}
						}
						return store.Fault{Before: died}
					}
					return store.Fault{}
				})
				calls = 0
				err := drive(t, process(t, faulty), id, data, chunk, 50)
				if !dead {
					if err != nil {
						t.Fatal(err)
					}
					break // it made fewer calls
				}
				next := process(t, dir)
				if err := drive(t, next, id, data, chunk, 50); err != nil {
					t.Fatalf("chunks of %d, killed at call %d (applied: %v): %v", chunk, at, applied, err)
				}
				checkWhole(t, next, id, data)
				if got := ends(t, dir, id); !slices.Equal(got, []string{"", doneEnd}) {
					t.Errorf("chunks of %d, killed at call %d (applied: %v): there are %q", chunk, at, applied, got)
				}
			}
		}
	}
}

// A store that fails, loses replies, breaks off, and does things late, while processes
// come and go: the object is whole in the end, and what lands afterwards changes nothing.
func TestFaultyStore(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	lost := uint64(0)
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		dir, data := openDir(t), noise(1+rng.IntN(6*testPart))
		rates := store.Rates{Before: 0.05, After: 0.1, Late: 0.1, MaxLate: 12, Short: 0.05}
		quiet := true
		rule := rates.Rule(seed)
		faulty := store.NewFaulty(dir, func(op, key string, n int) store.Fault {
			if quiet {
				return store.Fault{}
			}
			return rule(op, key, n)
		})
		parted, _ := store.AsParted(faulty)
		s := process(t, steady{parted})
		s.appears = 20 * time.Millisecond
		id := begin(t, s, len(data), MetaSHA256, fmt.Sprintf("%x", sha256.Sum256(data)))
		quiet = false
		done := false
		for range 2000 {
			ok, err := step(t, s, id, data, 1+rng.IntN(2*testPart))
			if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if done = ok && err == nil; done || errors.Is(err, handler.ErrNotFound) {
				break
			}
		}
		if !done { // a state landed late, between the object and the word that it is there
			lost++
			continue
		}
		quiet = true
		faulty.Settle()
		if got := object(t, s, id); !bytes.Equal(got, data) {
			t.Fatalf("seed %d: the object has other bytes", seed)
		}
		// A state that landed late says that it is not complete: whoever believes that
		// gets to the same end, and a sweep takes no object away.
		if _, err := s.Sweep(t.Context(), time.Now().Add(time.Minute), noSettle); seed%2 == 0 && err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if u, err := s.Get(as(t, "acme"), id); err == nil {
			if err := drive(t, s, id, data, testPart, 50); err != nil {
				t.Fatalf("seed %d: %+v: %v", seed, u.State, err)
			}
			checkWhole(t, s, id, data)
		}
		if got := object(t, s, id); !bytes.Equal(got, data) {
			t.Fatalf("seed %d: the object has other bytes after all", seed)
		}
	}
	if t.Logf("%d of %d uploads had to be begun anew", lost, seeds); lost > 1+seeds/50 {
		t.Errorf("%d of %d uploads had to be begun anew", lost, seeds)
	}
}

func noSettle(context.Context, *Upload) error { return nil }

// A connection hangs, and its sender goes on at another process. What the first one
// writes when it gives up hides nothing and harms nothing.
func TestOvertaken(t *testing.T) {
	for name, c := range map[string]struct{ before, hung int }{
		"a tail":                {0, 300},
		"a part":                {0, testPart},
		"a part and a tail":     {0, testPart + 300},
		"all but one byte":      {0, 3*testPart + 49},
		"from a tail on":        {500, 400},
		"from a tail, all":      {500, 2*testPart + 549},
		"all, and it completes": {0, 3*testPart + 50},
	} {
		t.Run(name, func(t *testing.T) {
			dir, data := openDir(t), noise(3*testPart+50)
			a, b := process(t, dir), process(t, dir)
			id := begin(t, a, len(data))
			if c.before > 0 {
				if _, err := step(t, a, id, data, c.before); err != nil {
					t.Fatal(err)
				}
			}
			u, err := a.Get(as(t, "acme"), id)
			if err != nil {
				t.Fatal(err)
			}
			first, err := b.Get(as(t, "acme"), id) // b reads the state as a does
			if err != nil {
				t.Fatal(err)
			}
			if _, err := first.WriteChunk(as(t, "acme"), int64(c.before), bytes.NewReader(data[c.before:c.before+100])); err != nil {
				t.Fatal(err)
			}
			if err := drive(t, b, id, data, 900, 20); err != nil {
				t.Fatal(err)
			}
			at := int64(c.before)
			_, err = u.WriteChunk(as(t, "acme"), at, bytes.NewReader(data[at:at+int64(c.hung)]))
			var e handler.Error
			if err != nil && !errors.As(err, &e) && !store.IsNotFound(err) {
				t.Errorf("the one that was overtaken: %v", err)
			}
			if got := object(t, a, id); !bytes.Equal(got, data) {
				t.Fatal("the object has other bytes")
			}
			n, err := a.Sweep(t.Context(), time.Now().Add(-time.Hour), noSettle)
			if n != (Swept{}) || err != nil {
				t.Errorf("a sweep of what is young: %+v, %v", n, err)
			}
			if err := drive(t, a, id, data, 900, 20); err != nil {
				t.Fatal(err)
			}
			checkWhole(t, a, id, data)
			if got := ends(t, dir, id); !slices.Equal(got, []string{"", doneEnd}) {
				t.Errorf("there are %q", got)
			}
		})
	}
}

// Two processes write one upload at once.
func TestTwoAtOnce(t *testing.T) {
	for seed := range 20 {
		dir, data := openDir(t), noise(4*testPart+seed)
		id := begin(t, process(t, dir), len(data))
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				s := process(t, dir)
				for range 60 {
					if done, err := step(t, s, id, data, 300+400*i+seed); done || errors.Is(err, handler.ErrNotFound) {
						return
					}
				}
			})
		}
		wg.Wait()
		s := process(t, dir)
		if err := drive(t, s, id, data, 700, 50); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		checkWhole(t, s, id, data)
	}
}

// A sender gives two processes different bytes for one part: there is no object that is
// not what its digest says.
func TestTwoMinds(t *testing.T) {
	for _, last := range []bool{false, true} {
		dir, data := openDir(t), noise(2*testPart)
		a, b, ctx := process(t, dir), process(t, dir), as(t, "acme")
		id := begin(t, a, len(data))
		other := append([]byte("other"), data[5:]...)
		slow, err := b.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := step(t, a, id, data, testPart); err != nil {
			t.Fatal(err)
		}
		if last { // the other bytes are put when all have come, before they are put together
			u, err := a.Get(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.WriteChunk(ctx, testPart, bytes.NewReader(data[testPart:])); err != nil {
				t.Fatal(err)
			}
			if _, err := slow.WriteChunk(ctx, 0, bytes.NewReader(other[:testPart])); err != nil {
				t.Fatal(err)
			}
			err = u.FinishUpload(ctx)
			if !errors.Is(err, ErrDamaged) || len(ends(t, dir, id)) > 0 {
				t.Errorf("%v, left are %q", err, ends(t, dir, id))
			}
			continue
		}
		if _, err := slow.WriteChunk(ctx, 0, bytes.NewReader(other[:testPart])); err != nil {
			t.Fatal(err)
		}
		if err := drive(t, a, id, data, testPart, 3); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, a, id, append(other[:testPart:testPart], data[testPart:]...)) // the last word counts
	}
}

// A state that was damaged, or is a newer build's, or another upload's.
func TestBadStates(t *testing.T) {
	dir := openDir(t)
	s, ctx, data := process(t, dir), as(t, "acme"), noise(2*testPart)
	change := func(f func(*State)) func([]byte) []byte {
		return func(b []byte) []byte {
			var st State
			if err := json.Unmarshal(b, &st); err != nil {
				t.Fatal(err)
			}
			f(&st)
			b, _ = json.Marshal(st)
			return b
		}
	}
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		want   error
	}{
		"empty":           {func([]byte) []byte { return nil }, ErrDamaged},
		"cut":             {func(b []byte) []byte { return b[:len(b)/2] }, ErrDamaged},
		"noise":           {func([]byte) []byte { return noise(500) }, ErrDamaged},
		"too long":        {func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), maxState)...) }, ErrDamaged},
		"a newer version": {change(func(s *State) { s.Version = version + 1 }), ErrNewer},
		"an older one":    {change(func(s *State) { s.Version = version - 1 }), ErrDamaged},
		"other id":        {change(func(s *State) { s.ID = strings.Repeat("0", 26) }), ErrDamaged},
		"other tenant":    {change(func(s *State) { s.Tenant = "other" }), ErrDamaged},
		"no size":         {change(func(s *State) { s.Size = 0 }), ErrDamaged},
		"a huge size":     {change(func(s *State) { s.Size = MaxSize + 1 }), ErrDamaged},
		"other parts":     {change(func(s *State) { s.PartSize++ }), ErrDamaged},
		"fewer parts":     {change(func(s *State) { s.Parts.Count = -1 }), ErrDamaged},
		"more parts":      {change(func(s *State) { s.Parts.Count = 3 }), ErrDamaged},
		"a long tail":     {change(func(s *State) { s.Parts.Tail.Size = testPart }), ErrDamaged},
		"a short tail":    {change(func(s *State) { s.Parts.Tail.Size = -1 }), ErrDamaged},
		"an unnamed tail": {change(func(s *State) { s.Parts.Tail.Name = "" }), ErrDamaged},
		"a tail upwards":  {change(func(s *State) { s.Parts.Tail.Name = "../../x" }), ErrDamaged},
		"no digest":       {change(func(s *State) { s.Parts.SHA = nil }), ErrDamaged},
		"a long digest":   {change(func(s *State) { s.Parts.CRC = noise(5000) }), ErrDamaged},
		"complete":        {change(func(s *State) { s.Complete = true }), ErrDamaged},
	} {
		id := begin(t, s, len(data))
		if _, err := step(t, s, id, data, testPart+10); err != nil {
			t.Fatal(err)
		}
		key := Prefix + "acme/" + id + stateEnd
		rc, _, err := dir.Get(ctx, key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		if err = errors.Join(err, rc.Close()); err != nil {
			t.Fatal(err)
		}
		if err := dir.Put(ctx, key, store.BytesBody(c.damage(b))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(ctx, id); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		n, err := s.Sweep(ctx, time.Now().Add(time.Minute), noSettle)
		want := Swept{Damaged: 1}
		if errors.Is(c.want, ErrNewer) {
			want = Swept{}
		}
		if n != want || err != nil || (len(ends(t, dir, id)) > 0) != errors.Is(c.want, ErrNewer) {
			t.Errorf("%s: swept %+v, %v; left are %q", name, n, err, ends(t, dir, id))
		}
	}
}

// A tail that is lost, cut or changed costs its own bytes: they are sent again.
func TestLostTail(t *testing.T) {
	for name, damage := range map[string]func(*store.Dir, string) error{
		"lost":    func(d *store.Dir, key string) error { return d.Delete(t.Context(), key) },
		"cut":     func(d *store.Dir, key string) error { return d.Put(t.Context(), key, store.BytesBody([]byte("x"))) },
		"changed": func(d *store.Dir, key string) error { return d.Put(t.Context(), key, store.BytesBody(noise(500))) },
	} {
		dir, data := openDir(t), noise(2*testPart+1)
		s := process(t, dir)
		id := begin(t, s, len(data))
		if _, err := step(t, s, id, data, testPart+500); err != nil {
			t.Fatal(err)
		}
		for info := range dir.List(t.Context(), Prefix+"acme/"+id+tailMark, "") {
			if err := damage(dir, info.Key); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := step(t, s, id, data, 10); !errors.Is(err, handler.ErrMismatchOffset) {
			t.Errorf("%s: %v", name, err)
		}
		if u, err := s.Get(as(t, "acme"), id); err != nil || u.Offset() != testPart {
			t.Errorf("%s: %v at %d", name, err, u.Offset())
		}
		if err := drive(t, s, id, data, 300, 20); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkWhole(t, s, id, data)
	}
}

// attempts is a store with attempts in parts that can be listed, as S3 is one.
type attempts struct {
	store.Parted
	list    []store.PartedUpload
	aborted []string
}

func (a *attempts) Unfinished(context.Context, string) iter.Seq2[store.PartedUpload, error] {
	return func(yield func(store.PartedUpload, error) bool) {
		for _, u := range a.list {
			if !yield(u, nil) {
				return
			}
		}
	}
}

func (a *attempts) AbortParts(ctx context.Context, key, id string) error {
	a.aborted = append(a.aborted, path.Base(key)+"/"+id)
	return a.Parted.AbortParts(ctx, key, id)
}

func TestSweep(t *testing.T) {
	dir := &attempts{Parted: openDir(t)}
	s, ctx, data := process(t, dir), as(t, "acme"), noise(testPart+5)
	half := begin(t, s, len(data))
	if _, err := step(t, s, half, data, 400); err != nil {
		t.Fatal(err)
	}
	whole := begin(t, s, len(data)) // all bytes, and its process died
	u, err := s.Get(ctx, whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.WriteChunk(ctx, 0, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	unpublished := begin(t, s, len(data))
	if u, err = s.Get(ctx, unpublished); err == nil {
		_, err = u.WriteChunk(ctx, 0, bytes.NewReader(data))
	}
	if err = errors.Join(err, u.FinishUpload(ctx)); err != nil {
		t.Fatal(err)
	}
	job := begin(t, s, len(data))
	if err := drive(t, s, job, data, 900, 5); err != nil {
		t.Fatal(err)
	}
	loose := strings.Repeat("0", 26)
	for _, key := range []string{Prefix + "acme/" + loose + tailMark + "A", Prefix + "acme/" + strings.Repeat("a", 64), Prefix + "other/x.info", Prefix + "stray"} {
		if err := dir.Put(ctx, key, store.BytesBody(data)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	dir.list = []store.PartedUpload{
		{Key: Prefix + "acme/" + half, ID: "A", Begun: now.Add(-time.Hour)},
		{Key: Prefix + "acme/" + loose, ID: "B", Begun: now.Add(-time.Hour)},
		{Key: Prefix + "acme/" + loose, ID: "C", Begun: now.Add(time.Hour)},
		{Key: Prefix + "acme/" + strings.Repeat("a", 64), ID: "D", Begun: now.Add(-time.Hour)},
	}
	// Young ones stay, but for attempts of no upload that are old enough.
	n, err := s.Sweep(ctx, now.Add(-time.Minute), noSettle)
	if n != (Swept{Loose: 2}) || err != nil || !slices.Equal(dir.aborted, []string{loose + "/B", strings.Repeat("a", 64) + "/D"}) {
		t.Errorf("%+v, %v, aborted %q", n, err, dir.aborted)
	}
	dir.list = nil
	var settled []string
	settle := func(_ context.Context, u *Upload) error {
		settled = append(settled, u.ID)
		if u.ID == whole {
			return errors.New("the topic is away")
		}
		return errors.Join(u.FinishUpload(ctx), u.SetJob(ctx, "late"))
	}
	n, err = s.Sweep(ctx, now.Add(time.Minute), settle)
	if n != (Swept{Expired: 1, Settled: 1, Old: 1, Loose: 1}) || err == nil || !slices.Equal(settled, []string{whole, unpublished}) {
		t.Errorf("%+v, %v, settled %q", n, err, settled)
	}
	for id, want := range map[string][]string{half: nil, whole: {stateEnd}, unpublished: {"", doneEnd}, job: {""}, loose: nil, strings.Repeat("a", 64): {""}} {
		if got := ends(t, dir, id); !slices.Equal(got, want) {
			t.Errorf("%s: left are %q, want %q", id, got, want)
		}
	}
	if got := object(t, s, job); !bytes.Equal(got, data) {
		t.Error("the medium of a job was changed")
	}
	// A store that fails is told of, and what can be done is.
	_, err = process(t, store.NewFaulty(dir.Parted, func(op, _ string, _ int) store.Fault {
		if op == "list" {
			return store.Fault{Before: store.ErrFault}
		}
		return store.Fault{}
	})).Sweep(ctx, now, noSettle)
	if !errors.Is(err, store.ErrFault) {
		t.Errorf("a store that does not list: %v", err)
	}
}

// An upload that the store has given up (a lifecycle rule of the bucket) is gone, and is
// not tried again for ever.
func TestAttemptGone(t *testing.T) {
	dir, data := openDir(t), noise(2*testPart)
	for _, have := range []int{500, testPart, 2 * testPart} {
		s := process(t, dir)
		id := begin(t, s, len(data))
		u, err := s.Get(as(t, "acme"), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.WriteChunk(as(t, "acme"), 0, bytes.NewReader(data[:have])); err != nil {
			t.Fatal(err)
		}
		if err := dir.AbortParts(t.Context(), u.Key(), u.Parts.Upload); err != nil {
			t.Fatal(err)
		}
		s.appears = 40 * time.Millisecond // it may be about to be completed elsewhere
		if _, err := step(t, s, id, data, len(data)); !store.IsNotFound(err) || errors.Is(err, handler.ErrNotFound) {
			t.Errorf("with %d bytes: %v", have, err)
		}
		s.appears = 0
		if _, err := step(t, s, id, data, len(data)); !errors.Is(err, handler.ErrNotFound) {
			t.Errorf("with %d bytes: %v", have, err)
		}
		if got := ends(t, dir, id); len(got) > 0 {
			t.Errorf("left are %q", got)
		}
	}
}

// An upload of any size costs one part of memory.
func TestMemory(t *testing.T) {
	dir := openDir(t)
	const part, count = 1 << 20, 64
	s, err := newStore(dir, 1, part)
	if err != nil {
		t.Fatal(err)
	}
	ctx := as(t, "acme")
	id := begin(t, s, part*count)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for at := int64(0); at < part*count; {
		u, err := s.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		n, err := u.WriteChunk(ctx, at, io.LimitReader(zeros{}, 8*part))
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*part {
		t.Errorf("an upload of %d MiB took %d bytes of memory in all, parts have %d", count, got, part)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
