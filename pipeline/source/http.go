package source

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// openHTTP builds the client. HTTP/1.1 alone: one body a connection, so that a slow
// one holds up no other. No proxy from the environment: the guard would see only the
// proxy's address.
func (f *Fetcher) openHTTP() {
	c := f.cfg.HTTP
	f.policy = policy{guard: guard{f.cfg.AllowPrivate}, ports: c.Ports, anyPort: f.cfg.AllowPrivate, maxBytes: maxURI}
	f.dialer = &net.Dialer{Timeout: c.Connect}
	f.userAgent = "millrace"
	if c.Contact != "" {
		f.userAgent += " (+" + c.Contact + ")"
	}
	f.transport = &http.Transport{
		DialContext:            f.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    c.TLS,
		ResponseHeaderTimeout:  c.Header,
		MaxResponseHeaderBytes: c.MaxHeaderBytes,
		MaxConnsPerHost:        c.PerHost.Concurrent,
		MaxIdleConnsPerHost:    c.PerHost.Concurrent,
		MaxIdleConns:           64,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
	}
	f.client = &http.Client{
		Transport:     &polite{f.transport, newHosts(c.PerHost, f.cfg.MaxRetryAfter), f.origins, f.cfg.Backoff},
		CheckRedirect: f.redirect,
	}
}

// dial connects under the guard. A refused address is what is reported, also where a
// name has others that merely fail: such a name is a trap or a mistake.
func (f *Fetcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var refused atomic.Pointer[addressError] // addresses may be tried side by side
	d := *f.dialer
	d.Control = func(network, address string, c syscall.RawConn) error {
		err := f.policy.guard.control(network, address, c)
		var ae *addressError
		if errors.As(err, &ae) {
			refused.Store(ae)
		}
		return err
	}
	conn, err := d.DialContext(ctx, network, address)
	if ae := refused.Load(); err != nil && ae != nil {
		return nil, ae
	}
	return conn, err
}

func (f *Fetcher) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > f.cfg.HTTP.MaxRedirects {
		return refuse(pipeline.CodeSourceDenied, "there are more than %d redirects", f.cfg.HTTP.MaxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return refuse(pipeline.CodeSourceDenied, "a redirect leads from https to %.20q", req.URL.Scheme)
	}
	req.Header.Del("Referer") // it would tell the query, which may hold a signature
	return f.policy.check(req.URL)
}

// get opens a URL. version, if there is one, is the ETag that is asked for.
func (f *Fetcher) get(ctx context.Context, u *url.URL, m pipeline.Media) (*body, error) {
	req, err := f.request(ctx, u)
	if err != nil {
		return nil, err
	}
	version := m.Version
	if version != "" {
		req.Header.Set("If-Match", quoteETag(version))
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, httpFault(err)
	}
	if err = checkResponse(resp, version); err == nil {
		err = f.withheld(resp, m.Honour)
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return &body{r: resp.Body, c: resp.Body, size: resp.ContentLength, version: etag(resp.Header)}, nil
}

// request makes a GET for a URL that keeps the policy.
func (f *Fetcher) request(ctx context.Context, u *url.URL) (*http.Request, error) {
	if err := f.policy.check(u); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, refuse(pipeline.CodeSourceDenied, "the URL is malformed")
	}
	req.Header.Set("User-Agent", f.userAgent)
	req.Header.Set("Accept-Encoding", "identity")
	return req, nil
}

// withheld refuses what its owner keeps from training, if that is to be honoured.
func (f *Fetcher) withheld(resp *http.Response, honour []string) error {
	signal := optOut(resp.Header, honour)
	if signal == "" {
		return nil
	}
	f.optOuts.add(signal)
	return refuse(pipeline.CodeSourceOptOut, "its owner keeps it from training (%s), which the recipe honours", signal)
}

func checkResponse(resp *http.Response, version string) error {
	if resp.StatusCode != http.StatusOK {
		return statusFault(resp)
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return refuse(pipeline.CodeSourceProtocol, "it came with the encoding %.40q, which was not asked for", enc)
	}
	if got := etag(resp.Header); version != "" && got != "" && got != strings.Trim(version, `"`) {
		return refuse(pipeline.CodeSourceChanged, "its version is %.80q; %.80q was asked for", got, version)
	}
	return nil
}

// statusFault says what a status other than 200 means for the medium.
func statusFault(resp *http.Response) error {
	status := resp.Status
	if len(status) > 80 {
		status = strconv.Itoa(resp.StatusCode)
	}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		return refuse(pipeline.CodeSourceGone, "the server says %q", status)
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired, code == http.StatusUnavailableForLegalReasons:
		return refuse(pipeline.CodeSourceDenied, "the server says %q", status)
	case code == http.StatusPreconditionFailed:
		return refuse(pipeline.CodeSourceChanged, "it is no longer the version that was asked for")
	case code == http.StatusNoContent:
		return refuse(pipeline.CodeSourceEmpty, "the server says %q", status)
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		err := refuse(pipeline.CodeSourceTransient, "the server says %q", status)
		if wait, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			return &laterError{err, wait}
		}
		return err
	}
	return refuse(pipeline.CodeSourceProtocol, "the server says %q where 200 was expected", status)
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3).
func retryAfter(text string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(t.Sub(now), 0), true
	}
	return 0, false
}

// httpFault classifies a request that got no response.
func httpFault(err error) error {
	err = plain(err)
	var denied *addressError
	var dns *net.DNSError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	switch {
	case codecs.AsError(err) != nil:
		return err // our own refusal of a redirect
	case errors.As(err, &denied):
		return refuse(pipeline.CodeSourceDenied, "%w", denied)
	case errors.As(err, &dns) && dns.IsNotFound:
		return refuse(pipeline.CodeSourceGone, "there is no host of that name")
	case errors.As(err, &cert), errors.As(err, &alert), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch),
		strings.Contains(err.Error(), "tls: "):
		return refuse(pipeline.CodeSourceProtocol, "the connection is not secure: %w", err)
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "malformed MIME"):
		return refuse(pipeline.CodeSourceProtocol, "the response is not HTTP")
	case strings.Contains(err.Error(), "response headers exceeded"):
		return refuse(pipeline.CodeSourceLimit, "the response's headers are too large")
	}
	return refuse(pipeline.CodeSourceTransient, "asking failed: %w", err)
}

// plain takes the URL, which may hold secrets, out of a client's error.
func plain(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// etag is a response's ETag without quotes, or "" if it is absurdly long.
func etag(h http.Header) string {
	tag := h.Get("ETag")
	if len(tag) > 256 {
		return ""
	}
	if rest, ok := strings.CutPrefix(tag, "W/"); ok {
		return "W/" + strings.Trim(rest, `"`)
	}
	return strings.Trim(tag, `"`)
}

func quoteETag(version string) string { return `"` + strings.Trim(version, `"`) + `"` }
