package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	kafkalz4 "github.com/segmentio/kafka-go/compress/lz4"
)

// zstdWindow bounds the memory that a zstd frame may ask for. Format and tools
// promise 8 MiB; Kafka's clients use no more unless set to the "ultra" levels.
const zstdWindow = 16 << 20

// decompress returns a reader of what packed holds, which ends with errTooLarge
// after limit bytes, and what frees it.
func decompress(packed []byte, codec int16, limit int64) (io.Reader, func(), error) {
	src := bytes.NewReader(packed)
	var r io.Reader
	free := func() {}
	switch codec {
	case 0:
		return src, free, nil // what was fetched is within its own limit
	case 1:
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", noEOF(err))
		}
		r = z
	case 2:
		r = &snappyReader{src: packed, limit: limit}
	case 3:
		z := new(kafkalz4.Codec).NewReader(src)
		r, free = z, func() { _ = z.Close() }
	case 4:
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		r, free = z, z.Close
	default:
		return nil, nil, fmt.Errorf("compression %d is none that Kafka has", codec)
	}
	return &capped{r: r, left: limit, limit: limit}, free, nil
}

// capped fails, rather than ends, beyond its limit.
type capped struct {
	r           io.Reader
	left, limit int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		// The end may be right here.
		var one [1]byte
		if n, err := c.r.Read(one[:]); n == 0 && err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("%w of %d bytes", errTooLarge, c.limit)
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// xerial is how the JVM's snappy library begins a stream: a name, then two versions
// of four bytes each. Blocks follow, each with its length.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

// snappyReader reads what Kafka's clients call snappy: xerial's stream of blocks,
// or one bare block. A block says first how large it becomes, and that is checked:
// decoders allocate it at once.
type snappyReader struct {
	src     []byte
	out     []byte
	limit   int64
	started bool
	framed  bool
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		block, err := s.block()
		if err != nil {
			return 0, err
		}
		n, err := snappy.DecodedLen(block)
		if err != nil {
			return 0, fmt.Errorf("snappy: %w", err)
		}
		if int64(n) > s.limit {
			return 0, fmt.Errorf("%w of %d bytes", errTooLarge, s.limit)
		}
		if s.out, err = snappy.Decode(nil, block); err != nil {
			return 0, fmt.Errorf("snappy: %w", err)
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

func (s *snappyReader) block() ([]byte, error) {
	if !s.started {
		s.started = true
		if s.framed = len(s.src) >= xerialHeader && bytes.HasPrefix(s.src, xerial); s.framed {
			s.src = s.src[xerialHeader:]
		}
	}
	if len(s.src) == 0 {
		return nil, io.EOF
	}
	if !s.framed {
		b := s.src
		s.src = nil
		return b, nil
	}
	if len(s.src) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	n := binary.BigEndian.Uint32(s.src)
	if int64(n) > int64(len(s.src)-4) {
		return nil, io.ErrUnexpectedEOF
	}
	b := s.src[4 : 4+n]
	s.src = s.src[4+n:]
	return b, nil
}
