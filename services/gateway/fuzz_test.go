package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/services/gateway/identity"
)

// FuzzSplit: what is split is JSON where the batch is an array, never more than asked
// for, and nothing of it is made up.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`[{"a":1},2]`, "{}\n{}\n", `[`, `[1,2,3,4,5,6,7,8,9]`, "[[[]]]", `[] x`, "\n\n", `["` + "\xff" + `"]`} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		mt := "application/json"
		if lines {
			mt = "application/x-ndjson"
		}
		items, err := split(body, mt, 8)
		if err != nil {
			if len(items) > 0 || problemOf(err).status >= 500 {
				t.Fatalf("%d items, %v", len(items), err)
			}
			return
		}
		if len(items) == 0 || len(items) > 8 {
			t.Fatalf("%d items", len(items))
		}
		for _, i := range items {
			if !lines && !json.Valid(i) || !bytes.Contains(body, i) {
				t.Fatalf("%q of %q", i, body)
			}
		}
	})
}

// FuzzHandle: only what was sealed is opened, for its tenant.
func FuzzHandle(f *testing.F) {
	h := &handles{key: bytes.Repeat([]byte("k"), handleKeySize), topic: "t"}
	sealed := h.seal("acme", queue.Place{Partition: 3, Offset: 1 << 40})
	f.Add(sealed, "acme", 3, int64(1<<40))
	f.Add(strings.ToUpper(sealed), "acme", 0, int64(0))
	f.Add("", "", 1, int64(1))
	f.Fuzz(func(t *testing.T, handle, tenant string, partition int, offset int64) {
		if at, ok := h.open(tenant, handle); ok && h.seal(tenant, at) != handle {
			t.Fatalf("%q opens as %+v", handle, at)
		}
		if partition < 0 || partition > 1<<31-1 || offset < 0 {
			return
		}
		want := queue.Place{Partition: partition, Offset: offset}
		s := h.seal(tenant, want)
		if at, ok := h.open(tenant, s); !ok || at != want {
			t.Fatalf("%+v comes back as %+v", want, at)
		}
		if _, ok := h.open(tenant+"x", s); ok {
			t.Fatal("another tenant opens it")
		}
	})
}

// FuzzForm: a form of any bytes is a job or a refusal that says whose fault it is, and
// leaves no file open.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"--b\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{\"text\":\"a\"}\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"v\"; filename=\"a.mp4\"\r\n\r\nxx\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{\"media\":[{\"uri\":\"part:///v\"}]}\r\n--b\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\n" + strings.Repeat("x", 100) + "\r\n--b--\r\n",
		"--b\r\n\r\n--b--", "", "--b", "--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--b--\r\n",
	} {
		f.Add([]byte(s))
	}
	limits := DefaultConfig().Limits
	limits.Inline, limits.MaxBytes = 64, 1000
	ten, err := newTenant(Tenant{Name: "acme", Datasets: []string{"cats"}}, limits, 1, nil)
	if err != nil {
		f.Fatal(err)
	}
	g := &Gateway{cfg: Config{Limits: limits}, parts: Parts{Dir: f.TempDir()}, topic: &topic{limits: limits}}
	c := caller{identity.Identity{Tenant: "acme"}, ten}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := g.readForm(multipart.NewReader(bytes.NewReader(body), "b"), c, &printer{sha256.New()})
		defer s.close()
		var orders []*order
		if err == nil && s.job == nil {
			orders, err = g.mediaOnly(c, params{}, s)
		}
		if err != nil {
			if problemOf(err).status >= 500 {
				t.Fatal(err)
			}
			return
		}
		for _, o := range orders {
			if len(o.job.Media) != len(s.media) || o.job.Dataset != "cats" {
				t.Fatalf("%+v of %d media", o.job, len(s.media))
			}
		}
	})
}

// FuzzSourceRule: no spelling of a place outside of a rule is let in.
func FuzzSourceRule(f *testing.F) {
	for _, s := range []string{"s3://b/in/x", "https://h/p/x", "https://h/p/../x", "https://h@e/p/", "https://h/p/%2e%2e/x", "s3://b/in/../x", "HTTPS://H/p/x", "https://h:443/p/", "https://h/p\\..\\x"} {
		f.Add(s)
	}
	s3, err := newSourceRule("s3://b/in")
	if err != nil {
		f.Fatal(err)
	}
	web, err := newSourceRule("https://h/p/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		u, err := cleanURI(uri)
		if err != nil {
			return
		}
		if s3.allows(u) && !strings.HasPrefix(strings.ToLower(uri[:5])+uri[5:], "s3://b/in/") {
			t.Fatalf("%q is let in", uri)
		}
		if web.allows(u) && !strings.HasPrefix(strings.ToLower(uri), "https://h/") {
			t.Fatalf("%q is let in", uri)
		}
		if strings.Contains(u.path, "/../") || strings.Contains(u.path, "/./") {
			t.Fatalf("%q is %+v", uri, u)
		}
	})
}
