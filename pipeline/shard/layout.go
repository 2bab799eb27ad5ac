package shard

import (
	"fmt"
	"io"

	"github.com/millrace/millrace/pipeline"
)

// WebDataset is the format of tar files in which neighbours with one name, up to its
// first dot, are one sample.
const WebDataset = "webdataset"

// Formats lists the formats that this build writes and reads.
func Formats() []string { return []string{WebDataset} }

// Ext is the ending of a format's file names, as in ".tar".
func Ext(format string) (string, error) {
	l, err := layoutOf(format)
	if err != nil {
		return "", err
	}
	return l.ext(), nil
}

// layout is one shard format. Its methods keep no state: what a format must know at
// the end (MDS' table of offsets, parquet's footer) follows from the entries.
type layout interface {
	ext() string
	// check refuses a sample that the format can not hold, before a byte is written.
	check(s *pipeline.Sample) error
	// put writes one checked sample, which begins at offset at of the file. It names
	// where the sample's fields are.
	put(w io.Writer, at int64, s *pipeline.Sample) (Entry, error)
	// end writes what follows the last sample.
	end(w io.Writer, entries []Entry) error
	open(r io.ReaderAt, size int64, lim Limits) (Reader, error)
}

func layoutOf(format string) (layout, error) {
	if format == WebDataset {
		return tarLayout{}, nil
	}
	return nil, fmt.Errorf("shard format %q is not one of %v", format, Formats())
}

// Entry is one sample's place in a shard.
type Entry struct {
	Key string `json:"key"`
	// Offset and Length are the sample's bytes in the file, headers and padding
	// included; consecutive samples touch.
	Offset int64        `json:"offset"`
	Length int64        `json:"length"`
	Fields []FieldEntry `json:"fields"`
}

// FieldEntry is one field's place in a shard: Size bytes from Offset.
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
