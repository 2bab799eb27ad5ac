package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/services/gateway/identity"
)

// Config says who may send what, and how much of it.
type Config struct {
	// Listen is host:port.
	Listen string `yaml:"listen"`
	TLS    TLS    `yaml:"tls"`
	Auth   Auth   `yaml:"auth"`
	// Tenants that may use the gateway. A caller of any other tenant is refused.
	Tenants []Tenant `yaml:"tenants"`
	Limits  Limits   `yaml:"limits"`
	// HandleKey signs the handles of jobs. Gateways that answer for each other share it.
	// Empty means a key that is made once and kept in the store.
	HandleKey pipeline.Secret `yaml:"handle_key"`
	// Drain is how long it serves on after it has said that it is not ready, so that
	// load balancers can turn away from it.
	Drain time.Duration `yaml:"drain"`
	// Finish is how long requests may then take to end.
	Finish time.Duration `yaml:"finish"`
}

// TLS says how the listener is secured.
type TLS struct {
	Cert string `yaml:"cert_file"`
	Key  string `yaml:"key_file"`
	// ClientCA is a PEM file of authorities for client certificates.
	ClientCA string `yaml:"client_ca_file"`
}

// Auth says how callers prove who they are. At least one way is needed.
type Auth struct {
	Tokens []identity.Token `yaml:"tokens"`
	// TokensFile is a YAML list of more tokens, as `millrace gateway token` appends to it.
	TokensFile string              `yaml:"tokens_file"`
	OIDC       []identity.Issuer   `yaml:"oidc"`
	Workloads  []identity.Workload `yaml:"workloads"` // SPIFFE ids of client certificates
	// None lets everybody in who can reach the listener, which is then loopback only.
	// Set by --insecure-no-auth.
	None bool `yaml:"-"`
}

// Tenant is somebody whose jobs are kept apart from others'.
type Tenant struct {
	Name string `yaml:"name"`
	// Datasets that it may write to; "*" is any. One that is alone, and no pattern, is
	// the default of its jobs.
	Datasets []string `yaml:"datasets"`
	// Sources that its jobs may name: s3://bucket/prefix/ or https://host/prefix/; "*" is
	// any of these schemes. Empty means that it sends bytes only.
	Sources []string `yaml:"sources"`
	// Rate is requests a second on average; 0 means limits.rate. Burst is how many at once;
	// 0 means those of a second.
	Rate  float64 `yaml:"rate"`
	Burst int     `yaml:"burst"`
	// DayBytes is how many bytes of bodies it may send in a day to one gateway; 0 means
	// limits.bytes_per_day. What others fetch for its jobs does not count.
	DayBytes int64 `yaml:"bytes_per_day"`
	// MaxBytes bounds a medium that is sent; 0 means limits.max_bytes.
	MaxBytes int64 `yaml:"max_bytes"`
	// Uploads is how many requests with bodies may be under way; 0 means limits.uploads,
	// or half of them where there are other tenants.
	Uploads int `yaml:"uploads"`
}

// Limits bound what requests cost the gateway.
type Limits struct {
	// Inline is the largest medium that travels in a record. The topic's own limit
	// lowers it.
	Inline int64 `yaml:"inline_bytes"`
	// MaxBytes bounds a medium that comes in one request; MaxUpload a resumable one.
	MaxBytes  int64 `yaml:"max_bytes"`
	MaxUpload int64 `yaml:"max_upload_bytes"`
	// Batch bounds the items of a batch, BatchBytes its body.
	Batch      int   `yaml:"batch"`
	BatchBytes int64 `yaml:"batch_bytes"`
	// Uploads is how many requests with media or jobs may be under way, over all
	// tenants. Each costs up to about 40 MiB of memory, a resumable one 17 MiB.
	Uploads int `yaml:"uploads"`
	// Rate and DayBytes are those of tenants that have none of their own.
	Rate     float64 `yaml:"rate"`
	DayBytes int64   `yaml:"bytes_per_day"`
	// Header bounds the time for a request's headers; Idle that without a byte of its
	// body; MinRate, in bytes a second, is what a body must keep up on average.
	Header  time.Duration `yaml:"header_timeout"`
	Idle    time.Duration `yaml:"idle_timeout"`
	MinRate int64         `yaml:"min_rate"`
	// Publish bounds the time until the topic has acknowledged a job.
	Publish time.Duration `yaml:"publish_timeout"`
	// Expire is when an unfinished resumable upload that nobody goes on with is removed.
	Expire time.Duration `yaml:"upload_expiry"`
	// Idempotency is how long an Idempotency-Key is remembered, IdempotencyKeys how many
	// are, of which each tenant has the same share.
	Idempotency     time.Duration `yaml:"idempotency_window"`
	IdempotencyKeys int           `yaml:"idempotency_keys"`
}

// DefaultListen is loopback: to listen for others is a decision.
const DefaultListen = "127.0.0.1:8080"

// DefaultConfig needs a way to authenticate and tenants.
func DefaultConfig() Config {
	return Config{
		Listen: DefaultListen, Drain: 5 * time.Second, Finish: 30 * time.Second,
		Limits: Limits{
			Inline: message.MaxValue, MaxBytes: 2 << 30, MaxUpload: 100 << 30,
			Batch: 1000, BatchBytes: 16 << 20, Uploads: 16, Rate: 10_000, DayBytes: 10 << 40,
			Header: 10 * time.Second, Idle: 30 * time.Second, MinRate: 16 << 10, Publish: 30 * time.Second,
			Expire: 48 * time.Hour, Idempotency: 24 * time.Hour, IdempotencyKeys: 100_000,
		},
	}
}

