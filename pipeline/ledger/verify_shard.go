package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
)

// shard checks one shard that a record names, beside others.
func (c *chainCheck) shard(record string, seq int64, s Shard) error {
	h := hashID("", s.Key)
	if other, twice := c.named.get(h); twice {
		c.fault(record, "it names the shard %s, which record %d names too", s.Key, other)
	}
	c.named.put(h, seq)
	c.v.edits.met(h, s)
	c.counts.Shards++
	c.counts.Bytes += s.Bytes
	return c.v.look(&c.shards, s, c.fault)
}

// waiter is what a WaitGroup does, as far as look needs it.
type waiter interface{ Go(func()) }

// look checks a shard in a goroutine of w, once a slot is free.
func (v *verifier) look(w waiter, s Shard, fault func(object, format string, args ...any)) error {
	select {
	case v.slots <- struct{}{}:
	case <-v.ctx.Done():
		return context.Cause(v.ctx)
	}
	w.Go(func() {
		defer func() { <-v.slots }()
		if err := v.shardObject(s, fault); err != nil {
			v.cancel(err)
			return
		}
		v.tell(func(p *Progress) { p.Shards++; p.Bytes += s.Bytes })
	})
	return nil
}

func (v *verifier) shardObject(s Shard, fault func(object, format string, args ...any)) error {
	size, sum, crc, err := v.s.Head(v.ctx, s.Key)
	switch {
	case notFound(err) && v.edits.removed(s.Key):
		v.mu.Lock()
		v.report.Gone++
		v.mu.Unlock()
		return nil
	case notFound(err):
		fault(s.Key, "it is missing, though %s names it", namer(s))
		return nil
	case err != nil:
		return err
	case size != s.Bytes:
		fault(s.Key, "it has %d bytes; its record says %d", size, s.Bytes)
		return nil
	case sum != nil && hex.EncodeToString(sum) != s.SHA256:
		fault(s.Key, "the store says its SHA-256 is %x; its record says %s", sum, s.SHA256)
		return nil
	case crc != nil && hex.EncodeToString(crc) != s.CRC32C:
		fault(s.Key, "the store says its CRC-32C is %x; its record says %s", crc, s.CRC32C)
		return nil
	case v.o.Deep:
		return v.shardBytes(s, fault)
	}
	return v.beside(s, nil, fault)
}

func namer(s Shard) string {
	if strings.HasPrefix(s.Key, EditedPrefix) {
		return "an edit"
	}
	return "a record"
}

// shardBytes reads a shard, once: what looks at its inside sees what is hashed.
func (v *verifier) shardBytes(s Shard, fault func(object, format string, args ...any)) error {
	rc, err := v.s.Open(v.ctx, s.Key)
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	hash := sha256.New()
	counted := &counter{r: io.TeeReader(rc, hash)}
	if err := v.beside(s, counted, fault); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, counted); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); counted.n != s.Bytes || got != s.SHA256 {
		fault(s.Key, "it holds %d bytes of SHA-256 %s; its record says %d of %s", counted.n, got, s.Bytes, s.SHA256)
	}
	return nil
}

func (v *verifier) beside(s Shard, body io.Reader, fault func(object, format string, args ...any)) error {
	if v.o.Beside == nil {
		return nil
	}
	text, err := v.o.Beside(v.ctx, s, body)
	if err == nil && text != "" {
		fault(s.Key, "%s", text)
	}
	return err
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// unreadable makes a fault of an object that is missing or malformed, and hands on an
// error of the store's.
func (v *verifier) unreadable(key string, err error) error {
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	var storeErr interface{ Permanent() bool }
	switch {
	case notFound(err):
		v.fault(key, "it is missing")
	case errors.As(err, &storeErr):
		return err
	default:
		v.fault(key, "%v", err)
	}
	return nil
}
