package source

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

func testPolicy() policy { return policy{ports: []int{80, 443}, maxBytes: maxURI} }

func TestPolicy(t *testing.T) {
	for _, good := range []string{
		"http://example.com/a.mp4", "https://example.com:443/a?sig=x", "http://8.8.8.8/a", "https://[2606:4700::1111]/a",
		"http://example.com./a", "http://1.example/a", "http://xn--bcher-kva.example/a", "http://a_b.example/%0d%0a", "http://bücher.example/",
	} {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		if err := testPolicy().check(u); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.0.0.1./", "http://1.2.3.4.5/",
		"http://017700000001/", "http://0/", "http://0x/", "http://example.0x7f/", "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
		"http://[64:ff9b::7f00:1]/", "http://[fe80::1%25lo]/", "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/",
		"http://user@example.com/", "http://user:pw@example.com/", "http://@example.com/", "http://example.com:22/", "http://example.com:99999/", "http://example.com:8080/",
		"http:///path", "http://:80/", "gopher://example.com/", "file:///etc/passwd", "ftp://example.com/",
		"http://" + strings.Repeat("a", 254) + "/", "http://example.com/" + strings.Repeat("a", maxURI),
	} {
		u, err := url.Parse(bad)
		if err != nil {
			t.Fatalf("%s: %v", bad, err)
		}
		err = testPolicy().check(u)
		if e := codecs.AsError(err); e == nil || e.Code != pipeline.CodeSourceDenied || e.Stage != codecs.StageFetch {
			t.Errorf("%.80s: %v, want %s", bad, err, pipeline.CodeSourceDenied)
		}
	}
}

func TestLocate(t *testing.T) {
	for uri, want := range map[string]location{
		"a b?c#d.mp4":           {scheme: "file", path: "a b?c#d.mp4"},
		"10:30.mp4":             {scheme: "file", path: "10:30.mp4"},
		"/x/%41":                {scheme: "file", path: "/x/%41"},
		"file:///x/%41%20b.mp4": {scheme: "file", path: "/x/A b.mp4"},
		"file:/x":               {scheme: "file", path: "/x"},
		"FILE://localhost/x":    {scheme: "file", path: "/x"},
		"s3://b/k/%2e%2e/a?b#c": {scheme: "s3", bucket: "b", key: "k/%2e%2e/a?b#c"},
		"s3://b":                {scheme: "s3", bucket: "b"},
	} {
		got, err := locate(uri)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", uri, got, err, want)
		}
	}
	for uri, want := range map[string]codecs.Code{
		"gopher://h/x":                        pipeline.CodeSourceScheme,
		"data:image/png;base64,AAAA":          pipeline.CodeSourceScheme,
		"ftp://h/x":                           pipeline.CodeSourceScheme,
		"file://other/x":                      pipeline.CodeSourceDenied,
		"file:///x?y":                         pipeline.CodeMsgInvalid,
		"file:x":                              pipeline.CodeMsgInvalid,
		"file:///a%00b":                       pipeline.CodeMsgInvalid,
		"a\x00b":                              pipeline.CodeMsgInvalid,
		"http://h/\r\nX: y":                   pipeline.CodeSourceDenied,
		"http://[::1/":                        pipeline.CodeSourceDenied,
		"http://" + strings.Repeat("a", 9000): pipeline.CodeMsgLimit,
	} {
		_, err := locate(uri)
		if e := codecs.AsError(err); e == nil || e.Code != want {
			t.Errorf("%.40q: %v, want %s", uri, err, want)
		}
	}
}

func TestRedact(t *testing.T) {
	for uri, want := range map[string]string{
		"https://u:p@h.example/a/b.mp4?X-Amz-Signature=s": "https://h.example/a/b.mp4",
		"https://h.example/a?":                            "https://h.example/a",
		"http://h/%zz?secret":                             "http:(opaque)",
		"data:secret":                                     "data:(opaque)",
		"s3://b/k?x#y":                                    "s3://b/k?x#y",
		"file:///a%20b.tar#m.jpg":                         "file:///a%20b.tar#m.jpg",
		"/plain?path":                                     "/plain?path",
	} {
		if got := Redact(uri); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

func TestFileURI(t *testing.T) {
	for _, path := range []string{"/a/b.mp4", "/a b/ü?#%41.mp4", "/"} {
		loc, err := locate(FileURI(path))
		if err != nil || loc.path != filepath.Clean(path) {
			t.Errorf("%q became %q and then %q, %v", path, FileURI(path), loc.path, err)
		}
	}
}

// FuzzPolicy holds the policy to what it is for: whatever it lets pass has a named
// host, or a literal address that the guard lets pass, and no secret in its redaction.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{"http://127.0.0.1/", "http://0x7f.1/", "http://[::ffff:8.8.8.8]/", "https://u:p@h/?q", "s3://b/k", "file:///x", "http://１２７.0.0.1/", "http://a%41/", "//h/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		loc, err := locate(uri)
		if err != nil {
			if codecs.AsError(err) == nil {
				t.Fatalf("%q: a plain error: %v", uri, err)
			}
			return
		}
		if loc.url == nil || testPolicy().check(loc.url) != nil {
			return
		}
		host := loc.url.Hostname()
		if loc.url.User != nil || host == "" || isNumber(host) {
			t.Fatalf("%q passes with the host %q", uri, host)
		}
		r := Redact(uri)
		if bare, _, _ := strings.Cut(r, "#"); strings.Contains(bare, "?") { // a fragment stays as it is
			t.Fatalf("%q is redacted to %q", uri, r)
		}
	})
}
