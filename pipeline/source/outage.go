package source

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// s3Origin is the name of the configured endpoint among the origins.
const s3Origin = "s3"

// failure is a medium whose tries are used up.
type failure struct {
	loc    location
	began  time.Time // of its first try
	asked  *url.URL  // whom the last try asked; nil if it came to nobody
	status int       // what came, 0 for nothing
	err    *codecs.Error
}

func (f failure) origin() string {
	switch {
	case f.loc.scheme == "s3":
		return s3Origin
	case f.asked != nil:
		return hostOf(f.asked)
	}
	return hostOf(f.loc.url)
}

// judge tells whose failure it is: nil means an outage, which is waited for; a fault is
// the medium's own. The package's comment has the rule.
func (f *Fetcher) judge(ctx context.Context, fail failure) (*codecs.Error, error) {
	name := fail.origin()
	if f.origins.backSince(name, fail.began) {
		return nil, nil // some tries fell into an outage: it gets others
	}
	if fail.status == http.StatusTooManyRequests || f.origins.servedSince(name, fail.began) {
		return fail.err, nil // it works, and has said so
	}
	if f.probe(ctx, fail) {
		if f.origins.backSince(name, fail.began) {
			return nil, nil // this very probe has ended the outage
		}
		return fail.err, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	f.origins.failed(name, fail.err.Detail)
	return f.dead(fail), nil
}

// dead is the fault of a medium whose origin is down, nil if the origin is waited for.
func (f *Fetcher) dead(fail failure) *codecs.Error {
	name := fail.origin()
	switch {
	case name == s3Origin, f.dependsOn(name), f.origins.mostDown():
		return nil
	case fail.status == 0:
		return refuse(pipeline.CodeSourceUnreachable, "its host can not be reached, while others can: %s", fail.err.Detail)
	}
	return fail.err
}

func (f *Fetcher) dependsOn(name string) bool {
	host := (&url.URL{Host: name}).Hostname()
	return slices.ContainsFunc(f.cfg.HTTP.DependOn, func(d string) bool { return strings.EqualFold(d, host) })
}

// probe asks an origin for something that says nothing about the medium, and tells
// whether it works.
func (f *Fetcher) probe(ctx context.Context, fail failure) bool {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.HTTP.Connect+f.cfg.HTTP.TLS+f.cfg.HTTP.Header)
	defer cancel()
	if fail.loc.scheme == "s3" {
		up := f.s3.up(ctx, fail.loc.bucket)
		if up {
			f.origins.answered(s3Origin, http.StatusOK)
		}
		return up
	}
	u := fail.asked
	if u == nil {
		u = fail.loc.url
	}
	root := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, root.String(), nil)
	if err != nil || f.policy.check(root) != nil {
		return true // the medium's URL is at fault, not its host
	}
	req.Header.Set("User-Agent", f.userAgent)
	resp, err := f.client.Transport.RoundTrip(req)
	var denied *addressError
	if codecs.AsError(err) != nil || errors.As(err, &denied) {
		return true // we may not or should not ask: that is no outage
	}
	if err != nil {
		return false
	}
	resp.Body.Close()
	return works(resp.StatusCode)
}

// waitFor holds a medium until its origin works again. It returns a fault once the
// origin turns out to be dead alone, and a plain error, which stops the stream, when
// patience is at an end.
func (f *Fetcher) waitFor(ctx context.Context, fail failure) error {
	name := fail.origin()
	since := f.origins.downSince(name)
	if since.IsZero() {
		return nil // it came back meanwhile
	}
	f.log.Warn("source is down; waiting", "origin", name, "since", since, "cause", fail.err.Detail)
	f.origins.wait(name, 1)
	defer f.origins.wait(name, -1)
	for n := 1; ; n++ {
		d := min(f.cfg.Backoff<<min(n-1, 16), maxBackoff)
		if err := sleep(ctx, d/2+rand.N(d/2+1)); err != nil {
			return err
		}
		if f.origins.downSince(name).IsZero() || f.askAgain(ctx, fail) {
			f.log.Info("source is back", "origin", name, "after", time.Since(since).Round(time.Second))
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e := f.dead(fail); e != nil {
			return e
		}
		if down := time.Since(since); down > f.cfg.OutagePatience {
			return fmt.Errorf("%s has been down for %v, over source.outage_patience; nothing was quarantined: see that it can be reached, and start again (%s)",
				name, down.Round(time.Second), fail.err.Detail)
		}
	}
}

// askAgain probes, unless another fetch is at it.
func (f *Fetcher) askAgain(ctx context.Context, fail failure) bool {
	name := fail.origin()
	if !f.origins.probes(name) {
		return false
	}
	defer f.origins.probed(name)
	return f.probe(ctx, fail)
}
