package source

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// flaky is a server that can be broken: "" works, "refuse" has nobody listening, "500"
// answers everything so.
type flaky struct {
	addr   string
	server *http.Server
	state  atomic.Value
	asked  atomic.Int64
}

func newFlaky(t *testing.T) *flaky {
	f := &flaky{addr: "127.0.0.1:0"}
	f.state.Store("")
	f.up(t)
	t.Cleanup(func() { f.server.Close() })
	return f
}

func (f *flaky) up(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	f.server = &http.Server{Handler: f}
	go func() { _ = f.server.Serve(l) }()
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	if f.state.Load() == "500" || r.URL.Path == "/broken" {
		w.WriteHeader(500)
		return
	}
	fmt.Fprint(w, "film")
}

func (f *flaky) media(path string) pipeline.Media {
	return pipeline.Media{URI: "http://" + f.addr + path}
}

func waiting(t *testing.T, f *Fetcher) Outage {
	t.Helper()
	for range 5000 {
		if l := f.Outages(); len(l) > 0 {
			return l[0]
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no outage was waited for")
	return Outage{}
}

// TestOutage breaks the one host that all media are on, and mends it.
func TestOutage(t *testing.T) {
	for _, how := range []string{"refuse", "500"} {
		t.Run(how, func(t *testing.T) {
			cfg := local(t)
			cfg.OutagePatience = time.Minute
			f, s := newFetcher(t, cfg), newFlaky(t)
			wantBytes(t, f, s.media("/a"), "film")
			if s.state.Store(how); how == "refuse" {
				s.server.Close()
			}
			const n = 5
			errs := make(chan error, n)
			for i := range n {
				go func() {
					sp, err := f.Fetch(t.Context(), s.media(fmt.Sprint("/", i)))
					if err == nil {
						err = sp.Close()
					}
					errs <- err
				}()
			}
			if o := waiting(t, f); o.Origin != s.addr || o.Since.IsZero() || o.Cause == "" {
				t.Errorf("the outage is %+v", o)
			}
			if s.state.Store(""); how == "refuse" {
				s.up(t)
			}
			for range n {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			if l := f.Outages(); len(l) != 0 {
				t.Errorf("after it: %+v", l)
			}
		})
	}
}

// TestDeadHost has one dead host among working ones, and one URL that fails alone.
func TestDeadHost(t *testing.T) {
	cfg := local(t)
	cfg.OutagePatience = time.Minute
	f, dead, one, two := newFetcher(t, cfg), newFlaky(t), newFlaky(t), newFlaky(t)
	dead.server.Close()
	wantBytes(t, f, one.media("/a"), "film")
	wantBytes(t, f, two.media("/a"), "film")
	wantFault(t, f, dead.media("/a"), pipeline.CodeSourceUnreachable)
	wantFault(t, f, one.media("/broken"), pipeline.CodeSourceTransient)
	two.state.Store("500")
	two.asked.Store(0)
	if wantFault(t, f, dead.media("/b"), pipeline.CodeSourceUnreachable); two.asked.Load() != 0 {
		t.Error("another host was asked")
	}

	cfg = local(t)
	cfg.HTTP.DependOn = []string{"127.0.0.1"}
	g := newFetcher(t, cfg)
	wantBytes(t, g, one.media("/a"), "film")
	_, err := g.Fetch(t.Context(), dead.media("/a"))
	wantPlain(t, err, "source.outage_patience")
}

// TestS3Outage has an endpoint that is away for all objects, and one object that fails.
func TestS3Outage(t *testing.T) {
	var down atomic.Bool
	f := fakeS3(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() || strings.HasSuffix(r.URL.Path, "/broken") {
			w.WriteHeader(503)
			return
		}
		w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
		w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:05:05 GMT")
		fmt.Fprint(w, "film")
	})
	f.cfg.OutagePatience = time.Minute
	wantFault(t, f, pipeline.Media{URI: "s3://media/broken"}, pipeline.CodeSourceTransient)
	down.Store(true)
	done := make(chan error)
	go func() {
		sp, err := f.Fetch(t.Context(), pipeline.Media{URI: "s3://media/a"})
		done <- errors.Join(err, sp.Close())
	}()
	if o := waiting(t, f); o.Origin != s3Origin {
		t.Errorf("the outage is %+v", o)
	}
	down.Store(false)
	if err := <-done; err != nil {
		t.Error(err)
	}
	down.Store(true)
	f.cfg.OutagePatience = time.Millisecond
	_, err := f.Fetch(t.Context(), pipeline.Media{URI: "s3://media/b"})
	wantPlain(t, err, "source.outage_patience")
}

func TestOptOut(t *testing.T) {
	var robots, tdm string
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Robots-Tag", robots)
		w.Header().Set("TDM-Reservation", tdm)
		fmt.Fprint(w, "film")
	})
	f := newFetcher(t, local(t))
	honour := []string{"noai", "noindex", "tdm-reservation"}
	for _, c := range []struct {
		robots, tdm string
		out         bool
	}{
		{"", "", false}, {"noai", "", true}, {"nofollow, NoAI", "", true}, {"none", "", true}, {"noimageai", "", false},
		{"googlebot: noai", "", false}, {"millrace: noai", "", true}, {"googlebot: nofollow, noai", "", false},
		{"unavailable_after: 25 Jun 2026 15:00:00 PST, noai", "", true}, {"all", "1", true}, {"all", "0", false},
	} {
		robots, tdm = c.robots, c.tdm
		m := pipeline.Media{URI: url, Honour: honour}
		if c.out {
			wantFault(t, f, m, pipeline.CodeSourceOptOut)
		} else {
			wantBytes(t, f, m, "film")
		}
		wantBytes(t, f, pipeline.Media{URI: url}, "film")
	}
	if n := f.OptOuts(); n["noai"] != 4 || n["noindex"] != 1 || n["tdm-reservation"] != 1 {
		t.Errorf("counted %v", n)
	}
}

// TestPeace has a host that asks one job for peace: another waits as well.
func TestPeace(t *testing.T) {
	var asked atomic.Int64
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
	})
	f := newFetcher(t, local(t))
	for _, path := range []string{"/a", "/b"} {
		if e := wantFault(t, f, pipeline.Media{URI: url + path}, pipeline.CodeSourceTransient); codecs.AsError(e) == nil || asked.Load() != 1 {
			t.Errorf("%s: asked %d times, %v", path, asked.Load(), e)
		}
	}
}
