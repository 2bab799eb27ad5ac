package backfill

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are for tests: loopback may be asked, and nothing is waited for.
func options(t testing.TB) Options {
	o := DefaultOptions("cats")
	o.Source.Dir, o.Source.AllowPrivate, o.Source.Tries, o.Source.Backoff = t.TempDir(), true, 2, time.Millisecond
	return o
}

// job is a part in a form that tests can compare.
type job struct {
	id    string
	uris  []string
	text  string
	meta  string
	code  codecs.Code
	media []string // what the spooled files hold
}

func flat(t testing.TB, p pipeline.Part) job {
	t.Helper()
	j := job{id: p.Job.ID, text: p.Job.Text, meta: string(p.Job.Meta)}
	if p.Job.Dataset != "cats" || p.Job.ID == "" {
		t.Errorf("a part of dataset %q with the id %q", p.Job.Dataset, p.Job.ID)
	}
	for _, m := range p.Job.Media {
		j.uris = append(j.uris, m.URI)
	}
	if p.Fault != nil {
		e := codecs.AsError(p.Fault)
		if e == nil || e.Detail == "" {
			t.Fatalf("the fault %v has no code", p.Fault)
		}
		j.code = e.Code
		if len(p.Files) > 0 {
			t.Errorf("a refused part holds %d files", len(p.Files))
		}
	}
	for _, f := range p.Files {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
		if err != nil {
			t.Error(err)
		}
		j.media = append(j.media, string(b))
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	return j
}

// readAll reads a listing to its end.
func readAll(t testing.TB, l *Listing) (jobs []job) {
	t.Helper()
	defer l.Close()
	share := 0.0
	for {
		p, err := l.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, flat(t, p))
		e := l.Estimate()
		if e.Share < share-1e-9 || e.Share > 1 {
			t.Errorf("the share goes from %v to %v", share, e.Share)
		}
		share = e.Share
	}
	e := l.Estimate()
	if !e.Final || l.opt.Limit == 0 && e.Share != 1 {
		t.Errorf("at the end the estimate is %+v", e)
	}
	return jobs
}

func all(t testing.TB, o Options, srcs ...string) []job {
	t.Helper()
	l, err := Open(t.Context(), srcs, o)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, l)
}

// names are the last parts of the jobs' URIs; a fault's is its code.
func names(jobs []job) string {
	var out []string
	for _, j := range jobs {
		name := string(j.code)
		for i, u := range j.uris {
			if i > 0 {
				name += "+"
			}
			name += u[strings.LastIndexAny(u, "/#")+1:]
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func ids(jobs []job) (ids []string) {
	for _, j := range jobs {
		ids = append(ids, j.id)
	}
	return ids
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantError(t testing.TB, o Options, part string, srcs ...string) {
	t.Helper()
	l, err := Open(context.WithoutCancel(t.Context()), srcs, o)
	if err == nil {
		l.Close()
	}
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%q: got %v; want an error with %q", srcs, err, part)
	}
}
