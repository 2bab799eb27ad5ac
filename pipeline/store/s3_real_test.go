package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

// TestS3Parts sends objects in several parts to a real server, with and without
// checksums, and gives up in the middle of one.
func TestS3Parts(t *testing.T) {
	server := s3test.Start(t)
	const part = 16 << 20
	data := make([]byte, 2*part+12345)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	body := store.BytesBody(data)
	for _, plain := range []bool{false, true} {
		cfg := server.Config
		cfg.PartSize, cfg.Parts, cfg.NoChecksums = part, 2, plain
		st, err := store.Open(t.Context(), server.URL(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Upload(t.Context(), st, "data/large", body); err != nil {
			t.Fatalf("without checksums %v: %v", plain, err)
		}
		info, err := st.Stat(t.Context(), "data/large")
		if err != nil || info.Size != body.Size {
			t.Errorf("got %+v, %v", info, err)
		}
		if !plain && info.CRC32C == nil {
			t.Error("the server does not keep the whole object's CRC-32C")
		}
		rc, _, err := st.Get(t.Context(), "data/large", part-5, 10)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		_ = rc.Close()
		if err != nil || !bytes.Equal(got, data[part-5:part+5]) {
			t.Errorf("across the parts' border: %x, %v", got, err)
		}
		wrong := body
		wrong.CRC32C++
		if err := store.Upload(t.Context(), st, "data/wrong", wrong); err == nil && !plain {
			t.Error("a body with another CRC-32C was taken")
		}
		ctx, cancel := context.WithCancel(t.Context())
		stopped := body
		stopped.Data = readerAtFunc(func(p []byte, off int64) (int, error) {
			if off > part+1000 {
				cancel()
			}
			return copy(p, data[off:]), nil
		})
		if err := st.Put(ctx, "data/stopped", stopped); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if _, err := st.Stat(t.Context(), "data/stopped"); !store.IsNotFound(err) {
			t.Errorf("a cancelled upload left an object: %v", err)
		}
		_ = st.(*store.S3).Close()
	}
	// An upload that was given up has been aborted: no part takes space.
	err := filepath.WalkDir(server.Dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.Contains(path, "multipart") {
			t.Errorf("a part is left: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

type readerAtFunc func(p []byte, off int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

// TestS3Real holds the rest to a real server: bad credentials, a missing bucket, a
// server's own checksums.
func TestS3Real(t *testing.T) {
	server := s3test.Start(t)
	url := server.URL()
	cfg := server.Config
	cfg.CreateBucket = false
	if _, err := store.Open(t.Context(), url, cfg); err == nil || !strings.Contains(err.Error(), "create_bucket") {
		t.Errorf("a missing bucket: %v", err)
	}
	st, err := store.Open(t.Context(), url, server.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.(*store.S3).Close() })
	cfg.AccessKey = "nobody"
	if _, err := store.Open(t.Context(), url, cfg); !errors.Is(err, store.ErrDenied) || strings.Contains(err.Error(), cfg.SecretKey.Reveal()) {
		t.Errorf("bad credentials: %v", err)
	}
	body := store.BytesBody([]byte("some data"))
	if err := st.Put(t.Context(), "k", body); err != nil {
		t.Fatal(err)
	}
	if err := st.Create(t.Context(), "c", []byte("some data")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k", "c"} {
		info, err := st.Stat(t.Context(), key)
		if err != nil || !bytes.Equal(info.SHA256, body.SHA256[:]) {
			t.Errorf("%s: the server keeps the SHA-256 %x, %v", key, info.SHA256, err)
		}
	}
}
