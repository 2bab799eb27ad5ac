package source

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzOptOut reads headers from anywhere: what is found is honoured and stands in them,
// and what is not to be honoured never counts.
func FuzzOptOut(f *testing.F) {
	for _, s := range [][2]string{{"noai", ""}, {"millrace: noai, noindex", ""}, {"googlebot: noai, *: noindex", "0"}, {"unavailable_after: 25 Jun 2030 15:00:00 PST, none", " 1 "}, {"NOAI,,:,", "1"}} {
		f.Add(s[0], s[1])
	}
	all := []string{"noai", "noimageai", "noindex", "noimageindex", "tdm-reservation"}
	f.Fuzz(func(t *testing.T, robots, tdm string) {
		h := http.Header{"X-Robots-Tag": {robots}, "Tdm-Reservation": {tdm}}
		signal := optOut(h, all)
		if signal != "" && !slices.Contains(all, signal) {
			t.Fatalf("the signal is %q", signal)
		}
		lower := strings.ToLower(robots)
		switch {
		case signal == "tdm-reservation" && strings.TrimSpace(tdm) != "1":
			t.Fatalf("reserved by %q", tdm)
		case signal == "noindex" && !strings.Contains(lower, "noindex") && !strings.Contains(lower, "none"),
			signal != "" && signal != "tdm-reservation" && signal != "noindex" && !strings.Contains(lower, signal):
			t.Fatalf("%q is not in %q", signal, robots)
		}
		if optOut(h, nil) != "" {
			t.Fatal("a signal counts that nobody honours")
		}
		if one := optOut(h, all[:1]); one != "" && one != "noai" {
			t.Fatalf("%q counts, and only noai is honoured", one)
		}
		// Another of our own directives never takes one away.
		h["X-Robots-Tag"] = append([]string{"noai"}, robots)
		if optOut(h, all) == "" {
			t.Fatal("noai was lost")
		}
	})
}

// FuzzRetryAfter reads waits: never negative, and the same in every writing of a date.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []string{"0", "120", "-1", "1e9", "2147483648", "99999999999999999999", "Fri, 02 Jan 2026 03:05:05 GMT", "Friday, 02-Jan-26 03:05:05 GMT", "Fri Jan  2 03:05:05 2026", "Fri, 02 Jan 0001 03:05:05 GMT", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		wait, ok := retryAfter(text, now)
		if wait < 0 || !ok && wait != 0 {
			t.Fatalf("%q is %v, %v", text, wait, ok)
		}
		if at, err := http.ParseTime(text); err == nil && at.After(now) && at.Sub(now) != wait {
			t.Fatalf("%q is %v; want %v", text, wait, at.Sub(now))
		}
	})
}

// FuzzRedact hides secrets in URIs from anywhere: neither user nor query is left, and
// doing it again changes nothing.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"https://user:s3cret@h/a?sig=s3cret#m", "HTTP://h?s3cret", "https:s3cret@h", "http://[::1%25s3cret]/", "http://h/%zz?s3cret", "s3://b/k?x", "/a?b", "data:s3cret", "ftp://u:s3cret@h/", "http://h/a%3Fs3cret", "https:///?s3cret#?x@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got := Redact(uri)
		scheme, _ := Scheme(uri)
		if scheme == "" || scheme == "s3" {
			if got != uri {
				t.Fatalf("%q became %q", uri, got)
			}
			return
		}
		if again := Redact(got); again != got {
			t.Fatalf("%q becomes %q, and that %q", uri, got, again)
		}
		bare, _, _ := strings.Cut(got, "#")
		_, rest, _ := strings.Cut(bare, "://")
		host, _, _ := strings.Cut(rest, "/")
		if strings.ContainsRune(bare, '?') || strings.ContainsRune(host, '@') {
			t.Fatalf("%q is shown as %q", uri, got)
		}
	})
}

// FuzzLocate takes URIs apart: what comes out is of a known scheme, and a file's path is
// found again from its URI.
func FuzzLocate(f *testing.F) {
	for _, s := range []string{"s3://b/k", "file:///a%20b", "http://h/", "a:b", "s3:b", "file://h/x", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		loc, err := locate(uri)
		if err != nil {
			return
		}
		switch loc.scheme {
		case "http", "https":
			if loc.url == nil {
				t.Fatal("no URL")
			}
		case "s3":
			if !strings.HasSuffix(uri, loc.key) {
				t.Fatalf("the key of %q is %q", uri, loc.key)
			}
		case "file":
			if strings.ContainsRune(loc.path, 0) {
				t.Fatal("a NUL byte")
			}
			if strings.HasPrefix(loc.path, "/") && utf8.ValidString(loc.path) {
				if back, err := FilePath(FileURI(loc.path)); err != nil || back != loc.path {
					t.Fatalf("%q comes back as %q, %v", loc.path, back, err)
				}
			}
		default:
			t.Fatalf("the scheme is %q", loc.scheme)
		}
	})
}

// FuzzContentRange reads places: always within the size.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 0-9/*", "bytes */10", "bytes 9-0/10", "bytes 0-9223372036854775807/9223372036854775807", "bytes -1-2/3", "bytes 0-0/1, bytes", "bits 0-0/1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, last, size, err := contentRange(text)
		if err == nil && (first < 0 || last < first || size <= last) {
			t.Fatalf("%q is %d-%d/%d", text, first, last, size)
		}
	})
}
