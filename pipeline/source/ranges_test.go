package source

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// ranger serves one medium with ranges, and counts.
type ranger struct {
	content        io.ReadSeeker
	mu             sync.Mutex
	etag           string
	modified       time.Time
	requests, sent atomic.Int64
}

type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func (s *ranger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.Add(1)
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	http.ServeContent(counting{w, &s.sent}, r, "a.mp4", s.modified, s.content)
}

// set changes the medium's version.
func (s *ranger) set(etag string, modified time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.etag, s.modified = etag, modified
}

func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	return string(b)
}

func openRanges(t *testing.T, f *Fetcher, m pipeline.Media) *Ranges {
	t.Helper()
	r, err := f.OpenRanges(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func wantCode(t *testing.T, err error, want codecs.Code) {
	t.Helper()
	if e := codecs.AsError(err); e == nil || e.Code != want || e.Stage != codecs.StageFetch {
		t.Errorf("got %v; want %s", err, want)
	}
}

func TestRanges(t *testing.T) {
	text := noise(5*rangeBlock + 1234)
	for name, s := range map[string]*ranger{
		"by ETag": {etag: `"v1"`}, "by time": {modified: time.Now().Add(-time.Hour)},
		"by time, with a weak ETag": {etag: `W/"v1"`, modified: time.Now().Add(-time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			s.content = strings.NewReader(text)
			f := newFetcher(t, local(t))
			url := serve(t, s.ServeHTTP)
			r := openRanges(t, f, pipeline.Media{URI: url + "/a.mp4?sig=secret"})
			if id := r.ID(); id.URI != url+"/a.mp4" || id.Bytes != int64(len(text)) || id.SHA256 != "" || (id.Version == "v1") != (s.etag == `"v1"`) {
				t.Errorf("the identity is %+v", id)
			}
			if err := iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), []byte(text)); err != nil {
				t.Error(err)
			}
			p := make([]byte, 100)
			if n, err := r.ReadAt(p, r.Size()-50); n != 50 || err != io.EOF || string(p[:n]) != text[len(text)-50:] {
				t.Errorf("at the end: %d, %v", n, err)
			}
			if n, err := r.ReadAt(p, r.Size()+1); n != 0 || err != io.EOF {
				t.Errorf("behind the end: %d, %v", n, err)
			}
			if _, err := r.ReadAt(p, -1); err == nil {
				t.Error("before the beginning: no error")
			}
			if r.Asked() != r.Size() || s.sent.Load() != r.Size() {
				t.Errorf("%d bytes were asked for, %d sent; the medium has %d, all in the cache", r.Asked(), s.sent.Load(), r.Size())
			}
			if s.set(`"v2"`, time.Now().Add(-time.Minute)); s.etag == "" {
				t.Fatal("no ETag")
			}
			r.blocks, r.next = nil, -1 // the cache is lost
			_, err := r.ReadAt(p, 0)
			wantCode(t, err, pipeline.CodeSourceChanged)
		})
	}
}

