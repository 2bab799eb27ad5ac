package catalog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// Beside makes a check of what stands beside shards, for [ledger.VerifyOptions]: the index
// of a tar shard has an entry a sample and lies within the shard; where the shard is read
// anyway, it is what the headers in the shard say. checked, if not nil, says which shards
// must have one: those of a snapshot whose indexes are complete.
func Beside(s store.Store, checked *Checked) func(context.Context, ledger.Shard, io.Reader) (string, error) {
	return func(ctx context.Context, sh ledger.Shard, body io.Reader) (string, error) {
		if sh.Format != shard.WebDataset {
			return "", nil
		}
		got, err := readIndex(ctx, s, sh)
		if errors.Is(err, store.ErrNotFound) {
			if checked != nil {
				if _, _, must := checked.tars.Find("", sh.Key); must {
					return "its index " + shard.TarIndexSuffix + " is missing, though it is published", nil
				}
			}
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if text := plausible(got, sh); text != "" || body == nil {
			return text, nil
		}
		data := &forward{r: bufio.NewReaderSize(body, 64<<10)}
		want, err := tarIndexOf(data, sh)
		switch {
		case data.err != nil:
			return "", data.err
		case err != nil:
			return err.Error(), nil
		case !bytes.Equal(got, want):
			return "its index " + shard.TarIndexSuffix + " is not what the headers in the shard say", nil
		}
		return "", nil
	}
}

// readIndex reads a tar shard's index: at most one byte more than it can have.
func readIndex(ctx context.Context, s store.Store, sh ledger.Shard) ([]byte, error) {
	rc, _, err := s.Get(ctx, sh.Key+shard.TarIndexSuffix, 0, -1)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	most := 8 * (min(sh.Samples, int64(shard.DefaultLimits().MaxSamples)) + 1)
	return io.ReadAll(io.LimitReader(rc, most+1))
}

// plausible checks what an index says against what the record says.
func plausible(index []byte, sh ledger.Shard) string {
	const block, end = 512, 1024 // bytes of a tar's blocks, and of its end
	if int64(len(index)) != 8*(sh.Samples+1) {
		return fmt.Sprintf("its index %s has not the %d entries that %d samples take", shard.TarIndexSuffix, sh.Samples+1, sh.Samples)
	}
	last := int64(-1)
	for i := 0; i < len(index); i += 8 {
		at := int64(binary.LittleEndian.Uint64(index[i:]))
		if at <= last || i == 0 && at != 0 || at%block != 0 || at > sh.Bytes-end {
			return fmt.Sprintf("entry %d of its index %s is %d, which can not be", i/8, shard.TarIndexSuffix, at)
		}
		last = at
	}
	return ""
}

// forward reads at growing offsets from a stream. It goes back over the last bytes that
// were read, since who reads a tar looks twice at its end.
type forward struct {
	r    *bufio.Reader
	at   int64  // what comes next in r
	tail []byte // the bytes before it, at most mostBack
	err  error  // of the stream
}

const mostBack = 4 << 10

func (f *forward) ReadAt(p []byte, off int64) (int, error) {
	back := f.at - off
	if back > int64(len(f.tail)) {
		return 0, fmt.Errorf("byte %d is asked for after byte %d", off, f.at)
	}
	if back < 0 {
		if err := f.skip(-back); err != nil {
			return 0, err
		}
		back = 0
	}
	n := copy(p, f.tail[int64(len(f.tail))-back:])
	more, err := io.ReadFull(f.r, p[n:])
	f.keep(p[n : n+more])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n + more, f.note(err)
}

func (f *forward) skip(n int64) error {
	if n > mostBack {
		gone, err := io.CopyN(io.Discard, f.r, n-mostBack)
		f.at += gone
		f.tail = f.tail[:0]
		if err != nil {
			return f.note(err)
		}
		n = mostBack
	}
	buf := make([]byte, n)
	got, err := io.ReadFull(f.r, buf)
	f.keep(buf[:got])
	return f.note(err)
}

// keep remembers the last bytes that were read.
func (f *forward) keep(p []byte) {
	f.at += int64(len(p))
	f.tail = append(f.tail, p...)
	if extra := len(f.tail) - mostBack; extra > 0 {
		f.tail = append(f.tail[:0], f.tail[extra:]...)
	}
}

// note remembers an error that is not the end.
func (f *forward) note(err error) error {
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		f.err = err
	}
	return err
}
