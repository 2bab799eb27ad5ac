package shard

import (
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/pipeline"
)

// The USTAR format (POSIX.1-1988): a member is a block of header and its data, filled
// up to whole blocks; two blocks of zeros end the file.
const (
	tarBlock = 512
	tarEnd   = 2 * tarBlock
	// mostMember is what eleven octal digits can say.
	mostMember = 1<<33 - 1
)

// tarLayout is WebDataset's: members KEY.FIELD, a sample's next to each other. The
// headers are the same for the same sample, whenever and wherever it is written.
type tarLayout struct{}

func (tarLayout) ext() string { return ".tar" }

func (tarLayout) shape(*pipeline.Sample) string { return "" }

func (tarLayout) check(s *pipeline.Sample, _ int64, _ int) error {
	for _, f := range s.Fields {
		if n := len(s.Key) + 1 + len(f.Name); n > MostName {
			return refuse(s.Key, "with field %q the name has %d bytes; a shard's names have at most %d", f.Name, n, MostName)
		}
		if int64(len(f.Data)) > mostMember {
			return refuse(s.Key, "field %q has %d bytes; a tar member has at most %d", f.Name, len(f.Data), int64(mostMember))
		}
	}
	return nil
}

func (tarLayout) put(w io.Writer, at int64, s *pipeline.Sample) (Entry, error) {
	e := Entry{Key: s.Key, Offset: at, Fields: make([]FieldEntry, len(s.Fields))}
	for i, f := range s.Fields {
		size := int64(len(f.Data))
		e.Fields[i] = FieldEntry{Name: f.Name, Offset: at + tarBlock, Size: size}
		head := tarHeader(s.Key, f.Name, size)
		if _, err := w.Write(head[:]); err != nil {
			return e, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return e, err
		}
		if _, err := w.Write(zeros[:wholeBlocks(size)-size]); err != nil {
			return e, err
		}
		at += tarBlock + wholeBlocks(size)
	}
	e.Length = at - e.Offset
	return e, nil
}

func (tarLayout) finish(f *os.File, at int64, _ []Entry, _ func() (*os.File, error)) (*os.File, error) {
	_, err := f.WriteAt(zeros[:], at)
	return f, err
}

func (tarLayout) sidecars(entries []Entry) []Sidecar {
	return []Sidecar{{TarIndexSuffix, TarIndex(entries)}}
}

//nolint:gochecknoglobals // a constant
var zeros [tarEnd]byte

func wholeBlocks(n int64) int64 { return (n + tarBlock - 1) &^ (tarBlock - 1) }

// tarHeader is the header of a plain file: read-only for all, of nobody, at the epoch.
func tarHeader(key, field string, size int64) (h [tarBlock]byte) {
	n := copy(h[0:], key)
	h[n] = '.'
	copy(h[n+1:MostName], field)
	copy(h[100:], "0000444\x00")              // mode
	copy(h[108:], "0000000\x000000000\x00")   // uid, gid
	copy(h[124:], fmt.Sprintf("%011o", size)) // size
	copy(h[136:], "00000000000")              // mtime
	copy(h[148:], "        ")                 // the checksum counts itself as spaces
	h[156] = '0'                              // a plain file
	copy(h[257:], "ustar\x0000")              // magic and version
	copy(h[329:], "0000000\x000000000\x00")   // device numbers
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}
