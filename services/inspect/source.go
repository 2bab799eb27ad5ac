package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/pipeline/shard"
)

// Source is one shard to look into.
type Source struct {
	Key    string // the object's, or a file's path: what people know it by
	Format string // of package shard
	Bytes  int64
	// Samples is what a record says; below 1 where none does.
	Samples int64
	// Get opens n bytes from offset off on. The reader is closed here.
	Get func(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// File is the Source of a local shard.
func File(path string) (Source, error) {
	format, err := shard.FormatOf(path)
	if err != nil {
		return Source{}, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return Source{}, fmt.Errorf("inspect a shard: %w", err)
	}
	get := func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.NewSectionReader(f, off, n), f}, nil
	}
	return Source{Key: path, Format: format, Bytes: st.Size(), Get: get}, nil
}

// errStop ends a walk early, in peace.
var errStop = errors.New("stop")

// Open reads the shard as [shard.Open] does, with few requests. There is nothing to
// close; ctx bounds what the reader does.
func (s *Source) Open(ctx context.Context) (shard.Reader, error) {
	return shard.Open(s.Format, &blocks{ctx: ctx, src: s}, s.Bytes, shard.DefaultLimits())
}

// walk calls visit for each sample of s, until it returns an error.
func (s *Source) walk(ctx context.Context, visit func(shard.Reader, *shard.Entry) error) error {
	r, err := s.Open(ctx)
	for err == nil {
		var e *shard.Entry
		if e, err = r.Next(); err == nil {
			err = visit(r, e)
		}
	}
	if err == io.EOF || errors.Is(err, errStop) {
		return nil
	}
	return fmt.Errorf("shard %s: %w", s.Key, err)
}

// count gives the number of samples, by walking where no record says it.
func (s *Source) count(ctx context.Context) (int64, error) {
	if s.Samples > 0 {
		return s.Samples, nil
	}
	n := int64(0)
	err := s.walk(ctx, func(shard.Reader, *shard.Entry) error { n++; return nil })
	return n, err
}

// blockBytes is one request: a sample's small fields lie together, and far more than
// this apart from the next sample's.
const blockBytes = 64 << 10

// blocks is a Source as an io.ReaderAt that asks for whole blocks and keeps the last
// few, so that reading headers costs a request for each large field and not one for
// each header. Longer reads pass it by.
type blocks struct {
	ctx  context.Context
	src  *Source
	kept [4]block // a reader of shards looks ahead by a sample, then goes back
	next int      // to be replaced
}

type block struct {
	at   int64
	data []byte
}

func (b *blocks) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.src.Bytes {
		return 0, io.EOF
	}
	want := min(int64(len(p)), b.src.Bytes-off)
	n := int64(0)
	for n < want {
		if m := b.copy(p[n:want], off+n); m > 0 {
			n += int64(m)
			continue
		}
		if want-n >= blockBytes {
			m, err := b.get(p[n:want], off+n)
			if n += int64(m); err != nil {
				return int(n), err
			}
			continue
		}
		if err := b.fill(off + n); err != nil {
			return int(n), err
		}
	}
	if want < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// copy takes what a kept block has of off and on.
func (b *blocks) copy(p []byte, off int64) int {
	for _, k := range b.kept {
		if off >= k.at && off < k.at+int64(len(k.data)) {
			return copy(p, k.data[off-k.at:])
		}
	}
	return 0
}

// fill fetches the block that begins at off.
func (b *blocks) fill(off int64) error {
	k := &b.kept[b.next]
	b.next = (b.next + 1) % len(b.kept)
	if k.data == nil {
		k.data = make([]byte, blockBytes)
	}
	k.at = off
	n, err := b.get(k.data[:min(blockBytes, b.src.Bytes-off)], off)
	k.data = k.data[:n]
	return err
}

func (b *blocks) get(p []byte, off int64) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	r, err := b.src.Get(b.ctx, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r, p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the size was known; less is a fault
	}
	return n, errors.Join(err, r.Close())
}
