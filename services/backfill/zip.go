package backfill

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// zipReader gives each medium of a zip as a job, in the order of its directory.
type zipReader struct {
	v     *env
	e     entry
	blob  blob
	zip   *zip.Reader
	place int
}

func openZip(ctx context.Context, v *env, e entry) (reader, error) {
	b, err := e.blob(ctx, v)
	if err != nil {
		return nil, err
	}
	z := &zipReader{v: v, e: e, blob: b}
	if err = checkDirectory(b); err == nil {
		z.zip, err = zip.NewReader(b.reader(), b.size) // not the file: offsets that a zip makes up are no disk errors
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are never used as paths
		b.close()
		return nil, archiveError(err)
	}
	return z, nil
}

func (z *zipReader) next(ctx context.Context) (*item, error) {
	for z.place < len(z.zip.File) {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		f := z.zip.File[z.place]
		z.place++
		if !f.Mode().IsRegular() || hiddenMember(f.Name) || mediaType(f.Name) == "" {
			continue
		}
		return z.member(f)
	}
	return nil, io.EOF
}

func (z *zipReader) member(f *zip.File) (*item, error) {
	size := int64(min(f.UncompressedSize64, math.MaxInt64))
	g := newGroup(z.v, z.e.uri, z.blob.version, f.Name,
		z.v.id("member", z.e.uri, z.blob.version, f.Name, strconv.FormatInt(size, 10), strconv.Itoa(z.place)))
	if err := checkMember(f); err != nil {
		g.refuse(err)
	}
	var r io.ReadCloser = io.NopCloser(eof{})
	if g.fault == nil && !g.skipped && !z.v.skim {
		var err error
		if r, err = f.Open(); err != nil {
			if isDisk(err) {
				return nil, err
			}
			g.refuse(memberFault(f, err))
			r = io.NopCloser(eof{})
		}
	}
	defer r.Close()
	if err := g.add(f.Name, "", size, r); err != nil {
		if isDisk(err) {
			g.drop()
			return nil, err
		}
		g.refuse(memberFault(f, err))
	}
	return g.finish(), nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func memberFault(f *zip.File, err error) *codecs.Error {
	return refuse(pipeline.CodeMsgInvalid, "the member %.200q can not be unpacked: %w", f.Name, err)
}

// checkMember refuses bombs by what the directory says; archive/zip holds a member to
// the size that is said there.
func checkMember(f *zip.File) *codecs.Error {
	switch {
	case f.Flags&1 != 0:
		return refuse(pipeline.CodeMsgInvalid, "the member %.200q is encrypted", f.Name)
	case f.UncompressedSize64/maxRatio > f.CompressedSize64:
		return refuse(pipeline.CodeSourceLimit, "the member %.200q unpacks to more than %d times its size", f.Name, maxRatio)
	}
	return nil
}

func (z *zipReader) progress() progress {
	return progress{share: float64(z.place) / float64(max(len(z.zip.File), 1)), left: -1}
}

func (z *zipReader) close() error { return z.blob.close() }

// The records at a zip's end (APPNOTE.TXT 4.3.14 to 4.3.16).
const (
	endRecord   = 22
	endComment  = 1<<16 - 1
	end64Record = 56
	end64Finder = 20
)

// checkDirectory bounds the directory, which archive/zip keeps in memory. Where the
// records are not found it leaves the error to archive/zip.
func checkDirectory(b blob) error {
	tail := make([]byte, min(b.size, endRecord+endComment))
	if _, err := b.file.ReadAt(tail, b.size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || len(tail)-at < endRecord {
		return nil
	}
	size := uint64(binary.LittleEndian.Uint32(tail[at+12:]))
	if size == math.MaxUint32 && at >= end64Finder {
		var rec [end64Record]byte
		off := binary.LittleEndian.Uint64(tail[at-end64Finder+8:])
		if off > math.MaxInt64 {
			return nil
		}
		if _, err := b.file.ReadAt(rec[:], int64(off)); err != nil || string(rec[:4]) != "PK\x06\x06" {
			return nil
		}
		size = binary.LittleEndian.Uint64(rec[40:])
	}
	if size > maxDirectory {
		return refuse(pipeline.CodeSourceLimit, "the archive's directory has %d bytes; %d are allowed", size, maxDirectory)
	}
	return nil
}
