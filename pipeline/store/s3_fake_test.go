package store_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/s3"
	"github.com/millrace/millrace/pipeline/store"
)

// s3Fake is a server that answers as a test says, for what a well-behaved one never
// does.
type s3Fake struct {
	mu       sync.Mutex
	requests []string
	header   http.Header // of the last request
	answer   http.HandlerFunc
}

func (f *s3Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Method == http.MethodHead && strings.Count(strings.Trim(r.URL.Path, "/"), "/") == 0 {
		return // the bucket is there
	}
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.RawQuery)
	f.header = r.Header.Clone()
	f.mu.Unlock()
	f.answer(w, r)
}

func (f *s3Fake) open(t *testing.T) *store.S3 {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s, err := store.OpenS3(t.Context(), "bucket", "p", store.Config{Access: s3.Access{Endpoint: server.URL, PathStyle: true, AccessKey: "a", SecretKey: pipeline.NewSecret("b")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func xmlError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>said the server</Message></Error>", code)
}

// hangUp cuts the connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// TestS3CreateOutcomes: one request, and what each answer to it means.
func TestS3CreateOutcomes(t *testing.T) {
	for _, c := range []struct {
		name      string
		answer    func(w http.ResponseWriter)
		want      error
		permanent bool
	}{
		{"200", func(w http.ResponseWriter) { w.Header().Set("ETag", `"x"`) }, nil, false},
		{"412", func(w http.ResponseWriter) { xmlError(w, 412, "PreconditionFailed") }, store.ErrExists, true},
		{"412 without a body", func(w http.ResponseWriter) { w.WriteHeader(412) }, store.ErrExists, true},
		{"409", func(w http.ResponseWriter) { xmlError(w, 409, "ConditionalRequestConflict") }, store.ErrConflict, false},
		{"409 without a body", func(w http.ResponseWriter) { w.WriteHeader(409) }, store.ErrConflict, false},
		{"403", func(w http.ResponseWriter) { xmlError(w, 403, "AccessDenied") }, store.ErrDenied, true},
		{"no bucket", func(w http.ResponseWriter) { xmlError(w, 404, "NoSuchBucket") }, store.ErrInvalid, true},
		{"not implemented", func(w http.ResponseWriter) { xmlError(w, 501, "NotImplemented") }, store.ErrInvalid, true},
		{"501 by a proxy", func(w http.ResponseWriter) { w.WriteHeader(501) }, store.ErrUnknown, false},
		{"digest", func(w http.ResponseWriter) { xmlError(w, 400, "BadDigest") }, store.ErrCorrupt, false},
		{"500", func(w http.ResponseWriter) { xmlError(w, 500, "InternalError") }, store.ErrUnknown, false},
		{"502 by a proxy", func(w http.ResponseWriter) { w.WriteHeader(502) }, store.ErrUnknown, false},
		{"503", func(w http.ResponseWriter) { xmlError(w, 503, "ServiceUnavailable") }, store.ErrUnknown, false},
		{"408", func(w http.ResponseWriter) { xmlError(w, 408, "RequestTimeout") }, store.ErrUnknown, false},
		{"499", func(w http.ResponseWriter) { w.WriteHeader(499) }, store.ErrUnknown, false},
		{"hung up", hangUp, store.ErrUnknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &s3Fake{answer: func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }}
			err := f.open(t).Create(t.Context(), "k", []byte("data"))
			if (err == nil) != (c.want == nil) || !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if store.IsPermanent(err) != c.permanent {
				t.Errorf("%v: permanent is not %v", err, c.permanent)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.requests) != 1 {
				t.Errorf("it sent %q; a create is one request", f.requests)
			}
			if header := f.header; header.Get("If-None-Match") != "*" || header.Get("X-Amz-Checksum-Sha256") == "" || len(header.Get("X-Amz-Content-Sha256")) != 64 {
				t.Errorf("the request's headers are %v", header)
			}
		})
	}
}

// TestS3CreateCancelled: the reply never comes, and the caller gives up.
func TestS3CreateCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &s3Fake{answer: func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }}
	err := f.open(t).Create(ctx, "k", []byte("data"))
	if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestS3GetLies: bodies that are not what was asked for are never passed off as it.
