package source

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/millrace/millrace/pipeline"
)

// ErrNoRanges says that a medium can only be fetched as a whole (see [Fetcher.Fetch]): its
// server has no ranges, or nothing by which two ranges are known to be of one version; or
// the medium is not remote, or its digest is to be checked, which takes all bytes.
var ErrNoRanges = errors.New("it can not be read in ranges, only as a whole")

const (
	rangeBlock = 256 << 10 // what is asked for at least
	rangeAhead = 4 << 20   // what is asked for at most, of a reader that goes straight on
	rangeCache = 32 << 20  // what is kept of one medium
	// maxReread times the medium's size may be asked for, however it is read.
	maxReread = 3
)

// Ranges is one version of a remote medium, of which only what is read is fetched. It is
// an [io.ReaderAt]; reads may be concurrent, and are served one at a time. At most 32 MiB
// of it are kept in memory.
//
// Errors of ReadAt are as those of Fetch. The limits of a fetch hold for each request;
// bytes that are asked for again, since the cache lost them, count towards three times
// the medium's size.
type Ranges struct {
	f      *Fetcher
	ctx    context.Context //nolint:containedctx // io.ReaderAt has none; Close ends it
	cancel context.CancelFunc
	m      pipeline.Media
	loc    location
	id     pipeline.SourceID
	pin    pin
	cache  int64

	mu     sync.Mutex
	blocks map[int64]*list.Element // of *block
	recent *list.List              // the block that was used last is in front
	next   int64                   // the block behind those that were fetched last
	ahead  int64                   // how many blocks the next request has, if it begins there
	asked  int64                   // bytes
}

type block struct {
	index int64
	data  []byte
}

// pin holds on to the version that the first range was of.
type pin struct {
	tag      string // a strong ETag
	modified string // or else a Last-Modified
	version  string // or an object's version id, besides its ETag
}

// span is what one request brings: bytes of a medium of a known size and version.
type span struct {
	body
	first, size int64
	pin         pin
}

// OpenRanges opens a remote medium for reading parts of it. It fetches the first block,
// and fails with [ErrNoRanges] where the medium is to be fetched as a whole. ctx holds
// until the Ranges is closed; the caller closes it.
func (f *Fetcher) OpenRanges(ctx context.Context, m pipeline.Media) (*Ranges, error) {
	err := checkMedia(m)
	if err != nil {
		return nil, f.about(m, err)
	}
	loc, err := locate(m.URI)
	switch {
	case err != nil:
		return nil, f.about(m, err)
	case m.URI == "" || loc.scheme == "file" || m.SHA256 != "":
		return nil, f.about(m, ErrNoRanges)
	}
	r := &Ranges{f: f, m: m, loc: loc, cache: rangeCache, blocks: map[int64]*list.Element{}, recent: list.New()}
	r.ctx, r.cancel = context.WithCancel(ctx)
	if err := r.begin(); err != nil {
		r.cancel()
		return nil, f.about(m, err)
	}
	return r, nil
}

// errLarge says that a medium is better read in ranges.
var errLarge = errors.New("it is large")

// FetchOrOpen is Fetch, but a medium that is Sparse, elsewhere, and has at least
// [Config.RangesFrom] bytes is only opened, as OpenRanges does, where that can be done.
// The caller closes what it gets: one of the two. Whether a medium is large is seen from
// the head of its answer, so a small one costs no request more.
func (f *Fetcher) FetchOrOpen(ctx context.Context, m pipeline.Media) (*Spooled, *Ranges, error) {
	large := int64(math.MaxInt64)
	if m.Sparse && m.SHA256 == "" {
		large = f.cfg.RangesFrom
	}
	s, err := f.fetch(ctx, m, large)
	if !errors.Is(err, errLarge) {
		if err != nil {
			err = f.about(m, err)
		}
		return s, nil, err
	}
	r, err := f.OpenRanges(ctx, m)
	if errors.Is(err, ErrNoRanges) {
		s, err = f.Fetch(ctx, m)
		return s, nil, err
	}
	return nil, r, err
}

