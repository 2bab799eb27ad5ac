package store_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

// TestParts gives objects in parts to each store that takes them, with a part sent
// twice, a completion that is repeated, and uploads that are given up.
func TestParts(t *testing.T) {
	dir, err := store.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	t.Run("dir", func(t *testing.T) { testParts(t, dir) })
	t.Run("s3", func(t *testing.T) { testParts(t, s3test.Start(t).Open(t)) })
}

func testParts(t *testing.T, s store.Store) {
	p, ok := store.AsParted(store.NewRetry(s, store.Policy{Attempts: 2}))
	if !ok {
		t.Fatal("the store takes no parts")
	}
	ctx, key := t.Context(), "_upload/a/b"
	const size = 5 << 20
	data := make([]byte, 2*size+1234)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(data)
	upload, err := p.BeginParts(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	junk := bytes.Repeat([]byte("x"), size)
	sum := store.NewSum()
	for i, first := range []bool{true, false, false} {
		part := store.Part{Number: i + 1, Offset: int64(i) * size, Data: data[i*size : min((i+1)*size, len(data))]}
		if first { // what was sent before is replaced
			if err := p.PutPart(ctx, key, upload, store.Part{Number: 1, Data: junk}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.PutPart(ctx, key, upload, part); err != nil {
			t.Fatal(err)
		}
		_, _ = sum.Write(part.Data)
		sha, crc, err := sum.State()
		if err != nil {
			t.Fatal(err)
		}
		if sum, err = store.RestoreSum(sum.Body().Size, sha, crc); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Stat(ctx, key); !store.IsNotFound(err) {
		t.Fatalf("there before it is complete: %v", err)
	}
	whole := sum.Body()
	if want := store.BytesBody(data); whole.SHA256 != want.SHA256 || whole.CRC32C != want.CRC32C || whole.Size != want.Size {
		t.Fatalf("the sum is %+v", whole)
	}
	for range 2 { // the second after a lost reply
		if err := p.CompleteParts(ctx, key, upload, 3, whole); err != nil {
			t.Fatal(err)
		}
	}
	rc, _, err := p.Get(ctx, key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if err = errors.Join(err, rc.Close()); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}

	gone, err := p.BeginParts(ctx, "_upload/a/c")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.PutPart(ctx, "_upload/a/c", gone, store.Part{Number: 1, Data: junk}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.AbortParts(ctx, "_upload/a/c", gone); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.PutPart(ctx, "_upload/a/c", gone, store.Part{Number: 1, Data: junk}); !store.IsNotFound(err) {
		t.Errorf("a part after the end: %v", err)
	}
	if err := p.CompleteParts(ctx, "_upload/a/c", gone, 1, store.BytesBody(junk)); !store.IsNotFound(err) {
		t.Errorf("complete after the end: %v", err)
	}
	if err := p.PutPart(ctx, key, "../../x", store.Part{Number: 1, Data: junk}); err == nil {
		t.Error("a foreign upload name was taken")
	}
}
