package backfill

import (
	"archive/tar"
	"context"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// tarReader reads a tar as a stream: neighbours of one key are one job. Names are
// labels and are never used as paths.
type tarReader struct {
	v     *env
	e     entry
	blob  blob
	raw   *io.SectionReader
	z     io.Closer
	tar   *tar.Reader
	ahead *tar.Header // of the next group's first member
	place int64       // of the member last read
	end   bool
	fault *codecs.Error // what ended it early; given as the archive's own item
}

// openTar reads the first member's header, so that what is no tar is found out.
func openTar(ctx context.Context, v *env, e entry) (reader, error) {
	b, err := e.blob(ctx, v)
	if err != nil {
		return nil, err
	}
	t := &tarReader{v: v, e: e, blob: b, raw: b.reader()}
	r, closer, err := unpack(e.kind, t.raw, v.opt.Archive)
	if err != nil {
		b.close()
		return nil, archiveError(err)
	}
	t.z, t.tar = closer, tar.NewReader(r)
	if t.ahead, err = t.member(ctx); err == io.EOF {
		if t.end = true; b.size == 0 {
			err = unreadableArchive(io.ErrUnexpectedEOF)
		} else {
			err = nil
		}
	}
	if err != nil {
		t.close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, archiveError(err)
	}
	return t, nil
}

// archiveError leaves alone what is not the archive's fault.
func archiveError(err error) error {
	if isDisk(err) || codecs.AsError(err) != nil {
		return err
	}
	return unreadableArchive(err)
}

// member gives the next member that could belong to a job.
func (t *tarReader) member(ctx context.Context) (*tar.Header, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		h, err := t.tar.Next()
		if err != nil {
			return nil, err
		}
		t.place++
		if f := t.v.opt.Archive.count(t.place); f != nil {
			return nil, f
		}
		if h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader || hiddenMember(h.Name) {
			continue
		}
		if key, ext := splitMember(h.Name); key != "" && ext != "" {
			return h, nil
		}
	}
}

// oddMember refuses what is no plain file: what stands elsewhere is not gone after, and
// the holes of a sparse member are bytes that no limit on what is read has seen.
func oddMember(h *tar.Header) *codecs.Error {
	sparse := h.Typeflag == tar.TypeGNUSparse
	for name := range h.PAXRecords {
		sparse = sparse || strings.HasPrefix(name, "GNU.sparse.")
	}
	switch {
	case sparse:
		return refuse(pipeline.CodeSourceLimit, "the member %.200q is sparse: its holes would be unpacked from nothing", h.Name)
	case h.Typeflag != tar.TypeReg:
		return refuse(pipeline.CodeMsgInvalid, "the member %.200q is a link or a special file, not a plain one", h.Name)
	}
	return nil
}

// splitMember divides a name at the first dot of its last part, as WebDataset does.
func splitMember(name string) (key, ext string) {
	dir, base := path.Split(name)
	stem, ext, _ := strings.Cut(base, ".")
	if stem == "" {
		return "", ""
	}
	return dir + stem, strings.ToLower(ext)
}

func (t *tarReader) next(ctx context.Context) (*item, error) {
	for !t.end {
		it, err := t.group(ctx)
		if err != nil {
			return nil, err
		}
		if it != nil {
			return it, nil
		}
	}
	if f := t.fault; f != nil {
		t.fault = nil
		return t.v.refused(refuse(f.Code, "%s: %s", t.e, f.Detail), -1, "archive", t.e.uri, t.blob.version), nil
	}
	return nil, io.EOF
}

// group reads the members of one key. The item is nil if nothing of them is of use.
func (t *tarReader) group(ctx context.Context) (*item, error) {
	h := t.ahead
	t.ahead = nil
	key, _ := splitMember(h.Name)
	g := newGroup(t.v, t.e.uri, t.blob.version, key,
		t.v.id("member", t.e.uri, t.blob.version, h.Name, strconv.FormatInt(h.Size, 10), strconv.FormatInt(t.place, 10)))
	for {
		_, ext := splitMember(h.Name)
		var err error
		if f := oddMember(h); f != nil {
			g.addOdd(h.Name, ext, f)
		} else {
			err = g.add(h.Name, ext, h.Size, t.tar)
		}
		if err == nil {
			h, err = t.member(ctx)
		}
		switch {
		case err == io.EOF:
			t.end = true
			return g.finish(), nil
		case ctx.Err() != nil:
			g.drop()
			return nil, context.Cause(ctx)
		case err != nil:
			return t.broken(g, err)
		}
		if next, ext := splitMember(h.Name); next != key || g.has(ext) {
			t.ahead = h
			return g.finish(), nil
		}
	}
}

// broken ends the archive. The group under way may lack members that come after the
// damage, so it is refused as well.
func (t *tarReader) broken(g *group, err error) (*item, error) {
	if err = archiveError(err); codecs.AsError(err) == nil {
		g.drop()
		return nil, err
	}
	t.end, t.fault = true, codecs.AsError(err)
	if g.useful() {
		g.refuse(refuse(pipeline.CodeMsgInvalid, "its archive is damaged before its end: %s", t.fault.Detail))
	}
	return g.finish(), nil
}

func (t *tarReader) progress() progress {
	if t.end {
		return progress{share: 1, left: int64(bit(t.fault != nil))}
	}
	at, _ := t.raw.Seek(0, io.SeekCurrent) // it only tells where it is
	return progress{share: min(1, float64(at)/float64(max(t.blob.size, 1))), left: -1}
}

func (t *tarReader) close() error {
	_ = t.z.Close() // it would only say again what reading said
	return t.blob.close()
}
