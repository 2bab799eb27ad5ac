package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
)

// Upload puts a body and then verifies what arrived. What it returns nil for may be
// named in a record.
func Upload(ctx context.Context, s Store, key string, body Body) error {
	if err := s.Put(ctx, key, body); err != nil {
		return err
	}
	return Verify(ctx, s, key, body)
}

// Verify compares a stored object with the body it was made from: size and
// checksum, as the store knows them. Where it knows no checksum the object is read
// back and hashed. A difference is ErrCorrupt.
func Verify(ctx context.Context, s Store, key string, want Body) error {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return err
	}
	known, err := compare(info, want)
	if err != nil {
		return &Error{Op: "verify", Key: key, Kind: ErrCorrupt, Err: err}
	}
	if known {
		return nil
	}
	r, _, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	d := newDigest()
	if _, err := io.Copy(d, r); err != nil {
		return fail(ctx, "verify", key, nil, err)
	}
	if sum := d.sum(); d.n != want.Size || sum != want.SHA256 {
		err := fmt.Errorf("the store gives %d bytes of SHA-256 %x; sent were %d of %x", d.n, sum, want.Size, want.SHA256)
		return &Error{Op: "verify", Key: key, Kind: ErrCorrupt, Err: err}
	}
	return nil
}

// compare says whether what the store knows settles the matter.
func compare(info Info, want Body) (known bool, err error) {
	switch {
	case info.Size != want.Size:
		return true, fmt.Errorf("the store has %d bytes; %d were sent", info.Size, want.Size)
	case info.SHA256 != nil && !bytes.Equal(info.SHA256, want.SHA256[:]):
		return true, fmt.Errorf("the store has SHA-256 %s; sent was %x", hex.EncodeToString(info.SHA256), want.SHA256)
	case info.CRC32C != nil && !bytes.Equal(info.CRC32C, crcBytes(want.CRC32C)):
		return true, fmt.Errorf("the store has CRC-32C %s; sent was %08x", hex.EncodeToString(info.CRC32C), want.CRC32C)
	}
	return info.SHA256 != nil || info.CRC32C != nil, nil
}
