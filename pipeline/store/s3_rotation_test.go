package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

// account is one identity on a real server whose keys can be changed, and the files in
// which a client finds them.
type account struct {
	t      *testing.T
	users  string // the server's
	folder string // the client's
	n      int
}

// renameInto replaces a file as a whole.
func (a *account) renameInto(path string, data []byte) {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		a.t.Error(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		a.t.Error(err)
	}
}

// change gives the server another pair, or another secret of the same key; what was
// before is refused at once.
func (a *account) change(key, secret string) {
	data, err := json.Marshal(map[string]any{"accessAccounts": map[string]any{key: map[string]any{"access": key, "secret": secret, "role": "admin"}}})
	if err != nil {
		a.t.Error(err)
	}
	a.renameInto(a.users, data)
}

// tell gives the client what change gave the server.
func (a *account) tell(key, secret string) {
	a.renameInto(filepath.Join(a.folder, "key"), []byte(key+"\n"))
	a.renameInto(filepath.Join(a.folder, "secret"), []byte(secret+"\n"))
}

// next is the pair after the present one: by turns a new key and a new secret alone.
func (a *account) next() (key, secret string) {
	a.n++
	return fmt.Sprintf("writer%d", a.n/2), fmt.Sprintf("secret-number-%d", a.n)
}

func rotating(t *testing.T) (*account, string, store.Config) {
	if testing.Short() {
		t.Skip("needs a real S3 server; not with -short")
	}
	iam := t.TempDir()
	a := &account{t: t, users: filepath.Join(iam, "users.json"), folder: t.TempDir()}
	server, err := s3test.Launch(t.TempDir(), "--iam-dir", iam, "--iam-cache-disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	key, secret := a.next()
	a.change(key, secret)
	a.tell(key, secret)
	cfg := server.Config
	cfg.AccessKey = "file:" + filepath.Join(a.folder, "key")
	cfg.SecretKey = pipeline.Secret{}
	if err := cfg.SecretKey.UnmarshalText([]byte("file:" + filepath.Join(a.folder, "secret"))); err != nil {
		t.Fatal(err)
	}
	cfg.PartSize = 16 << 20
	return a, server.URL(), cfg
}

func opened(t *testing.T, url string, cfg store.Config) store.Store {
	t.Helper()
	raw, err := store.Open(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.(*store.S3).Close() })
	return raw
}

// TestRotationInUpload changes the key while the parts of an object are on their way:
// the rest of them is refused, and the upload ends well all the same.
func TestRotationInUpload(t *testing.T) {
	a, url, cfg := rotating(t)
	data := make([]byte, 3*cfg.PartSize+99)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(data)
	body := store.BytesBody(data)
	cfg.Parts = 1
	key, secret := a.next()
	var rotate, tell sync.Once
	var refused atomic.Int64
	st := store.NewRetry(opened(t, url, cfg), store.Policy{Base: time.Millisecond, Report: func(_, _ string, err error, _ time.Duration) {
		refused.Add(1)
		tell.Do(func() { a.tell(key, secret) })
	}})
	sent := body
	sent.Data = readerAtFunc(func(p []byte, off int64) (int, error) {
		if off >= cfg.PartSize {
			rotate.Do(func() { a.change(key, secret) })
		}
		return bytes.NewReader(data).ReadAt(p, off)
	})
	if err := store.Upload(t.Context(), st, "data/large", sent); err != nil {
		t.Fatal(err)
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused: the key did not change in the middle")
	}
	if err := store.Verify(t.Context(), st, "data/large", body); err != nil {
		t.Error(err)
	}
}

// TestRotationUnderLoad changes key or secret again and again under several writers: no
// write fails, and nothing is missing afterwards.
func TestRotationUnderLoad(t *testing.T) {
	a, url, cfg := rotating(t)
	const writers, rounds, between = 4, 6, 25
	written := make(chan struct{}, between)
	refusals := make(chan struct{}, 1)
	st := store.NewRetry(opened(t, url, cfg), store.Policy{Attempts: 12, Base: 5 * time.Millisecond, Max: time.Second, Report: func(string, string, error, time.Duration) {
		select {
		case refusals <- struct{}{}:
		default:
		}
	}})
	var stop atomic.Bool
	var counts [writers]int
	g, ctx := errgroup.WithContext(t.Context())
	for w := range writers {
		g.Go(func() error {
			for ; !stop.Load(); counts[w]++ {
				key := fmt.Sprintf("w%d/%06d", w, counts[w])
				if err := store.Upload(ctx, st, key, store.BytesBody([]byte(key))); err != nil {
					return err
				}
				if _, err := st.Stat(ctx, key); err != nil {
					return err
				}
				select {
				case written <- struct{}{}:
				default:
				}
			}
			return nil
		})
	}
	for range rounds {
		key, secret := a.next()
		a.change(key, secret)
		select {
		case <-refusals:
		case <-ctx.Done():
		}
		a.tell(key, secret)
		for range between {
			select {
			case <-written:
			case <-ctx.Done():
			}
		}
	}
	stop.Store(true)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	total := 0
	for w, n := range counts {
		total += n
		for i := range n {
			key := fmt.Sprintf("w%d/%06d", w, i)
			rc, _, err := st.Get(t.Context(), key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(rc)
			if _ = rc.Close(); err != nil || string(got) != key {
				t.Errorf("%s holds %q, %v", key, got, err)
			}
		}
	}
	t.Logf("%d writes under %d changes", total, rounds)
}

// TestRotationWithoutNews revokes a key for good: the writer gives up, with a reason.
func TestRotationWithoutNews(t *testing.T) {
	a, url, cfg := rotating(t)
	raw := opened(t, url, cfg)
	a.change("somebody", "else-altogether")
	st := store.NewRetry(raw, store.Policy{Attempts: 3, Base: time.Millisecond})
	if err := st.Put(t.Context(), "k", store.BytesBody([]byte("x"))); err == nil || store.IsPermanent(err) {
		t.Errorf("a revoked key: %v", err)
	}
	if _, err := st.Stat(t.Context(), "k"); err == nil || store.IsNotFound(err) || store.IsPermanent(err) {
		t.Errorf("a revoked key, in a HEAD: %v", err)
	}
}
