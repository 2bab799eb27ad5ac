package gateway

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// tenant is a Tenant at work.
type tenant struct {
	Tenant
	sources []sourceRule
	limiter *rate.Limiter
	quota   *quota
	keys    *memory
	slots   chan struct{} // one for each request with media under way
}

// newTenant makes one of so many. now may be nil.
func newTenant(t Tenant, l Limits, of int, now func() time.Time) (*tenant, error) {
	if t.MaxBytes == 0 {
		t.MaxBytes = max(l.MaxBytes, l.MaxUpload)
	}
	n := t.Uploads
	if n == 0 {
		n = l.Uploads
		if of > 1 { // nobody keeps all others out
			n = max(n/2, 1)
		}
	}
	if t.Rate == 0 {
		t.Rate = l.Rate
	}
	if t.Burst == 0 {
		t.Burst = max(int(t.Rate), 1)
	}
	if t.DayBytes == 0 {
		t.DayBytes = l.DayBytes
	}
	w := &tenant{Tenant: t, slots: make(chan struct{}, n), limiter: rate.NewLimiter(rate.Limit(t.Rate), t.Burst), quota: newQuota(t.DayBytes, now),
		keys: newMemory(l.Idempotency, max(l.IdempotencyKeys/of, 1), memoryBytes/of)}
	for _, s := range t.Sources {
		r, err := newSourceRule(s)
		if err != nil {
			return nil, err
		}
		w.sources = append(w.sources, r)
	}
	return w, nil
}

// allow takes n requests from the tenant's rate. If there are not so many left it says
// when there will be.
func (t *tenant) allow(n int) (wait time.Duration, ok bool) {
	now := time.Now()
	r := t.limiter.ReserveN(now, min(n, t.limiter.Burst()))
	if d := r.DelayFrom(now); d > 0 {
		r.CancelAt(now)
		return d, false
	}
	return 0, true
}

// defaultDataset is that of jobs which name none.
func (t *tenant) defaultDataset() string {
	if len(t.Datasets) == 1 && !hasPattern(t.Datasets[0]) {
		return t.Datasets[0]
	}
	return ""
}

// check holds a job against what the tenant may do. Media that the gateway itself has
// put into the store are no matter of the sender's sources; they come later.
func (t *tenant) check(j *pipeline.Job) error {
	if !slices.ContainsFunc(t.Datasets, func(d string) bool { return d == "*" || d == j.Dataset }) {
		return &problem{status: 403, code: codeDataset, detail: fmt.Sprintf("tenant %s may not write to dataset %q", t.Name, j.Dataset)}
	}
	for i, m := range j.Media {
		if m.URI == "" {
			continue
		}
		if err := t.checkSource(m.URI); err != nil {
			return fmt.Errorf("medium %d: %w", i, err)
		}
	}
	return nil
}

func (t *tenant) checkSource(uri string) error {
	deny := func(why string) error {
		return codecs.Errorf(pipeline.CodeSourceDenied, codecs.StageTake, "%s", why)
	}
	u, err := cleanURI(uri)
	if err != nil {
		return deny(err.Error())
	}
	if !slices.ContainsFunc(t.sources, func(r sourceRule) bool { return r.allows(u) }) {
		return deny(fmt.Sprintf("tenant %s may not name media there; its sources are set by gateway.tenants", t.Name))
	}
	return nil
}

// sourceRule is a place that jobs may name media of.
type sourceRule struct {
	any          bool
	scheme, host string
	prefix       string // of the path; ends in a slash
}

func newSourceRule(s string) (sourceRule, error) {
	if s == "*" {
		return sourceRule{any: true}, nil
	}
	u, err := cleanURI(s)
	if err != nil {
		return sourceRule{}, fmt.Errorf("%.100q: %w; want s3://bucket/prefix/ or https://host/prefix/", s, err)
	}
	return sourceRule{scheme: u.scheme, host: u.host, prefix: strings.TrimSuffix(u.path, "/") + "/"}, nil
}

func (r sourceRule) allows(u cleaned) bool {
	return r.any || u.scheme == r.scheme && u.host == r.host && strings.HasPrefix(u.path, r.prefix)
}

// cleaned is a URI in the one form in which it can be compared.
type cleaned struct{ scheme, host, path string }

// cleanURI refuses what can be read in two ways: then the rule might see one place and
// the worker fetch from another. A key of S3 is literal; the path of a URL is compared
// after decoding, and may hold no dots that lead upwards.
func cleanURI(uri string) (cleaned, error) {
	scheme, rest, ok := strings.Cut(uri, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "s3" && scheme != "https" && scheme != "http" {
		return cleaned{}, fmt.Errorf("media may be named by s3://, https:// and http:// only")
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' }) {
		return cleaned{}, fmt.Errorf("the URI has a control character or a backslash")
	}
	if scheme == "s3" {
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket == "" || strings.ContainsAny(bucket, "@:?#") || leadsUp(key) {
			return cleaned{}, fmt.Errorf("the URI's bucket or key is malformed")
		}
		return cleaned{scheme, bucket, "/" + key}, nil
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return cleaned{}, fmt.Errorf("the URL is malformed")
	case u.User != nil:
		return cleaned{}, fmt.Errorf("the URL has credentials in it; sign it, or send the bytes")
	case u.Host == "" || leadsUp(u.Path):
		return cleaned{}, fmt.Errorf("the URL has no host, or dots in its path")
	}
	return cleaned{scheme, strings.ToLower(u.Host), path.Join("/", u.Path) + tail(u.Path)}, nil
}

// tail keeps the slash at the end that path.Join drops.
func tail(p string) string {
	if len(p) > 1 && strings.HasSuffix(p, "/") {
		return "/"
	}
	return ""
}

func leadsUp(p string) bool {
	return slices.ContainsFunc(strings.Split(p, "/"), func(s string) bool { return s == "." || s == ".." })
}