// sparse is a large file of zeros with something in it.
func sparse(t *testing.T, size int64, at int64, text string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(text), at)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestRangesSparsePick walks an MP4 whose moov box stands at its end, and reads one
// sample near the end: what is between is not fetched.
func TestRangesSparsePick(t *testing.T) {
	const size = 256 << 20
	moov := "\x00\x01\x00\x00moov" + strings.Repeat("m", 1<<16-8)
	file := sparse(t, size, size-int64(len(moov)), moov)
	const ftyp = "\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41"
	mdat := binary.BigEndian.AppendUint64([]byte(ftyp+"\x00\x00\x00\x01mdat"), uint64(size-len(ftyp)-len(moov)))
	const frame = "the last frame"
	for at, text := range map[int64]string{0: string(mdat), size - int64(len(moov)) - 1000: frame} {
		if _, err := file.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	s := &ranger{content: file, etag: `"v1"`}
	r := openRanges(t, newFetcher(t, local(t)), pipeline.Media{URI: serve(t, s.ServeHTTP)})
	var head [16]byte
	at := int64(0)
	for string(head[4:8]) != "moov" {
		if _, err := r.ReadAt(head[:], at); err != nil {
			t.Fatal(err)
		}
		switch n := int64(binary.BigEndian.Uint32(head[:])); {
		case string(head[4:8]) == "moov":
		case n == 1:
			at += int64(binary.BigEndian.Uint64(head[8:]))
		default:
			at += n
		}
	}
	got, err := io.ReadAll(io.NewSectionReader(r, at, r.Size()-at))
	if err != nil || string(got) != moov {
		t.Errorf("the moov box has %d bytes, %v", len(got), err)
	}
	got, err = io.ReadAll(io.NewSectionReader(r, at-1000, int64(len(frame))))
	if err != nil || string(got) != frame {
		t.Errorf("the frame is %q, %v", got, err)
	}
	if sent := s.sent.Load(); sent*50 > size || sent != r.Asked() {
		t.Errorf("%d of %d bytes were sent, in %d requests (%d asked for)", sent, size, s.requests.Load(), r.Asked())
	}
	t.Logf("%d of %d bytes (%.2f %%), %d requests", s.sent.Load(), size, 100*float64(s.sent.Load())/size, s.requests.Load())
}

func TestRangesReadAhead(t *testing.T) {
	const size = 64 << 20
	s := &ranger{content: sparse(t, size, size-3, "end"), etag: `"v1"`}
	r := openRanges(t, newFetcher(t, local(t)), pipeline.Media{URI: serve(t, s.ServeHTTP)})
	p := make([]byte, 10_000)
	for at := int64(0); at < size; at += int64(len(p)) {
		if _, err := r.ReadAt(p, at); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	if n := s.requests.Load(); n > 25 || r.Asked() != size {
		t.Errorf("%d requests for %d bytes, of which there are %d", n, r.Asked(), size)
	}
	if n := r.recent.Len(); n > rangeCache/rangeBlock || n != len(r.blocks) {
		t.Errorf("%d blocks are kept, %d known", n, len(r.blocks))
	}
}

// TestRangesReread reads to and fro with a cache that is too small for it.
func TestRangesReread(t *testing.T) {
	s := &ranger{content: strings.NewReader(noise(8 * rangeBlock)), etag: `"v1"`}
	r := openRanges(t, newFetcher(t, local(t)), pipeline.Media{URI: serve(t, s.ServeHTTP)})
	r.cache = rangeBlock
	var err error
	for i := 0; err == nil; i++ {
		_, err = r.ReadAt(make([]byte, 1), int64(i*5%8)*rangeBlock)
	}
	wantCode(t, err, pipeline.CodeSourceLimit)
	if sent := s.sent.Load(); sent > 3*r.Size() || sent < 2*r.Size() {
		t.Errorf("%d bytes were sent of a medium of %d", sent, r.Size())
	}
}

// TestRangesAnswers has servers that answer ranges in every wrong way, first at once and
// then after a good first range.
func TestRangesAnswers(t *testing.T) {
	const size = 4 * rangeBlock
	head := func(w http.ResponseWriter, status int, tag, span string, length int) {
		w.Header().Set("ETag", tag)
		if span != "" {
			w.Header().Set("Content-Range", span)
		}
		w.Header().Set("Content-Length", fmt.Sprint(length))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Repeat("x", length))
	}
	good := func(from int) string { return fmt.Sprintf("bytes %d-%d/%d", from, from+rangeBlock-1, size) }
	for name, c := range map[string]struct {
		answer      func(w http.ResponseWriter, from int)
		first, then codecs.Code // "" for ErrNoRanges
	}{
		"the whole":       {func(w http.ResponseWriter, _ int) { head(w, 200, `"v1"`, "", size) }, "", pipeline.CodeSourceProtocol},
		"the whole, anew": {func(w http.ResponseWriter, _ int) { head(w, 200, `"v2"`, "", size) }, "", pipeline.CodeSourceChanged},
		"another range":   {func(w http.ResponseWriter, from int) { head(w, 206, `"v1"`, good(from+rangeBlock), rangeBlock) }, pipeline.CodeSourceProtocol, pipeline.CodeSourceProtocol},
		"less of it": {func(w http.ResponseWriter, from int) {
			head(w, 206, `"v1"`, fmt.Sprintf("bytes %d-%d/%d", from, from+9, size), 10)
		}, pipeline.CodeSourceProtocol, pipeline.CodeSourceProtocol},
		"no range": {func(w http.ResponseWriter, _ int) { head(w, 206, `"v1"`, "", rangeBlock) }, pipeline.CodeSourceProtocol, pipeline.CodeSourceProtocol},
		"an unknown size": {func(w http.ResponseWriter, from int) {
			head(w, 206, `"v1"`, fmt.Sprintf("bytes %d-%d/*", from, from+rangeBlock-1), rangeBlock)
		}, pipeline.CodeSourceProtocol, pipeline.CodeSourceProtocol},
		"a lying length": {func(w http.ResponseWriter, from int) { head(w, 206, `"v1"`, good(from), 10) }, pipeline.CodeSourceProtocol, pipeline.CodeSourceProtocol},
		"a huge size": {func(w http.ResponseWriter, from int) {
			head(w, 206, `"v1"`, fmt.Sprintf("bytes %d-%d/%d", from, from+rangeBlock-1, int64(1)<<62), rangeBlock)
		}, pipeline.CodeSourceLimit, pipeline.CodeSourceChanged},
		"another version": {func(w http.ResponseWriter, from int) { head(w, 206, `"v2"`, good(from), rangeBlock) }, "no fault", pipeline.CodeSourceChanged},
		"a weak version":  {func(w http.ResponseWriter, from int) { head(w, 206, `W/"v1"`, good(from), rangeBlock) }, "", pipeline.CodeSourceChanged},
		"412":             {func(w http.ResponseWriter, _ int) { head(w, 412, `"v2"`, "", 0) }, pipeline.CodeSourceChanged, pipeline.CodeSourceChanged},
		"416":             {func(w http.ResponseWriter, _ int) { head(w, 416, `"v1"`, "bytes */3", 0) }, pipeline.CodeSourceProtocol, pipeline.CodeSourceChanged},
		"416 of nothing":  {func(w http.ResponseWriter, _ int) { head(w, 416, `"v1"`, "bytes */0", 0) }, pipeline.CodeSourceEmpty, pipeline.CodeSourceChanged},
		"an encoding": {func(w http.ResponseWriter, from int) {
			w.Header().Set("Content-Encoding", "gzip")
			head(w, 206, `"v1"`, good(from), rangeBlock)
		}, pipeline.CodeSourceProtocol, pipeline.CodeSourceProtocol},
		"404": {func(w http.ResponseWriter, _ int) { head(w, 404, "", "", 0) }, pipeline.CodeSourceGone, pipeline.CodeSourceGone},
		"500": {func(w http.ResponseWriter, _ int) { head(w, 500, "", "", 0) }, pipeline.CodeSourceTransient, pipeline.CodeSourceTransient},
		"it keeps breaking off": {func(w http.ResponseWriter, from int) {
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Content-Range", good(from))
			w.Header().Set("Content-Length", fmt.Sprint(rangeBlock))
			w.WriteHeader(206)
			_, _ = io.WriteString(w, "x")
		}, pipeline.CodeSourceTransient, pipeline.CodeSourceTransient},
		"it is withheld": {func(w http.ResponseWriter, from int) {
			w.Header().Set("X-Robots-Tag", "noai")
			head(w, 206, `"v1"`, good(from), rangeBlock)
		}, pipeline.CodeSourceOptOut, pipeline.CodeSourceOptOut},
	} {
		t.Run(name, func(t *testing.T) {
			var fine atomic.Bool
			f := newFetcher(t, local(t))
			m := pipeline.Media{Honour: []string{"noai"}, URI: serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					return // the host works
				}
				var from int
				_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
				if fine.Load() {
					head(w, 206, `"v1"`, good(from), rangeBlock)
				} else {
					c.answer(w, from)
				}
			})}
			r, err := f.OpenRanges(t.Context(), m)
			switch {
			case c.first == "no fault" && err == nil:
				r.Close()
			case c.first == "":
				if !errors.Is(err, ErrNoRanges) {
					t.Errorf("at once: %v; want ErrNoRanges", err)
				}
			default:
				wantCode(t, err, c.first)
			}
			fine.Store(true)
			r = openRanges(t, f, m)
			fine.Store(false)
			_, err = r.ReadAt(make([]byte, 1), 2*rangeBlock)
			wantCode(t, err, c.then)
			fine.Store(true)
			if _, err := r.ReadAt(make([]byte, 1), 2*rangeBlock); err != nil {
				t.Errorf("once it answers well again: %v", err)
			}
		})
	}
}

