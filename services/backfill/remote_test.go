package backfill

import (
	"archive/zip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

func TestHTTPSources(t *testing.T) {
	var asked atomic.Int64
	files := map[string]string{
		"/d/w.tar": string(tarBytes(t, wds)), "/d/w.zip": string(zipBytes(t, []member{{"a.jpg", "jpeg"}}, zip.Store)),
		"/d/l.csv": "url,n\nm/1.mp4,1\n/abs.mp4,2\nhttps://o.example/x,3\nfile:///etc/passwd,4\n", "/d/bad.tar": strings.Repeat("not a tar ", 100), "/d/bad.zip": "<html>",
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, ok := files[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, body)
	}))
	defer s.Close()
	o := options(t)

	got := all(t, o, s.URL+"/d/clip?sig=x", s.URL+"/d/w.tar?sig=x", s.URL+"/d/w.zip", s.URL+"/d/l.csv")
	if n := names(got); n != "clip?sig=x 001.jpg 002.left.jpg+002.right.jpg  msg.invalid a.jpg 1.mp4 abs.mp4 x source.denied" {
		t.Errorf("got %s", n)
	}
	if u := got[6].uris2() + " " + got[7].uris2(); u != s.URL+"/d/m/1.mp4 "+s.URL+"/abs.mp4" {
		t.Errorf("relative URLs become %s", u)
	}
	if again := all(t, o, s.URL+"/d/w.tar?sig=x"); !slices.Equal(ids(again), ids(got[1:5])) {
		t.Error("the ids of the archive's members changed")
	}
	wantError(t, o, "source.gone", s.URL+"/d/none.csv")
	wantError(t, o, "source.gone", s.URL+"/d/none.tar")
	wantError(t, o, "damaged", s.URL+"/d/bad.tar")
	wantError(t, o, "does not begin as a zip", s.URL+"/d/bad.zip")
	o.Source.AllowPrivate = false
	wantError(t, o, "source.denied", s.URL+"/d/l.csv")
	asked.Store(0)
	all(t, options(t), s.URL+"/d/clip")
	if n := asked.Load(); n != 0 {
		t.Errorf("a single medium was asked for %d times by the listing", n)
	}

	// What was there when it was checked may be gone when it is read.
	l, err := Open(t.Context(), []string{s.URL + "/d/w.tar", s.URL + "/d/clip"}, options(t))
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "/d/w.tar")
	if n := names(readAll(t, l)); n != "source.gone clip" {
		t.Errorf("of an archive that went away: %s", n)
	}
}

func TestS3Sources(t *testing.T) {
	srv := s3test.Start(t)
	o := options(t)
	o.Source.S3.Endpoint, o.Source.S3.PathStyle = srv.Config.Endpoint, true
	o.Source.S3.AccessKey, o.Source.S3.SecretKey = srv.Config.AccessKey, pipeline.NewSecret(srv.Config.SecretKey.Reveal())
	c, err := minio.New(strings.TrimPrefix(srv.Config.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(srv.Config.AccessKey, srv.Config.SecretKey.Reveal(), ""), Region: "us-east-1",
		Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(t.Context(), "media", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	put := func(key, text string) {
		t.Helper()
		if _, err := c.PutObject(t.Context(), "media", key, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"v/b.mp4", "v/a.jpg", "v/sub/c.png", "v/.hidden/d.jpg", "v/notes.txt", "v2.mp4", "odd/[x].gif"} {
		put(key, key)
	}
	put("v/w.tar", string(tarBytes(t, wds[:4])))
	put("v/z.tar", strings.Repeat("no tar ", 100))
	put("l/l.jsonl", `{"url":"m/1.mp4"}`+"\n"+`{"url":"../v/b.mp4"}`+"\n"+`{"url":"/etc/passwd"}`+"\n")
	for _, x := range []struct{ src, want string }{
		{"s3://media/v/", "a.jpg b.mp4 c.png 001.jpg msg.invalid"},
		{"s3://media/v", "a.jpg b.mp4 c.png 001.jpg msg.invalid v2.mp4"},
		{"s3://media", "[x].gif a.jpg b.mp4 c.png 001.jpg msg.invalid v2.mp4"},
		{"s3://media/v/b.mp4", "b.mp4"},
		{"s3://media/v/w.tar", "001.jpg"},
		{"s3://media/v/*.jpg", "a.jpg"},
		{"s3://media/**/?.png", "c.png"},
		{"s3://media/odd/[x].gif", "[x].gif"},
		{"s3://media/*/*.jsonl", "1.mp4 b.mp4 source.denied"},
	} {
		got := all(t, o, x.src)
		if n := names(got); n != x.want {
			t.Errorf("%s: %s; want %s", x.src, n, x.want)
		}
		if again := all(t, o, x.src); !slices.Equal(ids(again), ids(got)) {
			t.Errorf("%s: the ids changed", x.src)
		}
	}
	for src, part := range map[string]string{"s3://media/none/": "nothing there", "s3://media/*.avi": "nothing matches", "s3://no-such-bucket/": "source.gone", "s3://media/v/z.tar": "damaged"} {
		wantError(t, o, part, src)
	}

	// A part fetches as it was listed, and not once the object is another.
	l, err := Open(t.Context(), []string{"s3://media/v/b.mp4"}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := source.New(o.Source)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := f.Fetch(t.Context(), p.Job.Media[0])
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	put("v/b.mp4", "another film")
	if s, err := f.Fetch(t.Context(), p.Job.Media[0]); err == nil || !strings.Contains(err.Error(), "source.changed") {
		t.Errorf("a changed object: %v, %v", s, err)
	}
	if got := all(t, o, "s3://media/v/b.mp4"); got[0].id == p.Job.ID {
		t.Error("a changed object has the same id")
	}
}
