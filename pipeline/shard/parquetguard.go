package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The parquet library allocates what a file says before it has read it. So a file's
// structure is walked first, from sizes alone: what it says must be there.
const (
	parquetMagic = "PAR1"
	// mostFooter bounds the metadata; that of one shard has some tens of KiB.
	mostFooter = 1 << 20
	// Page heads have some tens of bytes, and more with statistics.
	usualPageHead = 1 << 10
	mostPageHead  = 64 << 10
	// mostPageValues is above what pages of any usual size hold.
	mostPageValues = 1 << 22
	// mostColumnValues are a row group's of one column, and so the most of one row: what
	// is read of a row is all in memory. Row groups of ours have fewer, whatever the
	// shapes of their arrays.
	mostColumnValues = 1 << 23
	mostThriftDeep   = 32
)

// checkFooter sees that the metadata at a file's end is as long as it says, and that no
// list in it is longer than its bytes.
func checkFooter(r io.ReaderAt, size int64) error {
	const tail = 8
	if size < int64(len(parquetMagic))+tail {
		return fmt.Errorf("%d bytes are no parquet file", size)
	}
	end := make([]byte, tail)
	if _, err := r.ReadAt(end, size-tail); err != nil && err != io.EOF {
		return err
	}
	if string(end[4:]) != parquetMagic {
		return errors.New("its end is not that of a parquet file: it is cut short, or was not closed")
	}
	n := int64(binary.LittleEndian.Uint32(end))
	if n > mostFooter || n > size-tail-int64(len(parquetMagic)) {
		return fmt.Errorf("metadata of %d bytes in a file of %d; the limit is %d", n, size, mostFooter)
	}
	footer := make([]byte, n)
	if _, err := r.ReadAt(footer, size-tail-n); err != nil {
		return err
	}
	if _, err := skipStruct(footer, 0); err != nil {
		return fmt.Errorf("its metadata: %w", err)
	}
	return nil
}

// pageGuard checks the pages of a row group before the library reads them.
type pageGuard struct {
	data io.ReaderAt
	size int64
	most int64 // bytes of one page, unpacked
}

func (g pageGuard) check(group *format.RowGroup) error {
	for i := range group.Columns {
		m := &group.Columns[i].MetaData
		if m.Codec != format.Uncompressed && m.Codec != format.Zstd {
			return fmt.Errorf("a column is compressed with %s; zstd and none are read", m.Codec)
		}
		at, left := m.DataPageOffset, m.TotalCompressedSize
		if d := m.DictionaryPageOffset; d > 0 && d < at {
			at = d
		}
		if at < int64(len(parquetMagic)) || left < 0 || left > g.size-at {
			return fmt.Errorf("a column of %d bytes at byte %d of %d", left, at, g.size)
		}
		for room := int64(mostColumnValues); left > 0; {
			n, values, err := g.page(m.Codec, at, left)
			if err != nil {
				return fmt.Errorf("the page at byte %d: %w", at, err)
			}
			if room -= values; room < 0 {
				return fmt.Errorf("a column of more than %d values in one row group", mostColumnValues)
			}
			at, left = at+n, left-n
		}
	}
	return nil
}

// page checks the page at a byte, of a column that has so many bytes left, and says how
// many the page has, and how many values.
func (g pageGuard) page(codec format.CompressionCodec, at, left int64) (length, count int64, err error) {
	h, n, err := g.head(at, left)
	if err != nil {
		return 0, 0, err
	}
	packed, unpacked := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
	values, coding, levels, zipped := int32(0), format.Plain, int64(0), codec == format.Zstd
	switch {
	case h.DataPageHeader.Valid:
		values, coding = h.DataPageHeader.V.NumValues, h.DataPageHeader.V.Encoding
	case h.DataPageHeaderV2.Valid:
		v := &h.DataPageHeaderV2.V
		values, coding = v.NumValues, v.Encoding
		levels = int64(v.RepetitionLevelsByteLength) + int64(v.DefinitionLevelsByteLength)
		if v.RepetitionLevelsByteLength < 0 || v.DefinitionLevelsByteLength < 0 {
			return 0, 0, errors.New("levels of a length below zero")
		}
		if v.IsCompressed.Valid && !v.IsCompressed.V {
			zipped = false
		}
	case h.DictionaryPageHeader.Valid:
		values = h.DictionaryPageHeader.V.NumValues
	default:
		return 0, 0, fmt.Errorf("type %v is not read", h.Type)
	}
	switch {
	case coding != format.Plain && coding != format.RLEDictionary && coding != format.PlainDictionary:
		return 0, 0, fmt.Errorf("encoding %v is not read", coding)
	case values < 0 || values > mostPageValues:
		return 0, 0, fmt.Errorf("%d values; the limit is %d", values, mostPageValues)
	case packed < levels || packed > left-n || unpacked < levels || unpacked > g.most:
		return 0, 0, fmt.Errorf("%d bytes (%d unpacked, %d of levels) of the %d that there are; the limit is %d", packed, unpacked, levels, left-n, g.most)
	case !zipped && packed != unpacked:
		return 0, 0, fmt.Errorf("%d bytes unpack to %d without a codec", packed, unpacked)
	}
	if zipped {
		if err := g.frame(at+n+levels, packed-levels, unpacked-levels); err != nil {
			return 0, 0, err
		}
	}
	return n + packed, int64(values), nil
}