// TestRangesNotFor has what can not be read in ranges.
func TestRangesNotFor(t *testing.T) {
	cfg := local(t)
	cfg.AllowFiles = true
	f := newFetcher(t, cfg)
	fresh := &ranger{content: strings.NewReader("film"), modified: time.Now()}
	for name, m := range map[string]pipeline.Media{
		"inline bytes": {Data: []byte("film")}, "a file": {URI: "/a.mp4"}, "a digest to check": {URI: "http://127.0.0.1/a", SHA256: strings.Repeat("1", 64)},
		"a medium of this very second": {URI: serve(t, fresh.ServeHTTP)},
	} {
		if _, err := f.OpenRanges(t.Context(), m); !errors.Is(err, ErrNoRanges) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := newFetcher(t, denying(t)).OpenRanges(t.Context(), pipeline.Media{URI: serve(t, fresh.ServeHTTP)})
	wantCode(t, err, pipeline.CodeSourceDenied)
}

func TestRangesOfObjects(t *testing.T) {
	cfg, _ := realS3(t)
	f := newFetcher(t, cfg)
	text := noise(3*rangeBlock + 77)
	v1 := put(t, f, "a.mp4", text)
	m := pipeline.Media{URI: "s3://media/a.mp4"}
	r := openRanges(t, f, m)
	if id := r.ID(); id.Bytes != int64(len(text)) || id.Version != v1.ETag || id.URI != m.URI {
		t.Errorf("the identity is %+v", id)
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || string(got) != text || r.Asked() != r.Size() {
		t.Errorf("read %d bytes, %v; %d were asked for", len(got), err, r.Asked())
	}
	r = openRanges(t, f, m)
	put(t, f, "a.mp4", strings.ToUpper(text))
	_, err = r.ReadAt(make([]byte, 1), 2*rangeBlock)
	wantCode(t, err, pipeline.CodeSourceChanged)
	put(t, f, "a.mp4", "short")
	_, err = r.ReadAt(make([]byte, 1), 2*rangeBlock)
	wantCode(t, err, pipeline.CodeSourceChanged)
	m.Version = v1.ETag
	_, err = f.OpenRanges(t.Context(), m)
	wantCode(t, err, pipeline.CodeSourceChanged)
	put(t, f, "empty", "")
	_, err = f.OpenRanges(t.Context(), pipeline.Media{URI: "s3://media/empty"})
	wantCode(t, err, pipeline.CodeSourceEmpty)
	_, err = f.OpenRanges(t.Context(), pipeline.Media{URI: "s3://media/none"})
	wantCode(t, err, pipeline.CodeSourceGone)
}

// TestFetchOrOpen opens what is large and sparse, and fetches all else.
func TestFetchOrOpen(t *testing.T) {
	text := noise(3 * rangeBlock)
	good := &ranger{content: strings.NewReader(text), etag: `"v1"`}
	none := &ranger{content: strings.NewReader(text), modified: time.Now().Add(time.Hour)} // no validator that holds
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	for name, c := range map[string]struct {
		server   *ranger
		from     int64
		sparse   bool
		sha256   string
		opened   bool
		requests int64 // at most
	}{
		"large and sparse":        {good, 3 * rangeBlock, true, "", true, 2},
		"not sparse":              {good, 1, false, "", false, 1},
		"small":                   {good, 3*rangeBlock + 1, true, "", false, 1},
		"with a digest":           {good, 1, true, sum, false, 1},
		"a server without ranges": {none, 1, true, "", false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := local(t)
			cfg.RangesFrom = c.from
			before := c.server.requests.Load()
			s, r, err := newFetcher(t, cfg).FetchOrOpen(t.Context(), pipeline.Media{URI: serve(t, c.server.ServeHTTP), Sparse: c.sparse, SHA256: c.sha256})
			if err != nil || (r != nil) != c.opened || (s != nil) == c.opened {
				t.Fatalf("it gives %v, %v, %v", s, r, err)
			}
			if r != nil {
				r.Close()
			} else {
				if s.ID.SHA256 != sum {
					t.Errorf("what was fetched has the digest %s", s.ID.SHA256)
				}
				s.Close()
			}
			if n := c.server.requests.Load() - before; n > c.requests {
				t.Errorf("it took %d requests", n)
			}
		})
	}
	s, r, err := newFetcher(t, local(t)).FetchOrOpen(t.Context(), pipeline.Media{URI: serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }), Sparse: true})
	if s != nil || r != nil {
		t.Errorf("what is gone gives %v, %v", s, r)
	}
	wantCode(t, err, pipeline.CodeSourceGone)
}
