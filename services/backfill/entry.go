package backfill

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/source"
)

// way is how a source is read.
type way int

const (
	single way = iota // one medium, list or archive, by its kind
	folder            // a local tree, perhaps with a glob
	prefix            // a part of a bucket, perhaps with a glob
)

// entry is one source, checked but not open: an argument, or what a folder holds.
type entry struct {
	way     way
	kind    kind
	uri     string // file://, s3://, http(s)://
	path    string // of what is local
	version string
	size    int64 // -1 where it is not known
	glob    []string
	rows    int64 // of a list that says so; else -1
	fetched *source.Spooled
	// fault stands for what could not even be looked at.
	fault *codecs.Error
}

// String is the entry's URI without secrets.
func (e entry) String() string { return source.Redact(e.uri) }

func (e entry) remote() bool { return e.path == "" }

// jobs is how many jobs the entry has, or -1.
func (e entry) jobs() int64 {
	if e.way == single && !e.kind.isList() && !e.kind.isArchive() {
		return 1
	}
	return e.rows
}

func (e entry) open(ctx context.Context, v *env) (reader, error) {
	switch {
	case e.way == folder:
		return newTree(v, e)
	case e.way == prefix:
		return newBucket(v, e), nil
	case e.kind.isList():
		return openList(ctx, v, e)
	case e.kind == zipFile:
		return openZip(ctx, v, e)
	case e.kind.isArchive():
		return openTar(ctx, v, e)
	}
	return &one{it: e.item(v)}, nil
}

// openAnyway is open for an entry that was good, or not looked at, before: a fault is
// one bad job then, not the listing's end.
func (e entry) openAnyway(ctx context.Context, v *env) (reader, error) {
	r, err := e.open(ctx, v)
	if fault := codecs.AsError(err); fault != nil {
		return &one{it: v.refused(fault, -1, "source", e.uri, e.version)}, nil
	}
	return r, err
}

func (e entry) close() error {
	if e.fetched == nil {
		return nil
	}
	return e.fetched.Close()
}

// item is the job of a single medium.
func (e entry) item(v *env) *item {
	if e.fault != nil {
		return v.refused(e.fault, e.size, "source", e.uri, e.version)
	}
	job := pipeline.Job{Dataset: v.opt.Dataset, Media: []pipeline.Media{{URI: e.uri, Version: e.version, Type: mediaType(e.name())}}}
	job.DeriveID()
	return &item{part: pipeline.Part{Job: job}, bytes: e.size}
}

// name is what tells the entry's kind: a URL's query does not.
func (e entry) name() string {
	if e.path != "" {
		return e.path
	}
	return source.Redact(e.uri)
}

// id derives an id from what names a thing.
func (e *env) id(parts ...string) string {
	b := make([][]byte, len(parts))
	for i, p := range parts {
		b[i] = []byte(p)
	}
	return pipeline.ContentID(e.opt.Dataset, b...)
}

// refused is an item that is nothing but a fault, with an id of its own.
func (e *env) refused(fault *codecs.Error, bytes int64, parts ...string) *item {
	return &item{bytes: bytes, part: pipeline.Part{
		Job: pipeline.Job{Dataset: e.opt.Dataset, ID: e.id(parts...)}, Fault: fault,
	}}
}

func refuse(code codecs.Code, format string, args ...any) *codecs.Error {
	return codecs.Errorf(code, codecs.StageTake, format, args...)
}

// one gives a single item.
type one struct {
	it   *item
	done bool
}

func (o *one) next(context.Context) (*item, error) {
	if o.done {
		return nil, io.EOF
	}
	o.done = true
	return o.it, nil
}

func (o *one) progress() progress {
	return progress{share: float64(bit(o.done)), left: int64(bit(!o.done))}
}

func (o *one) close() error { return nil }

// blob is a list or archive at hand, open for random access.
type blob struct {
	file    *os.File
	size    int64
	version string
	owned   bool // closed by whoever reads it; else by the entry
}

// blob opens what is local and fetches what is not.
func (e entry) blob(ctx context.Context, v *env) (blob, error) {
	if !e.remote() {
		f, info, err := v.far.OpenFile(e.path)
		if err != nil {
			return blob{}, err
		}
		return blob{file: f, size: info.Size(), version: source.FileVersion(info), owned: true}, nil
	}
	s := e.fetched
	if s == nil {
		var err error
		if s, err = v.far.Fetch(ctx, pipeline.Media{URI: e.uri, Version: e.version}); err != nil {
			return blob{}, err
		}
	}
	b := blob{file: s.File, size: s.ID.Bytes, version: e.version, owned: e.fetched == nil}
	if b.version == "" { // HTTP's ETags differ between the servers of one site
		b.version = s.ID.SHA256
	}
	return b, nil
}

func (b blob) close() error {
	if !b.owned {
		return nil
	}
	return b.file.Close()
}

func (b blob) reader() *io.SectionReader { return io.NewSectionReader(b.file, 0, b.size) }

func hasGlob(s string) bool { return strings.ContainsAny(s, "*?[") }
