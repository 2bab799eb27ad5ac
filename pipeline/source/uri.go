package source

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// maxURI is the longest URI that is read, in bytes.
const maxURI = 8 << 10

// location is a URI taken apart, by its scheme.
type location struct {
	scheme      string   // "file", "http", "https" or "s3"
	path        string   // file
	url         *url.URL // http, https
	bucket, key string   // s3: the key is literal, never percent-decoded
}

// locate takes a URI apart. What has no scheme is a plain path, taken literally.
func locate(uri string) (location, error) {
	if len(uri) > maxURI {
		return location{}, refuse(pipeline.CodeMsgLimit, "the URI has %d bytes; %d are allowed", len(uri), maxURI)
	}
	if strings.ContainsRune(uri, 0) {
		return location{}, refuse(pipeline.CodeMsgInvalid, "the URI has a NUL byte")
	}
	scheme, rest := Scheme(uri)
	switch scheme {
	case "":
		return location{scheme: "file", path: uri}, nil
	case "s3":
		bucket, key, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
		return location{scheme: scheme, bucket: bucket, key: key}, nil
	case "file":
		path, err := FilePath(uri)
		return location{scheme: scheme, path: path}, err
	case "http", "https":
		u, err := url.Parse(uri)
		if err != nil {
			return location{}, refuse(pipeline.CodeSourceDenied, "the URL is malformed")
		}
		return location{scheme: scheme, url: u}, nil
	}
	return location{}, refuse(pipeline.CodeSourceScheme, "nothing here reads %.20q URIs; known are file, http, https and s3", scheme)
}

// Scheme splits a URI into its scheme, in lower case, and what follows the colon. A
// plain path, even one with a colon in it, has the scheme "".
func Scheme(uri string) (scheme, rest string) {
	s, rest, ok := strings.Cut(uri, ":")
	if !ok || s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-") != "" {
		return "", uri
	}
	s = strings.ToLower(s)
	if strings.HasPrefix(rest, "//") || s == "file" || s == "data" {
		return s, rest
	}
	return "", uri
}

// FileURI is the file:// URI of an absolute path.
func FileURI(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// FilePath is the path that a file:// URI names. It is the inverse of [FileURI].
func FilePath(uri string) (string, error) {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Opaque != "":
		return "", refuse(pipeline.CodeMsgInvalid, "the file URI is malformed; want file:///path, percent-encoded")
	case u.Host != "" && u.Host != "localhost":
		return "", refuse(pipeline.CodeSourceDenied, "the file URI names another host, %.60q", u.Host)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil:
		return "", refuse(pipeline.CodeMsgInvalid, "the file URI has a query or fragment; write ? as %%3F and # as %%23")
	case strings.ContainsRune(u.Path, 0):
		return "", refuse(pipeline.CodeMsgInvalid, "the file URI has a NUL byte")
	}
	return u.Path, nil
}

// policy is what a URL must keep, the first as well as each that a redirect names.
type policy struct {
	guard    guard
	ports    []int
	anyPort  bool
	maxBytes int
}

func (p policy) check(u *url.URL) error {
	deny := func(format string, args ...any) error { return refuse(pipeline.CodeSourceDenied, format, args...) }
	host := u.Hostname()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return deny("a redirect leads to a %.20q URI", u.Scheme)
	case u.User != nil:
		return deny("the URL holds a user name or password")
	case host == "" || len(host) > 253:
		return deny("the URL has no usable host")
	case strings.ContainsAny(host, "%\\/?#@<>^|`{}\"' \t\r\n"):
		return deny("the URL's host has a character that no host name has")
	case len(u.String()) > p.maxBytes:
		return deny("the URL has more than %d bytes", p.maxBytes)
	}
	if err := p.checkPort(u); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(host)
	if err == nil {
		if err := p.guard.check(addr); err != nil {
			return deny("%w", err)
		}
		return nil
	}
	// Resolvers of the C library read 2130706433, 0x7f.1 and 0177.0.0.1 as addresses.
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if last := strings.ToLower(labels[len(labels)-1]); isNumber(last) {
		return deny("the URL's host %.60q is an IP address in an unusual form", host)
	}
	return nil
}

func (p policy) checkPort(u *url.URL) error {
	text := u.Port()
	if text == "" || p.anyPort {
		return nil
	}
	if n, err := strconv.Atoi(text); err != nil || !slices.Contains(p.ports, n) {
		return refuse(pipeline.CodeSourceDenied, "the URL's port %.10q is not one of %v", text, p.ports)
	}
	return nil
}

func isNumber(label string) bool {
	if label == "" {
		return false
	}
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// Redact is a URI for people and records: without user and query, which may hold
// secrets. A fragment stays: it names a member of an archive. Keys of s3:// and plain
// paths have neither and stay whole.
func Redact(uri string) string {
	switch scheme, _ := Scheme(uri); scheme {
	case "", "s3":
		return uri
	default:
		u, err := url.Parse(uri)
		if err != nil {
			return scheme + ":(opaque)" // as below, so that doing it twice changes nothing
		}
		u.User, u.RawQuery, u.ForceQuery = nil, "", false
		if u.Opaque != "" {
			u.Opaque = "(opaque)"
		}
		s := u.String()
		if _, err := url.Parse(s); err != nil { // a zone of an address is read less strictly than written
			return scheme + ":(opaque)"
		}
		return s
	}
}

// refuse is a fault of the medium. Only a %w operand becomes its cause.
func refuse(code codecs.Code, format string, args ...any) *codecs.Error {
	return codecs.Errorf(code, codecs.StageFetch, format, args...)
}