func TestS3GetLies(t *testing.T) {
	const data = "0123456789"
	head := func(w http.ResponseWriter, length int, contentRange string) {
		w.Header().Set("Last-Modified", "Tue, 24 Nov 2026 12:00:00 GMT")
		w.Header().Set("ETag", `"x"`)
		if length >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(length))
		}
		if contentRange != "" {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(206)
		}
	}
	for _, c := range []struct {
		name           string
		offset, length int64
		answer         func(w http.ResponseWriter)
		want           string // the data, or a part of the error
		fails          bool
	}{
		{"whole", 0, -1, func(w http.ResponseWriter) { head(w, 10, ""); _, _ = io.WriteString(w, data) }, data, false},
		{"part", 2, 3, func(w http.ResponseWriter) { head(w, 3, "bytes 2-4/10"); _, _ = io.WriteString(w, "234") }, "234", false},
		{"rest", 7, -1, func(w http.ResponseWriter) { head(w, 3, "bytes 7-9/10"); _, _ = io.WriteString(w, "789") }, "789", false},
		{"cut", 0, -1, func(w http.ResponseWriter) { head(w, 10, ""); _, _ = io.WriteString(w, "0123") }, "ended 6 bytes early", true},
		{"chunked, no length", 0, -1, func(w http.ResponseWriter) {
			head(w, -1, "")
			_, _ = io.WriteString(w, data)
			w.(http.Flusher).Flush()
		}, "does not say how long", true},
		{"cut part, chunked", 2, 3, func(w http.ResponseWriter) {
			head(w, -1, "bytes 2-4/10")
			_, _ = io.WriteString(w, "2")
			w.(http.Flusher).Flush()
		}, "ended 2 bytes early", true},
		{"range ignored", 2, 3, func(w http.ResponseWriter) { head(w, 10, ""); _, _ = io.WriteString(w, data) }, "answered with the range", true},
		{"other range", 2, 3, func(w http.ResponseWriter) { head(w, 3, "bytes 3-5/10"); _, _ = io.WriteString(w, "345") }, "answered with the range", true},
		{"more range", 2, 3, func(w http.ResponseWriter) { head(w, 4, "bytes 2-5/10"); _, _ = io.WriteString(w, "2345") }, "more than was asked for", true},
		{"less of the rest", 2, -1, func(w http.ResponseWriter) { head(w, 3, "bytes 2-4/10"); _, _ = io.WriteString(w, "234") }, "not all that is left", true},
		{"range past the end", 8, 5, func(w http.ResponseWriter) { head(w, 2, "bytes 8-9/10"); _, _ = io.WriteString(w, "89") }, "not inside the object", true},
		{"more bytes than the range", 2, 3, func(w http.ResponseWriter) {
			head(w, -1, "bytes 2-4/10")
			_, _ = io.WriteString(w, "234567")
			w.(http.Flusher).Flush()
		}, "more bytes came", true},
		{"error page as 200", 2, 3, func(w http.ResponseWriter) { head(w, -1, ""); _, _ = io.WriteString(w, "<html>sorry</html>") }, "answered with the range", true},
		{"500", 0, -1, func(w http.ResponseWriter) { xmlError(w, 500, "InternalError") }, "said the server", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &s3Fake{answer: func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }}
			rc, _, err := f.open(t).Get(t.Context(), "k", c.offset, c.length)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(rc)
				_ = rc.Close()
			}
			if c.fails {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"k"`) {
					t.Errorf("got %q, %v; want an error with %q", got, err, c.want)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestS3NoCredentials: without credentials nothing is opened, least of all
// anonymously.
func TestS3NoCredentials(t *testing.T) {
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
	} {
		t.Setenv(name, "")
	}
	nowhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(nowhere.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", nowhere.URL)
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	f := &s3Fake{answer: func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("an anonymous request is signed")
		}
		xmlError(w, 404, "NoSuchKey")
	}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	cfg := store.Config{Access: s3.Access{Endpoint: server.URL, PathStyle: true}}
	if _, err := store.OpenS3(t.Context(), "bucket", "", cfg); err == nil || !strings.Contains(err.Error(), "no credentials were found") {
		t.Errorf("got %v", err)
	}
	if len(f.requests) != 0 {
		t.Errorf("without credentials it sent %q", f.requests)
	}
	cfg.Anonymous = true
	s, err := store.OpenS3(t.Context(), "bucket", "", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), "k"); !store.IsNotFound(err) {
		t.Errorf("anonymously: %v", err)
	}
	_ = s.Close()
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, "[default]\naws_access_key_id=fromfile\naws_secret_access_key=x\n"))
	t.Setenv("AWS_ACCESS_KEY_ID", "fromenv")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	t.Setenv("AWS_SESSION_TOKEN", "tokenfromenv")
	for _, c := range []struct {
		cfg  store.Config
		key  string
		want string // session token
	}{
		{store.Config{Access: s3.Access{AccessKey: "static", SecretKey: pipeline.NewSecret("x"), SessionToken: pipeline.NewSecret("tok")}}, "static", "tok"},
		{store.Config{}, "fromenv", "tokenfromenv"},
		{store.Config{Access: s3.Access{Profile: "default"}}, "fromfile", ""},
	} {
		f.answer = func(w http.ResponseWriter, _ *http.Request) { xmlError(w, 404, "NoSuchKey") }
		c.cfg.Endpoint, c.cfg.PathStyle = server.URL, true
		s, err := store.OpenS3(t.Context(), "bucket", "", c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Stat(t.Context(), "k")
		_ = s.Close()
		f.mu.Lock()
		auth, token := f.header.Get("Authorization"), f.header.Get("X-Amz-Security-Token")
		f.mu.Unlock()
		if !strings.Contains(auth, "Credential="+c.key+"/") || token != c.want {
			t.Errorf("%+v: signed %q with the token %q", c.cfg, auth, token)
		}
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestS3BucketMissing: the words for a bucket that is not there.
func TestS3BucketMissing(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }))
	t.Cleanup(server.Close)
	_, err := store.OpenS3(t.Context(), "bucket", "", store.Config{Access: s3.Access{Endpoint: server.URL, PathStyle: true, AccessKey: "a", SecretKey: pipeline.NewSecret("b")}})
	if err == nil || !strings.Contains(err.Error(), "create_bucket") {
		t.Errorf("got %v", err)
	}
}

// TestS3CompletionReplyLost: the server knows no such upload, since it has become the
// object already, or since somebody aborted it.
func TestS3CompletionReplyLost(t *testing.T) {
	body := store.BytesBody(slices.Repeat([]byte("0123456789abcdef"), 1<<20+1)) // just over one part
	for _, arrives := range []bool{true, false} {
		f := &s3Fake{}
		f.answer = func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			switch {
			case r.Method == http.MethodPost && q.Has("uploads"):
				_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>p/k</Key><UploadId>U</UploadId></InitiateMultipartUploadResult>")
			case r.Method == http.MethodPut:
				w.Header().Set("ETag", `"part"`)
			case r.Method == http.MethodPost, r.Method == http.MethodDelete:
				xmlError(w, 404, "NoSuchUpload") // a completion before it was answered into the void
			case r.Method == http.MethodHead && arrives:
				w.Header().Set("Last-Modified", "Tue, 24 Nov 2026 12:00:00 GMT")
				w.Header().Set("Content-Length", fmt.Sprint(body.Size))
				w.Header().Set("x-amz-checksum-crc32c", base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, body.CRC32C)))
				w.Header().Set("x-amz-checksum-type", "FULL_OBJECT")
			default:
				xmlError(w, 404, "NoSuchKey")
			}
		}
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		s, err := store.OpenS3(t.Context(), "bucket", "p", store.Config{Access: s3.Access{Endpoint: server.URL, PathStyle: true, AccessKey: "a", SecretKey: pipeline.NewSecret("b")}, PartSize: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), "k", body); (err == nil) != arrives {
			t.Errorf("the object arrived %v: put says %v\n%q", arrives, err, f.requests)
		}
		_ = s.Close()
	}
}
