package shard

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// shaped writes a parquet file of one row, an array of uint8 of a shape and as many
// bytes of data as are said.
func shaped(t *testing.T, shape []int64, data int) []byte {
	t.Helper()
	type array struct {
		Data  []byte  `parquet:"data,optional,plain"`
		DType string  `parquet:"dtype,optional,plain"`
		Shape []int64 `parquet:"shape,optional,list,dict"`
	}
	type row struct {
		Key string `parquet:"__key__,optional,plain"`
		A   array  `parquet:"a,optional"`
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out, parquet.DataPageVersion(1))
	if _, err := w.Write([]row{{"k", array{make([]byte, data), "uint8", shape}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func first(data []byte) error {
	r, err := (&parquetLayout{}).open(bytes.NewReader(data), int64(len(data)), DefaultLimits())
	if err == nil {
		_, err = r.Next()
	}
	return err
}

// Of a column without a length, as lists are, pages of some bytes each could go on
// within one row for ever.
func TestRowOfManyPages(t *testing.T) {
	file := shaped(t, make([]int64, mostPageValues), 1)
	foot := len(file) - 8 - int(binary.LittleEndian.Uint32(file[len(file)-8:]))
	var meta format.FileMetaData
	if err := thrift.Unmarshal(&thrift.CompactProtocol{}, file[foot:len(file)-8], &meta); err != nil {
		t.Fatal(err)
	}
	group := &meta.RowGroups[0]
	last := &group.Columns[len(group.Columns)-1].MetaData
	page := nextPage(t, file[last.DataPageOffset:last.DictionaryPageOffset+last.TotalCompressedSize])
	const copies = 2
	file = append(file[:last.DictionaryPageOffset+last.TotalCompressedSize:foot], bytes.Repeat(page, copies)...)
	last.TotalCompressedSize += int64(copies * len(page))
	last.TotalUncompressedSize = last.TotalCompressedSize
	last.NumValues *= 1 + copies
	for i := range group.Columns {
		group.Columns[i].OffsetIndexOffset, group.Columns[i].ColumnIndexOffset = 0, 0
	}
	end, err := thrift.Marshal(&thrift.CompactProtocol{}, &meta)
	if err != nil {
		t.Fatal(err)
	}
	file = binary.LittleEndian.AppendUint32(append(file, end...), uint32(len(end)))
	file = append(file, parquetMagic...)
	if err := first(file); err == nil || !strings.Contains(err.Error(), "values in one row group") {
		t.Errorf("a row of %d values in %d bytes: %.200v", last.NumValues, len(file), err)
	}
}

// nextPage makes another page of the same row of a list's page.
func nextPage(t *testing.T, page []byte) []byte {
	t.Helper()
	rest, err := skipStruct(page, 0)
	if err != nil {
		t.Fatal(err)
	}
	var h format.PageHeader
	if err := thrift.Unmarshal(&thrift.CompactProtocol{}, page[:len(page)-len(rest)], &h); err != nil {
		t.Fatal(err)
	}
	levels := append(binary.AppendUvarint(nil, uint64(h.DataPageHeader.V.NumValues)<<1), 1) // a run of ones
	body := slices.Concat(binary.LittleEndian.AppendUint32(nil, uint32(len(levels))), levels, rest[4+binary.LittleEndian.Uint32(rest):])
	h.CRC, h.CompressedPageSize, h.UncompressedPageSize = 0, int32(len(body)), int32(len(body))
	head, err := thrift.Marshal(&thrift.CompactProtocol{}, &h)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// A shape whose product wraps around is not that of its data.
func TestShapeThatWraps(t *testing.T) {
	for _, c := range []struct {
		shape []int64
		data  int
		good  bool
	}{{[]int64{2, 3}, 6, true}, {[]int64{1 << 31, 2, 1 << 31, 2}, 1, false}, {[]int64{1 << 31, 2, 1 << 31, 2}, 0, false}, {[]int64{0, 1 << 31}, 0, true}} {
		if err := first(shaped(t, c.shape, c.data)); (err == nil || err == io.EOF) != c.good {
			t.Errorf("shape %v of %d bytes: %v", c.shape, c.data, err)
		}
	}
}