// Validate refuses a Config that can not work, or that would let strangers in, naming
// the setting.
func (c Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("gateway.listen is %q: give host:port, as in %s", c.Listen, DefaultListen)
	}
	if err := c.validateAuth(host); err != nil {
		return err
	}
	if err := c.validateTenants(); err != nil {
		return err
	}
	if c.Drain < 0 || c.Finish <= 0 {
		return fmt.Errorf("gateway.drain is %s and gateway.finish %s: they need 0 or more, and more than 0", c.Drain, c.Finish)
	}
	return c.Limits.validate()
}

func (c Config) validateAuth(host string) error {
	some := len(c.Auth.Tokens) > 0 || c.Auth.TokensFile != "" || len(c.Auth.OIDC) > 0 || len(c.Auth.Workloads) > 0
	switch {
	case c.Auth.None && some:
		return errors.New("--insecure-no-auth is given, yet gateway.auth has settings: choose one")
	case c.Auth.None && !isLoopback(host):
		return fmt.Errorf("--insecure-no-auth lets everybody in, so it listens on loopback only, and gateway.listen is %q: say 127.0.0.1:PORT, or set up gateway.auth", c.Listen)
	case !c.Auth.None && !some:
		return errors.New("gateway.auth has no way to know callers: set tokens (`millrace gateway token` makes one), oidc or workloads; on this machine alone --insecure-no-auth does without")
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return errors.New("gateway.tls.cert_file and gateway.tls.key_file go together: give both or neither")
	case len(c.Auth.Workloads) > 0 && (c.TLS.ClientCA == "" || c.TLS.Cert == ""):
		return errors.New("gateway.auth.workloads are known by client certificates: set gateway.tls.cert_file, key_file and client_ca_file")
	}
	for _, f := range []struct{ name, path string }{{"tls.cert_file", c.TLS.Cert}, {"tls.key_file", c.TLS.Key}, {"tls.client_ca_file", c.TLS.ClientCA}, {"auth.tokens_file", c.Auth.TokensFile}} {
		if f.path == "" {
			continue
		}
		if _, err := os.Stat(f.path); err != nil {
			return fmt.Errorf("gateway.%s: %w", f.name, err)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tenantForm is what a tenant may be called: a part of an object's key.
var tenantForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func (c Config) validateTenants() error {
	if len(c.Tenants) == 0 && !c.Auth.None {
		return errors.New("gateway.tenants is empty: nobody could send anything; list tenants with their datasets")
	}
	seen := map[string]bool{}
	for i, t := range c.Tenants {
		at := fmt.Sprintf("gateway.tenants[%d]", i)
		switch {
		case !tenantForm.MatchString(t.Name):
			return fmt.Errorf("%s.name is %.80q: want up to 63 of a-z 0-9 -", at, t.Name)
		case seen[t.Name]:
			return fmt.Errorf("%s: tenant %s stands twice", at, t.Name)
		case t.Rate < 0 || t.Burst < 0 || t.MaxBytes < 0 || t.Uploads < 0 || t.DayBytes < 0:
			return fmt.Errorf("%s (%s) has a limit below 0", at, t.Name)
		case slices.Contains(t.Datasets, ""):
			return fmt.Errorf("%s (%s).datasets has an empty name", at, t.Name)
		}
		for _, s := range t.Sources {
			if _, err := newSourceRule(s); err != nil {
				return fmt.Errorf("%s (%s).sources: %w", at, t.Name, err)
			}
		}
		seen[t.Name] = true
	}
	return nil
}

func (l Limits) validate() error {
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"inline_bytes", l.Inline}, {"max_bytes", l.MaxBytes}, {"max_upload_bytes", l.MaxUpload}, {"batch", int64(l.Batch)},
		{"batch_bytes", l.BatchBytes}, {"uploads", int64(l.Uploads)}, {"bytes_per_day", l.DayBytes}, {"header_timeout", int64(l.Header)}, {"idle_timeout", int64(l.Idle)},
		{"min_rate", l.MinRate}, {"publish_timeout", int64(l.Publish)}, {"upload_expiry", int64(l.Expire)},
		{"idempotency_window", int64(l.Idempotency)}, {"idempotency_keys", int64(l.IdempotencyKeys)},
	} {
		if v.n < 1 {
			return fmt.Errorf("gateway.limits.%s is %d: every limit needs a value above 0", v.name, v.n)
		}
	}
	if l.Rate <= 0 {
		return fmt.Errorf("gateway.limits.rate is %v: every limit needs a value above 0", l.Rate)
	}
	if l.Inline > message.MaxValue {
		return fmt.Errorf("gateway.limits.inline_bytes is %d: a record holds %d at most", l.Inline, message.MaxValue)
	}
	return nil
}

// noAuthTenant is everybody's, where nobody is asked who he is.
func noAuthTenant() Tenant {
	return Tenant{Name: "local", Datasets: []string{"*"}, Sources: []string{"*"}}
}

// hasPattern reports whether a dataset's name stands for several.
func hasPattern(name string) bool { return strings.Contains(name, "*") }
