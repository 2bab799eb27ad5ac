package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// Body is what a Put stores: bytes that can be read again, of a size and digests
// known beforehand. Whoever made it keeps Data open until Put has returned.
type Body struct {
	Data   io.ReaderAt
	Size   int64
	SHA256 [sha256.Size]byte
	CRC32C uint32 // Castagnoli
}

// BytesBody is the body of data, which must not change while it is used.
func BytesBody(data []byte) Body {
	return Body{
		Data: bytes.NewReader(data), Size: int64(len(data)),
		SHA256: sha256.Sum256(data), CRC32C: crc32.Checksum(data, castagnoli),
	}
}

// DigestBody reads the first size bytes of data once, to learn their digests.
func DigestBody(ctx context.Context, data io.ReaderAt, size int64) (Body, error) {
	d := newDigest()
	n, err := io.Copy(d, readerOf(ctx, io.NewSectionReader(data, 0, size)))
	if err != nil {
		return Body{}, fmt.Errorf("digest a body: %w", err)
	}
	if n != size {
		return Body{}, fmt.Errorf("digest a body: it ends after %d of %d bytes", n, size)
	}
	return Body{Data: data, Size: size, SHA256: d.sum(), CRC32C: d.crc.Sum32()}, nil
}

// Open gives a reader of the body from its start.
func (b Body) Open() io.Reader { return io.NewSectionReader(b.Data, 0, b.Size) }

// bytes reads the body into memory and checks it.
func (b Body) bytes() ([]byte, error) {
	data := make([]byte, b.Size)
	if _, err := io.ReadFull(b.Open(), data); err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	d := newDigest()
	_, _ = d.Write(data)
	return data, d.check(b)
}

// copyBody writes the body to w and checks it on the way.
func copyBody(ctx context.Context, w io.Writer, b Body) error {
	d := newDigest()
	if _, err := io.Copy(io.MultiWriter(w, d), readerOf(ctx, b.Open())); err != nil {
		return err
	}
	return d.check(b)
}

//nolint:gochecknoglobals // a constant table
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// digest hashes what is written to it in both ways at once.
type digest struct {
	n   int64
	sha hash.Hash
	crc hash.Hash32
}

func newDigest() *digest { return &digest{sha: sha256.New(), crc: crc32.New(castagnoli)} }

func (d *digest) Write(p []byte) (int, error) {
	d.n += int64(len(p))
	_, _ = d.sha.Write(p)
	_, _ = d.crc.Write(p)
	return len(p), nil
}

func (d *digest) sum() (s [sha256.Size]byte) {
	d.sha.Sum(s[:0])
	return s
}

// check compares what was written with what b announced.
func (d *digest) check(b Body) error {
	switch {
	case d.n != b.Size:
		return fmt.Errorf("the body has %d bytes where %d were announced", d.n, b.Size)
	case d.sum() != b.SHA256:
		return fmt.Errorf("the body's SHA-256 is %x where %x was announced: it changed after it was digested", d.sum(), b.SHA256)
	case d.crc.Sum32() != b.CRC32C:
		return fmt.Errorf("the body's CRC-32C is %08x where %08x was announced", d.crc.Sum32(), b.CRC32C)
	}
	return nil
}

// crcBytes is a CRC-32C as object stores write it.
func crcBytes(c uint32) []byte { return binary.BigEndian.AppendUint32(nil, c) }

// ctxReader ends a long copy when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func readerOf(ctx context.Context, r io.Reader) io.Reader { return &ctxReader{ctx, r} }

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
