package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Attributes of a record batch of format 2 (KIP-98).
const (
	attrCompression   = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

const (
	batchPrefix = 12 // base offset and length, which the length does not count
	batchHeader = 61 // up to the records
	oldHeader   = 17 // of formats 0 and 1, up to and with the magic byte
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is the header of one record batch, and its records still packed.
type batch struct {
	first, last int64 // offsets, both within
	magic       int8
	attributes  int16
	firstTime   int64 // milliseconds
	maxTime     int64
	producer    int64
	count       int32
	size        int64 // of the whole batch, in bytes
	records     []byte
	// cut is set where the batch is larger than what was kept of it: there are no
	// records then.
	cut bool
	// aborted is set for records of an aborted transaction.
	aborted bool
}

// errPartial says that a record set ends within a batch, as brokers may do: the
// batch comes with the next fetch.
var errPartial = errors.New("the record set ends within a batch")

// errChecksum says that bytes changed since the producer wrote them.
var errChecksum = errors.New("the batch's checksum does not match")

// parseBatch reads the batch that raw begins with; raw is what was kept of a record
// set of which rest bytes are left. It returns what follows the batch. Nothing is
// copied.
func parseBatch(raw []byte, rest int64) (b batch, next []byte, err error) {
	if len(raw) < oldHeader {
		return b, nil, errPartial
	}
	length := int64(int32(binary.BigEndian.Uint32(raw[8:])))
	b = batch{
		first: int64(binary.BigEndian.Uint64(raw)),
		magic: int8(raw[16]),
		size:  length + batchPrefix,
	}
	b.last = b.first
	if length < oldHeader-batchPrefix || b.first < 0 {
		return b, nil, fmt.Errorf("a batch at offset %d claims %d bytes", b.first, length)
	}
	if b.magic != 2 {
		return parseOld(b, raw)
	}
	if length < batchHeader-batchPrefix {
		return b, nil, fmt.Errorf("the batch at offset %d is %d bytes, less than its header", b.first, length)
	}
	if len(raw) < batchHeader {
		return b, nil, errPartial
	}
	delta := int32(binary.BigEndian.Uint32(raw[23:]))
	b.attributes = int16(binary.BigEndian.Uint16(raw[21:]))
	b.last = b.first + int64(delta)
	b.firstTime = int64(binary.BigEndian.Uint64(raw[27:]))
	b.maxTime = int64(binary.BigEndian.Uint64(raw[35:]))
	b.producer = int64(binary.BigEndian.Uint64(raw[43:]))
	b.count = int32(binary.BigEndian.Uint32(raw[57:]))
	if delta < 0 || b.last < b.first {
		return b, nil, fmt.Errorf("the batch at offset %d ends %d offsets later", b.first, delta)
	}
	if b.size > int64(len(raw)) {
		if b.size > rest {
			return b, nil, errPartial
		}
		// All of it was sent, but more than the limit lets us keep. Its header can
		// not be checked, as the checksum covers the records.
		b.cut = true
		return b, nil, nil
	}
	body := raw[21:b.size]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(raw[17:]) {
		return b, nil, fmt.Errorf("the batch at offset %d: %w", b.first, errChecksum)
	}
	b.records = raw[batchHeader:b.size]
	return b, raw[b.size:], nil
}

// parseOld steps over one entry of format 0 or 1. Only its offset matters: of a
// compressed one it is that of the last message within.
func parseOld(b batch, raw []byte) (batch, []byte, error) {
	if b.magic != 0 && b.magic != 1 {
		return b, nil, fmt.Errorf("the batch at offset %d has format %d, which nothing here knows", b.first, b.magic)
	}
	if b.size > int64(len(raw)) {
		return b, nil, errPartial
	}
	return b, raw[b.size:], nil
}

func (b *batch) control() bool       { return b.attributes&attrControl != 0 }
func (b *batch) transactional() bool { return b.attributes&attrTransactional != 0 }

// abortMarker reports whether a control batch ends its transaction as aborted.
// Its one record's key is version and type, two bytes each; type 0 is abort.
func (b *batch) abortMarker() bool {
	it, err := b.open(1 << 10)
	if err != nil {
		return false
	}
	defer it.close()
	r, err := it.next()
	return err == nil && len(r.Key) >= 4 && binary.BigEndian.Uint16(r.Key[2:]) == 0
}

// time converts a record's distance from the batch's first time.
func (b *batch) time(delta int64) time.Time {
	if b.attributes&attrLogAppendTime != 0 {
		return time.UnixMilli(b.maxTime)
	}
	return time.UnixMilli(b.firstTime + delta)
}