// begin learns size and version with the first block.
func (r *Ranges) begin() error {
	r.id.URI = Redact(r.m.URI)
	var data []byte
	err := r.f.persist(r.ctx, r.loc, r.opener(0, rangeBlock), func(b *body) error {
		s := b.span
		most := r.f.cfg.MaxBytes
		if r.loc.scheme == "s3" {
			most = r.f.cfg.S3.MaxBytes
		}
		if s.size > most {
			return refuse(pipeline.CodeSourceLimit, "it has %d bytes; %d are allowed", s.size, most)
		}
		r.pin, r.id.Bytes, r.id.Version = s.pin, s.size, s.pin.version
		if r.id.Version == "" {
			r.id.Version = s.pin.tag
		}
		data = make([]byte, min(rangeBlock, s.size))
		return fill(b, data)
	})
	if err != nil {
		return err
	}
	r.keep(0, data)
	r.asked, r.next, r.ahead = int64(len(data)), 1, 1
	return nil
}

// Size is the medium's, in bytes.
func (r *Ranges) Size() int64 { return r.id.Bytes }

// ID says what is read. It has no digest: not all bytes are seen. Version is the ETag or
// version id, empty where only a time of change holds the version.
func (r *Ranges) ID() pipeline.SourceID { return r.id }

// Asked is how many bytes were asked for so far.
func (r *Ranges) Asked() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// Close ends reads that are under way, and frees the memory.
func (r *Ranges) Close() error {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks, r.recent = map[int64]*list.Element{}, list.New()
	return nil
}

// ReadAt implements [io.ReaderAt].
func (r *Ranges) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d: the offset is negative", r.id.URI, off)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(p) && off < r.id.Bytes {
		last := (min(off+int64(len(p)-n), r.id.Bytes) - 1) / rangeBlock
		data, err := r.block(off/rangeBlock, last)
		if err != nil {
			return n, r.f.about(r.m, err)
		}
		k := copy(p[n:], data[off%rangeBlock:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// block gives a block from the cache, or fetches it and some behind it: those up to last,
// which the reader wants too, and more if it has gone straight on so far.
func (r *Ranges) block(i, last int64) ([]byte, error) {
	if e := r.blocks[i]; e != nil {
		r.recent.MoveToFront(e)
		return e.Value.(*block).data, nil
	}
	count := last - i + 1
	if i == r.next {
		count = max(count, r.ahead)
		r.ahead = min(2*r.ahead, rangeAhead/rangeBlock)
	} else {
		r.ahead = 1
	}
	end := i + 1
	for end < i+min(count, rangeAhead/rangeBlock) && end*rangeBlock < r.id.Bytes && r.blocks[end] == nil {
		end++
	}
	from, to := i*rangeBlock, min(end*rangeBlock, r.id.Bytes)
	if r.asked+to-from > maxReread*r.id.Bytes {
		return nil, refuse(pipeline.CodeSourceLimit, "more than %d times its %d bytes were asked for", maxReread, r.id.Bytes)
	}
	data := make([]byte, to-from)
	r.asked += to - from
	if err := r.f.persist(r.ctx, r.loc, r.opener(from, to-from), func(b *body) error { return fill(b, data) }); err != nil {
		return nil, err
	}
	for k := end - 1; k >= i; k-- { // the one that was asked for is used last
		lo := (k - i) * rangeBlock
		r.keep(k, data[lo:min(lo+rangeBlock, to-from)])
	}
	r.next = end
	return data[:min(rangeBlock, to-from)], nil
}

// keep puts a block into the cache, in place of those that were not used for longest.
func (r *Ranges) keep(i int64, data []byte) {
	r.blocks[i] = r.recent.PushFront(&block{i, append([]byte(nil), data...)})
	for int64(r.recent.Len())*rangeBlock > r.cache {
		e := r.recent.Back()
		delete(r.blocks, r.recent.Remove(e).(*block).index)
	}
}

// fill reads the whole of a range.
func fill(b *body, p []byte) error {
	n, err := io.ReadFull(b.r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return refuse(pipeline.CodeSourceTransient, "%d bytes of a range came where %d were announced", n, len(p))
	}
	return err
}