// head reads a page's head and says its length.
func (g pageGuard) head(at, left int64) (*format.PageHeader, int64, error) {
	for _, most := range []int64{usualPageHead, mostPageHead} {
		buf := make([]byte, min(most, left))
		if _, err := g.data.ReadAt(buf, at); err != nil && err != io.EOF {
			return nil, 0, err
		}
		rest, err := skipStruct(buf, 0)
		if err != nil {
			if most < min(left, mostPageHead) {
				continue
			}
			return nil, 0, err
		}
		h := new(format.PageHeader)
		buf = buf[:len(buf)-len(rest)]
		if err := caught(func() error { return thrift.Unmarshal(&thrift.CompactProtocol{}, buf, h) }); err != nil {
			return nil, 0, err
		}
		return h, int64(len(buf)), nil
	}
	return nil, 0, errThrift
}

// frame sees that bytes are one zstd frame, which holds want bytes if it says how many
// (the decompressor makes no more then), and else not more than a page may have.
func (g pageGuard) frame(at, size, want int64) error {
	if size == 0 && want == 0 {
		return nil
	}
	buf := make([]byte, min(size, zstd.HeaderMaxSize))
	if _, err := g.data.ReadAt(buf, at); err != nil && err != io.EOF {
		return err
	}
	var h zstd.Header
	if err := h.Decode(buf); err != nil {
		return err
	}
	if h.Skippable || h.HasFCS && h.FrameContentSize != uint64(want) {
		return fmt.Errorf("a zstd frame of %d bytes for %d", h.FrameContentSize, want)
	}
	end, pos, room := at+size, at+int64(h.HeaderSize), g.most
	const last, kindRLE, kindPacked, mostBlock, checksum = 1, 1, 2, 128 << 10, 4
	for head := uint32(0); head&last == 0; {
		var b [4]byte
		if pos+3 > end {
			return io.ErrUnexpectedEOF
		}
		if _, err := g.data.ReadAt(b[:3], pos); err != nil && err != io.EOF {
			return err
		}
		head = binary.LittleEndian.Uint32(b[:])
		n, holds := int64(head>>3), int64(head>>3)
		switch head >> 1 & 3 {
		case kindRLE:
			n = 1
		case kindPacked:
			holds = mostBlock
		}
		pos += 3 + n
		if room -= holds; room < 0 && !h.HasFCS {
			return fmt.Errorf("a zstd frame that may hold more than %d bytes", g.most)
		}
	}
	if h.HasCheckSum {
		pos += checksum
	}
	if pos != end {
		return fmt.Errorf("a zstd frame of %d bytes in %d", pos-at, size)
	}
	return nil
}

// errThrift is a structure that does not hold together.
var errThrift = errors.New("it is no thrift structure, or longer than its bytes")

// skipStruct walks a structure of Thrift's compact protocol and gives what follows it.
func skipStruct(b []byte, depth int) ([]byte, error) {
	if depth > mostThriftDeep {
		return nil, errThrift
	}
	for {
		if len(b) == 0 {
			return nil, errThrift
		}
		head := b[0]
		b = b[1:]
		if head == 0 {
			return b, nil
		}
		var err error
		if head>>4 == 0 { // the field's number follows
			if _, b, err = varint(b); err != nil {
				return nil, err
			}
		}
		if t := head & 15; t > 2 { // 1 and 2 are true and false
			if b, err = skipValue(b, t, depth+1); err != nil {
				return nil, err
			}
		}
	}
}

func varint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errThrift
	}
	return v, b[n:], nil
}

func skipValue(b []byte, t byte, depth int) ([]byte, error) {
	var n uint64
	var err error
	switch t {
	case 1, 2, 3: // a truth value in a list, a byte
		n = 1
	case 4, 5, 6: // integers
		_, b, err = varint(b)
		return b, err
	case 7: // double
		n = 8
	case 8: // bytes
		n, b, err = varint(b)
	case 9, 10:
		return skipList(b, depth)
	case 12:
		return skipStruct(b, depth)
	default: // parquet has no maps
		err = errThrift
	}
	if err != nil || n > uint64(len(b)) {
		return nil, errThrift
	}
	return b[n:], nil
}

func skipList(b []byte, depth int) ([]byte, error) {
	if len(b) == 0 || depth > mostThriftDeep {
		return nil, errThrift
	}
	t, n := b[0]&15, uint64(b[0]>>4)
	b = b[1:]
	var err error
	if n == 15 {
		if n, b, err = varint(b); err != nil {
			return nil, err
		}
	}
	if n > uint64(len(b)) {
		return nil, errThrift
	}
	for ; n > 0; n-- {
		if b, err = skipValue(b, t, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}
