package source

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

// realS3 is a reader's configuration for a real server with an empty bucket "media".
func realS3(t *testing.T) (cfg Config, dir string) {
	s := s3test.Start(t)
	cfg = local(t)
	cfg.S3.Endpoint, cfg.S3.PathStyle = s.Config.Endpoint, true
	cfg.S3.AccessKey, cfg.S3.SecretKey = s.Config.AccessKey, pipeline.NewSecret(s.Config.SecretKey.Reveal())
	c, err := newS3Client(cfg.S3)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Transport.CloseIdleConnections()
	if err := c.MakeBucket(t.Context(), "media", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return cfg, filepath.Join(s.Dir, "media")
}

func put(t *testing.T, f *Fetcher, key, text string) minio.UploadInfo {
	t.Helper()
	var info minio.UploadInfo
	var err error
	for range 3 { // the client does not retry, and the server may close an idle connection
		info, err = f.s3.Client.Client.PutObject(t.Context(), "media", key, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
		if err == nil || minio.ToErrorResponse(err).StatusCode != 0 {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if text == "" { // the server takes what ends an empty body for another request
		f.s3.Transport.CloseIdleConnections()
	}
	return info
}

func TestS3(t *testing.T) {
	cfg, dir := realS3(t)
	cfg.S3.MaxBytes = 100
	f := newFetcher(t, cfg)
	key := "a b/ü?x#%41.mp4"
	v1 := put(t, f, key, "film")
	m := pipeline.Media{URI: "s3://media/" + key}
	id := wantBytes(t, f, m, "film")
	if id.URI != m.URI || id.Version != v1.ETag {
		t.Errorf("the identity is %+v; the ETag is %s", id, v1.ETag)
	}
	m.Version = v1.ETag
	wantBytes(t, f, m, "film")
	put(t, f, key, "film 2")
	wantFault(t, f, m, pipeline.CodeSourceChanged)
	m.Version = `"` + v1.ETag + `"`
	wantFault(t, f, m, pipeline.CodeSourceChanged)
	if head, err := f.Peek(t.Context(), pipeline.Media{URI: m.URI}, 3); err != nil || string(head) != "fil" {
		t.Errorf("peeked %q, %v", head, err)
	}

	put(t, f, "empty", "")
	put(t, f, "large", strings.Repeat("x", 101))
	for uri, want := range map[string]codecs.Code{
		"s3://media/nothing":                      pipeline.CodeSourceGone,
		"s3://no-such-bucket/x":                   pipeline.CodeSourceGone,
		"s3://media/empty":                        pipeline.CodeSourceEmpty,
		"s3://media/large":                        pipeline.CodeSourceLimit,
		"s3://media/a b/../a b":                   pipeline.CodeSourceDenied,
		"s3://media/":                             pipeline.CodeSourceDenied,
		"s3://Media/x":                            pipeline.CodeSourceDenied,
		"s3:///x":                                 pipeline.CodeSourceDenied,
		"s3://media/\xff":                         pipeline.CodeSourceDenied,
		"s3://media/" + strings.Repeat("k", 1025): pipeline.CodeSourceDenied,
		"s3://media/%2e%2e/x":                     pipeline.CodeSourceGone, // a literal key
		"s3://media/new\nline":                    pipeline.CodeSourceGone,
	} {
		wantFault(t, f, pipeline.Media{URI: uri}, want)
	}

	allow := cfg
	allow.S3.Allow = []AllowS3{{Bucket: "media", Prefix: "a b", Datasets: []string{"cats"}}, {Bucket: "other"}}
	wantFault(t, newFetcher(t, allow), pipeline.Media{URI: "s3://media/" + key, Dataset: "dogs"}, pipeline.CodeSourceDenied)
	wantBytes(t, newFetcher(t, allow), pipeline.Media{URI: "s3://media/" + key, Dataset: "cats"}, "film 2")
	allow.Dataset = "cats"
	g := newFetcher(t, allow)
	wantBytes(t, g, pipeline.Media{URI: "s3://media/" + key}, "film 2")
	wantFault(t, g, pipeline.Media{URI: "s3://media/empty"}, pipeline.CodeSourceDenied)
	wantFault(t, g, pipeline.Media{URI: "s3://media/a bc"}, pipeline.CodeSourceDenied)

	wrong := cfg
	wrong.S3.SecretKey = pipeline.NewSecret("wrong")
	_, err := newFetcher(t, wrong).Fetch(t.Context(), pipeline.Media{URI: "s3://media/" + key})
	wantPlain(t, err, "source.s3")
	testList(t, f, dir)
}

// testList needs more than one page of keys; files under the server's folder are
// objects to it, and quicker to make.
func testList(t *testing.T, f *Fetcher, dir string) {
	var want []string
	for i := range 1100 {
		want = append(want, fmt.Sprintf("list/%04d.jpg", i*7%1100))
		write(t, filepath.Join(dir, want[i]), "x")
	}
	slices.Sort(want)
	var got []string
	for o, err := range f.List(t.Context(), "media", "list/") {
		if err != nil {
			t.Fatal(err)
		}
		if o.Size != 1 {
			t.Fatalf("%s has the size %d", o.Key, o.Size)
		}
		got = append(got, o.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %d keys, want %d in order", len(got), len(want))
	}
	for range f.List(t.Context(), "media", "list/") {
		break
	}
	for _, err := range f.List(t.Context(), "no-such-bucket", "") {
		wantPlain(t, err, "s3://no-such-bucket/")
	}
}

// fakeS3 answers what a real server of ours can not be brought to say.
func fakeS3(t *testing.T, h http.HandlerFunc) *Fetcher {
	cfg := local(t)
	cfg.S3.Endpoint, cfg.S3.PathStyle, cfg.S3.Anonymous, cfg.S3.Region = serve(t, h), true, true, "us-east-1"
	return newFetcher(t, cfg)
}

func TestS3Refusals(t *testing.T) {
	var asked atomic.Int64
	f := fakeS3(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return // it works, whatever it says about an object
		}
		asked.Add(1)
		var status int
		var code string
		fmt.Sscanf(strings.TrimPrefix(r.URL.Path, "/media/"), "%d/%s", &status, &code)
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
	})
	for key, want := range map[string]struct {
		code  codecs.Code // "" for a plain error
		tries int64
	}{
		"403/InvalidObjectState": {pipeline.CodeSourceArchived, 1}, "403/AccessDenied": {pipeline.CodeSourceDenied, 1},
		"405/MethodNotAllowed": {pipeline.CodeSourceGone, 1}, "404/NoSuchVersion": {pipeline.CodeSourceGone, 1},
		"412/PreconditionFailed": {pipeline.CodeSourceChanged, 1}, "400/InvalidArgument": {pipeline.CodeSourceProtocol, 1},
		"503/SlowDown": {pipeline.CodeSourceTransient, 3}, "500/InternalError": {pipeline.CodeSourceTransient, 3}, "429/TooMany": {pipeline.CodeSourceTransient, 3},
		"403/InvalidAccessKeyId": {"", 1}, "403/SignatureDoesNotMatch": {"", 1}, "400/ExpiredToken": {"", 3}, "403/RequestTimeTooSkewed": {"", 3}, // read anew each time
	} {
		asked.Store(0)
		m := pipeline.Media{URI: "s3://media/" + key}
		if want.code != "" {
			wantFault(t, f, m, want.code)
		} else {
			_, err := f.Fetch(t.Context(), m)
			wantPlain(t, err, "source.s3")
		}
		if asked.Load() != want.tries {
			t.Errorf("%s: asked %d times, want %d", key, asked.Load(), want.tries)
		}
	}
}

func TestS3Versions(t *testing.T) {
	const tag = "0123456789abcdef0123456789abcdef"
	var cut atomic.Bool
	f := fakeS3(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:05:05 GMT")
		w.Header().Set("ETag", `"`+tag+`"`) // and If-Match is ignored
		if v := r.URL.Query().Get("versionId"); v != "" {
			w.Header().Set("X-Amz-Version-Id", v)
		}
		if cut.Swap(false) {
			w.Header().Set("Content-Length", "4")
			fmt.Fprint(w, "fi")
			return
		}
		fmt.Fprint(w, "film")
	})
	m := pipeline.Media{URI: "s3://media/a"}
	cut.Store(true)
	if id := wantBytes(t, f, m, "film"); id.Version != tag {
		t.Errorf("the version is %q", id.Version)
	}
	m.Version = "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxvjVBH40Nr8X8gdRQBpUMLUo"
	if id := wantBytes(t, f, m, "film"); id.Version != m.Version {
		t.Errorf("the version is %q", id.Version)
	}
	m.Version = strings.Repeat("1", 32)
	wantFault(t, f, m, pipeline.CodeSourceChanged)
}

func TestNoCredentials(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/") // no role here either
	_, err := newFetcher(t, local(t)).Fetch(t.Context(), pipeline.Media{URI: "s3://media/a"})
	wantPlain(t, err, "no credentials")
}
