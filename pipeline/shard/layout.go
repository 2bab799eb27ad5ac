package shard

import (
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/pipeline"
)

// The formats.
const (
	// WebDataset is the format of tar files in which neighbours with one name, up to its
	// first dot, are one sample.
	WebDataset = "webdataset"
	// MDS is MosaicML Streaming's format.
	MDS = "mds"
	// Parquet is Apache Parquet with the conventions of Hugging Face datasets.
	Parquet = "parquet"
)

// Zstd is the compression that MDS and parquet have.
const Zstd = "zstd"

// Formats lists the formats that this build writes and reads.
func Formats() []string { return []string{WebDataset, MDS, Parquet} }

// Ext is the ending of a format's file names, as in ".tar" or ".mds.zstd".
func Ext(format, compression string) (string, error) {
	l, err := layoutOf(format, Options{Compression: compression})
	if err != nil {
		return "", err
	}
	return l.ext(), nil
}

// Shape says which shard of a format a sample may be in: with samples of an equal
// shape. Formats that take samples of all sorts give "".
func Shape(format string, s *pipeline.Sample) (string, error) {
	l, err := layoutOf(format, Options{})
	if err != nil {
		return "", err
	}
	return l.shape(s), nil
}

// Check refuses, with a [*Refused], a sample that not even an empty shard of a format can
// hold: so that it is found out before others are written beside it.
func Check(format string, s *pipeline.Sample) error {
	if err := checkSample(s); err != nil {
		return err
	}
	l, err := layoutOf(format, Options{})
	if err != nil {
		return err
	}
	return l.check(s, 0, 0)
}

// layout is one shard in one format.
type layout interface {
	ext() string
	shape(s *pipeline.Sample) string
	// check refuses a sample that the shard can not hold, before a byte is written
	// behind the at bytes and n samples that are there.
	check(s *pipeline.Sample, at int64, n int) error
	// put spools one checked sample, which begins at offset at. It names where the
	// sample's fields are.
	put(w io.Writer, at int64, s *pipeline.Sample) (Entry, error)
	// finish makes the at spooled bytes a file of the format: f, or one that create
	// makes. It moves the entries to where the reader will find them.
	finish(f *os.File, at int64, entries []Entry, create func() (*os.File, error)) (*os.File, error)
	sidecars(entries []Entry) []Sidecar
	open(r io.ReaderAt, size int64, lim Limits) (Reader, error)
}

func layoutOf(format string, o Options) (layout, error) {
	if o.Compression != "" && o.Compression != Zstd || o.Compression != "" && format == WebDataset {
		return nil, fmt.Errorf("shard format %s has no compression %q", format, o.Compression)
	}
	switch format {
	case WebDataset:
		return tarLayout{}, nil
	case MDS:
		return &mdsLayout{zstd: o.Compression == Zstd}, nil
	case Parquet:
		return newParquetLayout(o), nil
	}
	return nil, fmt.Errorf("shard format %q is not one of %v", format, Formats())
}

// Entry is one sample's place in a shard.
type Entry struct {
	Key string `json:"key"`
	// Offset and Length are the sample's bytes in the file (in a compressed file, in
	// what it holds), headers and padding included; consecutive samples touch. Parquet
	// keeps columns together, not samples: there Offset is 0, and Length what the fields
	// have.
	Offset int64        `json:"offset"`
	Length int64        `json:"length"`
	Fields []FieldEntry `json:"fields"`
}

// FieldEntry is one field of a sample: Size bytes, the field as it was added. It lies
// at Offset, if the format has it in one piece (0 in parquet). Where the format has a
// header of its own for arrays, Offset is that of the header's beginning.
type FieldEntry struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
}

// Bytes is the size of all fields, without headers and padding.
func (e *Entry) Bytes() int64 {
	var n int64
	for _, f := range e.Fields {
		n += f.Size
	}
	return n
}

// Field returns the place of the named field among e.Fields, or -1.
func (e *Entry) Field(name string) int {
	for i, f := range e.Fields {
		if f.Name == name {
			return i
		}
	}
	return -1
}
