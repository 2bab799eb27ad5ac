package backfill

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/source"
)

// group gathers the members of one job.
type group struct {
	v       *env
	archive string
	version string
	job     pipeline.Job
	files   []*os.File
	bytes   int64
	seen    []string // extensions that were used
	meta    json.RawMessage
	class   json.RawMessage
	caption string
	fault   *codecs.Error
	skipped bool
}

func newGroup(v *env, archive, version, key, id string) *group {
	g := &group{v: v, archive: archive, version: version}
	g.job = pipeline.Job{ID: id, Dataset: v.opt.Dataset}
	g.skipped = v.skip(id)
	if len(key) > maxName {
		g.refuse(refuse(pipeline.CodeMsgLimit, "its name has %d bytes; %d are allowed", len(key), maxName))
	} else if !utf8.ValidString(key) {
		g.refuse(refuse(pipeline.CodeMsgInvalid, "its name is not UTF-8"))
	}
	return g
}

// has tells whether there is a member of this extension already: another one begins a
// new job.
func (g *group) has(ext string) bool { return slices.Contains(g.seen, ext) }

func (g *group) useful() bool { return len(g.seen) > 0 }

func (g *group) refuse(f *codecs.Error) {
	if g.fault == nil {
		g.fault = f
	}
}

// addOdd refuses the job for a member that would be of use, were it not odd.
func (g *group) addOdd(name, ext string, f *codecs.Error) {
	if _, known := partLimits[ext]; known || mediaType(name) != "" {
		g.seen = append(g.seen, ext)
		g.refuse(f)
	}
}

// add takes one member. Its error is the archive's or the disk's; a fault of the
// member becomes the job's.
func (g *group) add(name, ext string, size int64, r io.Reader) error {
	media := mediaType(name) != ""
	_, known := partLimits[ext]
	if !media && !known {
		return nil
	}
	g.seen = append(g.seen, ext)
	if media {
		g.bytes += size
	}
	if g.fault != nil || g.skipped {
		return nil
	}
	// Errors of r are the archive's, whatever they look like.
	in := &errorReader{r: r}
	var err error
	if media {
		err = g.medium(name, ext, size, in)
	} else {
		err = g.part(name, ext, size, in)
	}
	if in.err != nil {
		return in.err
	}
	if f := codecs.AsError(err); f != nil {
		g.refuse(refuse(f.Code, "%s: %s", memberURI(source.Redact(g.archive), name), f.Detail))
		return nil
	}
	return err
}

func (g *group) medium(name, ext string, size int64, r io.Reader) error {
	limit := g.v.opt.Source.MaxBytes
	switch {
	case g.bytes > limit:
		return refuse(pipeline.CodeSourceLimit, "with it the job has %d bytes; %d are allowed", g.bytes, limit)
	case len(g.job.Media) == maxGroupMedia:
		return refuse(pipeline.CodeMsgLimit, "the job has more than %d media", maxGroupMedia)
	case size == 0:
		return refuse(pipeline.CodeSourceEmpty, "it has no bytes")
	}
	m := pipeline.Media{URI: memberURI(g.archive, name), Type: mediaType(name), Version: g.version}
	if strings.Contains(ext, ".") { // left.jpg and right.jpg of one sample
		m.Role = strings.TrimSuffix(ext, path.Ext(ext))
	}
	if !g.v.skim {
		s, err := source.Spool(g.v.opt.Source.Dir, r, limit)
		if err != nil {
			return err
		}
		m.SHA256 = s.ID.SHA256
		g.files = append(g.files, s.File)
	}
	g.job.Media = append(g.job.Media, m)
	return nil
}

//nolint:gochecknoglobals // a constant table: how much of a job's other parts is read
var partLimits = map[string]int64{"txt": maxText, "caption": maxText, "json": maxMeta, "cls": 1 << 10}

func (g *group) part(name, ext string, size int64, r io.Reader) error {
	if limit := partLimits[ext]; size > limit {
		return refuse(pipeline.CodeMsgLimit, "it has %d bytes; %d are allowed", size, limit)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if b = bytes.TrimSpace(b); !utf8.Valid(b) {
		return refuse(pipeline.CodeMsgInvalid, "it is not UTF-8")
	}
	switch ext {
	case "txt":
		g.job.Text = string(b)
	case "caption":
		g.caption = string(b)
	case "json":
		if err := checkDepth(b); err != nil {
			return err
		}
		if !json.Valid(b) {
			return refuse(pipeline.CodeMsgInvalid, "it is not JSON")
		}
		g.meta = b
	case "cls":
		if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
			g.class = strconv.AppendInt(nil, n, 10)
		} else {
			g.class, _ = json.Marshal(string(b)) // a string always is JSON
		}
	}
	return nil
}

// finish gives the job, or nil if there is none. It passes on the files.
func (g *group) finish() *item {
	if !g.useful() {
		return nil
	}
	if g.job.Text == "" {
		g.job.Text = g.caption
	}
	if g.fault == nil && !g.skipped && len(g.job.Media) == 0 && g.job.Text == "" {
		return nil // a member of meta alone, such as an archive's own index
	}
	it := &item{bytes: g.bytes, skipped: g.skipped}
	if g.fault != nil {
		g.drop()
		it.part = pipeline.Part{Job: pipeline.Job{ID: g.job.ID, Dataset: g.job.Dataset}, Fault: g.fault}
		return it
	}
	g.job.Meta = g.mergedMeta()
	it.part = pipeline.Part{Job: g.job, Files: g.files}
	return it
}

// mergedMeta is the .json member as it is, with the .cls member as "cls" in it. What is
// no object stands as "json" beside it.
func (g *group) mergedMeta() json.RawMessage {
	if g.class == nil {
		return g.meta
	}
	var o object
	names, values, err := readObject(g.meta)
	if err != nil && g.meta != nil {
		o.addRaw("json", g.meta)
	}
	if err == nil {
		for i, n := range names {
			o.addRaw(n, values[i])
		}
	}
	if !slices.Contains(names, "cls") {
		o.addRaw("cls", g.class)
	}
	meta, _ := o.bytes() // addRaw makes no errors
	return meta
}

func (g *group) drop() {
	for _, f := range g.files {
		f.Close()
	}
	g.files = nil
}

// errorReader remembers its reader's error.
type errorReader struct {
	r   io.Reader
	err error
}

func (e *errorReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		e.err = err
	}
	return n, err
}
