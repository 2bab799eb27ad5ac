package backfill

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/source"
)

// row is one line of a list.
type row struct {
	uri, text string
	meta      json.RawMessage
}

// table gives a list's rows. A *codecs.Error is one bad row; the next may be good.
type table interface {
	next() (row, error)
	progress() progress
	close() error
}

// list makes jobs of a table's rows.
type list struct {
	v     *env
	e     entry
	blob  blob
	table table
	row   int64 // from 1; for a text list the number of the line that is not empty
}

func openList(ctx context.Context, v *env, e entry) (reader, error) {
	b, err := e.blob(ctx, v)
	if err != nil {
		return nil, err
	}
	t, err := openTable(b, e.kind, v.opt)
	if err != nil {
		b.close()
		return nil, err
	}
	return &list{v: v, e: e, blob: b, table: t}, nil
}

func openTable(b blob, k kind, opt Options) (table, error) {
	switch k {
	case commas:
		return openCSV(b, ',', opt)
	case tabs:
		return openCSV(b, '\t', opt)
	case objects:
		return openJSONL(b, opt)
	case parquetFile:
		return openParquet(b, opt)
	}
	return openText(b)
}

func (l *list) next(ctx context.Context) (*item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := l.table.next()
	if err == io.EOF {
		return nil, io.EOF
	}
	l.row++
	if err == nil {
		var it *item
		if it, err = l.job(r); err == nil {
			return it, nil
		}
	}
	fault := codecs.AsError(err)
	if fault == nil {
		return nil, fmt.Errorf("%s, row %d: %w", l.e, l.row, err)
	}
	return l.v.refused(refuse(fault.Code, "%s, row %d: %s", l.e, l.row, fault.Detail), -1,
		"row", l.e.uri, l.blob.version, strconv.FormatInt(l.row, 10)), nil
}

func (l *list) job(r row) (*item, error) {
	switch {
	case r.uri == "":
		return nil, refuse(pipeline.CodeMsgInvalid, "there is no URI")
	case len(r.text) > maxText:
		return nil, refuse(pipeline.CodeMsgLimit, "the text has %d bytes; %d are allowed", len(r.text), maxText)
	case len(r.meta) > maxMeta:
		return nil, refuse(pipeline.CodeMsgLimit, "the meta has %d bytes; %d are allowed", len(r.meta), maxMeta)
	case !utf8.ValidString(r.uri), !utf8.ValidString(r.text), !utf8.Valid(r.meta):
		return nil, refuse(pipeline.CodeMsgInvalid, "it is not UTF-8")
	}
	m, size, err := l.medium(r.uri)
	if err != nil {
		return nil, err
	}
	job := pipeline.Job{Dataset: l.v.opt.Dataset, Media: []pipeline.Media{m}, Text: r.text, Meta: r.meta}
	job.DeriveID()
	return &item{part: pipeline.Part{Job: job}, bytes: size}, nil
}

// medium resolves a row's URI against the list's own place. What came from afar may
// not name files of this machine.
func (l *list) medium(uri string) (pipeline.Media, int64, error) {
	scheme, _ := source.Scheme(uri)
	local := ""
	switch {
	case scheme == "file":
		p, err := source.FilePath(uri)
		if err != nil {
			return pipeline.Media{}, 0, err
		}
		local = p
	case scheme != "":
		m := pipeline.Media{URI: uri, Type: mediaType(path.Base(source.Redact(uri)))}
		return m, -1, nil
	case l.e.remote():
		return l.besideRemote(uri)
	case filepath.IsAbs(uri):
		local = uri
	default:
		local = filepath.Join(filepath.Dir(l.e.path), filepath.FromSlash(uri))
	}
	if l.e.remote() {
		return pipeline.Media{}, 0, refuse(pipeline.CodeSourceDenied, "a list from elsewhere may not name local files")
	}
	m := pipeline.Media{URI: source.FileURI(filepath.Clean(local)), Type: mediaType(local)}
	info, err := os.Stat(local)
	if err != nil { // fetching says what is wrong
		return m, -1, nil
	}
	m.Version = source.FileVersion(info)
	return m, info.Size(), nil
}

// besideRemote resolves a relative path against a list in a bucket or on a site.
func (l *list) besideRemote(rel string) (pipeline.Media, int64, error) {
	typ := mediaType(rel)
	if at, ok := strings.CutPrefix(l.e.uri, "s3://"); ok {
		bucket, key, _ := strings.Cut(at, "/")
		if strings.HasPrefix(rel, "/") {
			return pipeline.Media{}, 0, refuse(pipeline.CodeSourceDenied, "a list from elsewhere may not name local files")
		}
		full := strings.TrimPrefix(path.Join("/", path.Dir(key), rel), "/")
		return pipeline.Media{URI: "s3://" + bucket + "/" + full, Type: typ}, -1, nil
	}
	base, err := url.Parse(l.e.uri)
	if err != nil {
		return pipeline.Media{}, 0, refuse(pipeline.CodeMsgInvalid, "it can not be resolved against the list's URL")
	}
	to := base.ResolveReference(&url.URL{Path: rel})
	return pipeline.Media{URI: to.String(), Type: typ}, -1, nil
}

func (l *list) progress() progress { return l.table.progress() }

func (l *list) close() error {
	if err := l.table.close(); err != nil {
		l.blob.close()
		return err
	}
	return l.blob.close()
}
