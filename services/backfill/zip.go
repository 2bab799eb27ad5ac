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
	if err = checkDirectory(b, v.opt.Archive.MaxDirectory); err == nil {
		z.zip, err = zip.NewReader(b.reader(), b.size) // not the file: offsets that a zip makes up are no disk errors
	}
	if err == nil || errors.Is(err, zip.ErrInsecurePath) { // names are never used as paths
		err = checkMembers(z.zip.File, b.size, v.opt.Archive)
	}
	if err != nil {
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
		if f.Mode().IsDir() || hiddenMember(f.Name) || mediaType(f.Name) == "" {
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
	if err := checkMember(f, z.v.opt.Archive.MaxRatio); err != nil {
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
func checkMember(f *zip.File, ratio int64) *codecs.Error {
	switch {
	case !f.Mode().IsRegular():
		return refuse(pipeline.CodeMsgInvalid, "the member %.200q is a link or a special file, not a plain one", f.Name)
	case f.Flags&1 != 0:
		return refuse(pipeline.CodeMsgInvalid, "the member %.200q is encrypted", f.Name)
	case f.UncompressedSize64/uint64(ratio) > f.CompressedSize64:
		return refuse(pipeline.CodeSourceLimit, "the member %.200q unpacks to more than %d times its size", f.Name, ratio)
	}
	return nil
}

// checkMembers bounds the archive as a whole. Members that share bytes make bombs beyond
// any ratio of a single one (D. Fifield, A better zip bomb, WOOT 2019); together they
// claim more packed bytes than the archive has. Those that share and do not claim more
// unpack to no more than others may.
func checkMembers(files []*zip.File, size int64, a Archive) error {
	if f := a.count(int64(len(files))); f != nil {
		return f
	}
	var packed, unpacked uint64
	for _, f := range files {
		if f.CompressedSize64 > uint64(size)-packed {
			return refuse(pipeline.CodeSourceLimit, "the archive's members overlap: together they are larger than its %d bytes", size)
		}
		packed += f.CompressedSize64
		// A member that is over its ratio is refused alone, and unpacks to nothing.
		if checkMember(f, a.MaxRatio) == nil {
			unpacked += f.UncompressedSize64
		}
	}
	if f := a.check(int64(min(unpacked, math.MaxInt64)), size); f != nil {
		return f
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

// checkDirectory bounds the directory, which archive/zip keeps in memory. It reads on for
// as long as there are entries, from where the offset says or from where the size does;
// what the records say of the size is not enough. Where there are no records it leaves the
// error to archive/zip.
func checkDirectory(b blob, most int64) error {
	tail := make([]byte, min(b.size, endRecord+endComment))
	if _, err := b.file.ReadAt(tail, b.size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	at := bytes.LastIndex(tail[:max(0, len(tail)-endRecord+4)], []byte("PK\x05\x06"))
	if at < 0 {
		return nil
	}
	end := b.size - int64(len(tail)-at)
	size, offset := uint64(binary.LittleEndian.Uint32(tail[at+12:])), uint64(binary.LittleEndian.Uint32(tail[at+16:]))
	large := false
	if at >= end64Finder && string(tail[at-end64Finder:][:4]) == "PK\x06\x07" {
		var rec [end64Record]byte
		off := binary.LittleEndian.Uint64(tail[at-end64Finder+8:])
		if off < uint64(b.size) {
			if _, err := b.file.ReadAt(rec[:], int64(off)); err == nil && string(rec[:4]) == "PK\x06\x06" {
				large = true
				if err := checkSpan(binary.LittleEndian.Uint64(rec[40:]), binary.LittleEndian.Uint64(rec[48:]), off, most); err != nil {
					return err
				}
			}
		}
	}
	if records := binary.LittleEndian.Uint16(tail[at+10:]); large && (offset == math.MaxUint32 || records == math.MaxUint16) {
		return nil // the smaller record only points to the larger
	}
	return checkSpan(size, offset, uint64(end), most)
}

// checkSpan bounds a directory of the given place, in front of end.
func checkSpan(size, offset, end uint64, most int64) error {
	if offset <= end {
		size = max(size, end-offset)
	}
	if size > uint64(most) {
		return refuse(pipeline.CodeSourceLimit, "the archive's directory has %d bytes; %d are allowed", size, most)
	}
	return nil
}
