package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

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
