package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
)

func vector(t testing.TB, codec string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "batches", codec+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// edit changes a batch and makes its checksum right again.
func edit(raw []byte, change func(b []byte)) []byte {
	b := bytes.Clone(raw)
	change(b)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

func put32(at int, v int32) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
}

func TestParseBatchRefuses(t *testing.T) {
	good := vector(t, "none")
	for _, tc := range []struct {
		name string
		raw  []byte
		rest int64
		want string
	}{
		{"nothing", nil, 0, "ends within a batch"},
		{"half a header", good[:40], 40, "ends within a batch"},
		{"half a batch", good[:200], 200, "ends within a batch"},
		{"no length", editAny(good, put32(8, 0)), 0, "claims 0 bytes"},
		{"negative length", editAny(good, put32(8, -5)), 0, "claims -5 bytes"},
		{"less than a header", editAny(good, put32(8, 20)), 0, "less than its header"},
		{"negative offset", editAny(good, put32(0, -1)), 0, "at offset -"},
		{"unknown format", editAny(good, func(b []byte) { b[16] = 3 }), 0, "format 3"},
		{"ends before it begins", edit(good, put32(23, -2)), 0, "ends -2 offsets later"},
		{"changed bytes", editAny(good, func(b []byte) { b[100] ^= 1 }), 0, "checksum"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rest := tc.rest
			if rest == 0 {
				rest = int64(len(tc.raw))
			}
			if _, _, err := parseBatch(tc.raw, rest); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
		})
	}
}

// editAny changes a batch and leaves its checksum as it was.
func editAny(raw []byte, change func(b []byte)) []byte {
	b := bytes.Clone(raw)
	change(b)
	return b
}

func TestParseBatchOverTheLimit(t *testing.T) {
	good := vector(t, "none")
	b, next, err := parseBatch(good[:100], int64(len(good)))
	if err != nil || !b.cut || next != nil || b.first != 0 || b.last != 4 {
		t.Fatalf("%+v, %v", b, err)
	}
}

func TestParseOldFormats(t *testing.T) {
	for _, magic := range []byte{0, 1} {
		entry := make([]byte, 40)
		binary.BigEndian.PutUint64(entry, 9)
		binary.BigEndian.PutUint32(entry[8:], 28)
		entry[16] = magic
		b, next, err := parseBatch(append(entry, 0xff), 41)
		if err != nil || b.last != 9 || b.magic != int8(magic) || len(next) != 1 {
			t.Fatalf("format %d: %+v, %v", magic, b, err)
		}
	}
}

// TestUnpackRefuses has batches whose checksum is right and whose content is not.
func TestUnpackRefuses(t *testing.T) {
	good := vector(t, "none")
	snap := func(size int) []byte { // a block that claims to become large
		return binary.AppendUvarint(nil, uint64(size))
	}
	for _, tc := range []struct {
		name  string
		batch batch
		want  error
	}{
		{"more records than there are", batch{last: 9, count: 1 << 30, records: good[61:]}, io.ErrUnexpectedEOF},
		{"a record of 1 GiB", batch{count: 1, records: binary.AppendVarint(nil, 1<<30)}, errTooLarge},
		{"a record that ends early", batch{count: 1, records: append(binary.AppendVarint(nil, 500), 1, 2, 3)}, io.ErrUnexpectedEOF},
		{"snappy to 1 GiB", batch{count: 1, attributes: 2, records: snap(1 << 30)}, errTooLarge},
		{"gzip of nothing", batch{count: 1, attributes: 1}, io.ErrUnexpectedEOF},
		{"zeros of 2 MiB", batch{count: 1, attributes: 2, records: snappy.Encode(nil, make([]byte, 2<<20))}, errTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := unpack(&tc.batch, 1<<20); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
	t.Run("offsets that do not rise", func(t *testing.T) {
		one := []byte{12, 0, 0, 0, 1, 1, 0} // length 6: attributes, time 0, offset 0, no key, no value, no headers
		b := batch{last: 5, count: 2, records: append(bytes.Clone(one), one...)}
		if rs, err := unpack(&b, 1<<20); err == nil || len(rs) != 1 {
			t.Fatalf("%d records, %v", len(rs), err)
		}
	})
	t.Run("a codec that is none", func(t *testing.T) {
		b := batch{count: 1, attributes: 7, records: []byte{1}}
		if _, err := unpack(&b, 1<<20); err == nil {
			t.Fatal("unpacked")
		}
	})
}

// TestSnappyStream reads xerial's framing of several blocks.
func TestSnappyStream(t *testing.T) {
	src := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, s := range []string{"first ", "", "second"} {
		block := snappy.Encode(nil, []byte(s))
		src = append(binary.BigEndian.AppendUint32(src, uint32(len(block))), block...)
	}
	got, err := io.ReadAll(&snappyReader{src: src, limit: 100})
	if err != nil || string(got) != "first second" {
		t.Fatalf("%q, %v", got, err)
	}
	for cut := xerialHeader + 1; cut < len(src); cut++ {
		if got, err := io.ReadAll(&snappyReader{src: src[:cut], limit: 100}); err == nil && string(got) == "first second" {
			t.Fatalf("whole after %d of %d bytes", cut, len(src))
		}
	}
}

// FuzzRecordSet reads arbitrary bytes as a fetch's records. The checksum is made
// right where there is one, as any producer can.
func FuzzRecordSet(f *testing.F) {
	for _, codec := range codecs {
		f.Add(vector(f, codec))
	}
	f.Add(append(vector(f, "zstd"), vector(f, "lz4")...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = bytes.Clone(raw)
		for len(raw) > 0 {
			if n := len(raw); n > batchHeader {
				size := min(int(binary.BigEndian.Uint32(raw[8:]))+batchPrefix, n)
				if size > 21 {
					binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:size], castagnoli))
				}
			}
			b, next, err := parseBatch(raw, int64(len(raw)))
			if err != nil {
				return
			}
			if b.last < b.first || b.size < 0 || len(next) >= len(raw) {
				t.Fatalf("%d bytes left of %d after [%d, %d]", len(next), len(raw), b.first, b.last)
			}
			checkUnpacked(t, &b)
			raw = next
		}
	})
}

func checkUnpacked(t *testing.T, b *batch) {
	const limit = 1 << 16
	if b.magic != 2 {
		return
	}
	it, err := b.open(limit)
	if err != nil {
		return
	}
	defer it.close()
	at, total := b.first-1, 0
	for {
		r, err := it.next()
		if err != nil {
			break
		}
		if r.Offset <= at || r.Offset > b.last {
			t.Fatalf("offset %d after %d in [%d, %d]", r.Offset, at, b.first, b.last)
		}
		at = r.Offset
		total += len(r.Key) + len(r.Value)
	}
	if total > limit && b.attributes&attrCompression != 0 {
		t.Fatalf("%d bytes unpacked, over the limit of %d", total, limit)
	}
}
