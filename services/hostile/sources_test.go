package hostile

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/source"
)

// fetcher reads from servers on this machine.
func fetcher(t *testing.T, change func(*source.Config)) *source.Fetcher {
	t.Helper()
	cfg := source.DefaultConfig()
	cfg.Dir, cfg.AllowPrivate, cfg.Backoff, cfg.Tries = t.TempDir(), true, time.Millisecond, 2
	change(&cfg)
	f, err := source.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// A film whose moov stands at its end, from a server that knows no ranges, is read whole,
// up to what may be; a page of HTML that is sent as a film is refused by its first bytes.
func TestFilmsOverHTTP(t *testing.T) {
	film := load(t)("videos/h264_nob.mp4")
	if find(film, "moov") < find(film, "mdat") {
		t.Fatal("its moov stands at the beginning")
	}
	for _, c := range []struct {
		row      string
		body     []byte
		most     int64
		code     codecs.Code // "" for samples
		stage    codecs.Stage
		announce bool // its length
	}{
		{"moov at the end, without ranges", film, 1 << 20, "", "", true},
		{"moov at the end, without ranges or a length", film, 1 << 20, "", "", false},
		{"moov at the end, behind what may be read", film, int64(len(film)) - 1, pipeline.CodeSourceLimit, codecs.StageFetch, false},
		{"HTML as a film, with status 200", []byte("<!DOCTYPE html><html><body>Sign in</body></html>"), 1 << 20, codecs.CodeFormatDenied, codecs.StageProbe, true},
	} {
		t.Run(c.row, func(t *testing.T) {
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "video/mp4")
				w.Header().Set("Accept-Ranges", "none")
				if c.announce {
					w.Header().Set("Content-Length", fmt.Sprint(len(c.body)))
				}
				_, _ = w.Write(c.body[:len(c.body)/2])
				w.(http.Flusher).Flush()
				_, _ = w.Write(c.body[len(c.body)/2:])
			})
			f := fetcher(t, func(cfg *source.Config) { cfg.MaxBytes = c.most })
			sp, err := f.Fetch(t.Context(), pipeline.Media{URI: address + "/film.mp4"})
			if c.stage == codecs.StageFetch {
				wantRefusal(t, err, c.code, c.stage)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer sp.Close()
			var n counter
			v, err := newPool(t, 1, nil).Do(t.Context(), &mill.Assignment{Job: &pipeline.Job{ID: "j", Dataset: "hostile", Media: []pipeline.Media{{Type: "video/mp4"}}},
				Recipe: parse(t, everything), Sources: []pipeline.SourceID{sp.ID}, Files: []*os.File{sp.File}}, &n)
			switch {
			case err != nil:
				t.Fatal(err)
			case c.code == "" && (v.Fault != nil || n.samples == 0):
				t.Errorf("%d samples, %+v", n.samples, v.Fault)
			case c.code != "" && (v.Fault == nil || v.Fault.Code != string(c.code) || v.Fault.Stage != string(c.stage)):
				t.Errorf("%+v; want %s at %s", v.Fault, c.code, c.stage)
			}
		})
	}
}

func wantRefusal(t *testing.T, err error, code codecs.Code, stage codecs.Stage) {
	t.Helper()
	if e := codecs.AsError(err); e == nil || e.Code != code || e.Stage != stage || e.Detail == "" {
		t.Errorf("%v; want %s at %s", err, code, stage)
	}
}

// What an object store refuses is told by its answer; keys are taken as they are written.
func TestObjects(t *testing.T) {
	const answer = "<Error><Code>%s</Code><Message>%s</Message></Error>"
	long := strings.Repeat("k", 1024)
	for _, c := range []struct {
		row    string
		key    string
		status int
		says   string
		code   codecs.Code // "" for the object
	}{
		{"the key that it is encrypted with is denied", "a", 403, fmt.Sprintf(answer, "AccessDenied", "User is not authorized to perform: kms:Decrypt"), pipeline.CodeSourceDenied},
		{"the key that it is encrypted with is disabled", "a", 400, fmt.Sprintf(answer, "KMS.DisabledException", "The key is disabled"), pipeline.CodeSourceProtocol},
		{"another tenant's bucket", "a", 403, fmt.Sprintf(answer, "AccessDenied", "Access Denied"), pipeline.CodeSourceDenied},
		{"an archived class", "a", 403, fmt.Sprintf(answer, "InvalidObjectState", "The operation is not valid for the object's storage class"), pipeline.CodeSourceArchived},
		{"a delete marker", "a", 404, fmt.Sprintf(answer, "NoSuchKey", "The specified key does not exist."), pipeline.CodeSourceGone},
		{"a key of 1024 bytes", long, 200, "film", ""},
		{"a key of 1025 bytes", long + "k", 200, "film", pipeline.CodeSourceDenied},
		{"a key with a new line", "a\nb", 200, "film", ""},
		{"a key with %2e%2e in it", "%2e%2e/a", 200, "film", ""},
		{"a key with .. in it", "../a", 200, "film", pipeline.CodeSourceDenied},
	} {
		t.Run(c.row, func(t *testing.T) {
			var mu sync.Mutex
			asked := map[string]bool{}
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				path, err := url.PathUnescape(r.URL.EscapedPath())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				asked[strings.TrimPrefix(path, "/media/")] = true
				mu.Unlock()
				w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
				w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:05:05 GMT")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.says)
			})
			f := fetcher(t, func(cfg *source.Config) {
				cfg.S3.Endpoint, cfg.S3.PathStyle, cfg.S3.Anonymous, cfg.S3.Region = address, true, true, "us-east-1"
			})
			sp, err := f.Fetch(t.Context(), pipeline.Media{URI: "s3://media/" + c.key})
			if err == nil {
				sp.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			if c.code != "" {
				wantRefusal(t, err, c.code, codecs.StageFetch)
			} else if err != nil || len(asked) != 1 || !asked[c.key] {
				t.Errorf("%v; the server was asked for %v", err, asked)
			}
			if c.status == 200 && c.code != "" && len(asked) > 0 {
				t.Errorf("the server was asked for %v", asked)
			}
		})
	}
}

// A file that grows while it is read is refused.
func TestGrowingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "film.mp4")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(64 << 20); err != nil { // so that it takes a while
		t.Fatal(err)
	}
	if _, err := file.Seek(64<<20, 0); err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(end)
	wg.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
				_, _ = file.WriteString("more")
			}
		}
	})
	_, err = fetcher(t, func(cfg *source.Config) { cfg.AllowFiles = true }).Fetch(t.Context(), pipeline.Media{URI: path})
	wantRefusal(t, err, pipeline.CodeSourceChanged, codecs.StageFetch)
}
