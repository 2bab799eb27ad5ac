package source

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Config says what may be fetched and how much of it. Start from [DefaultConfig].
type Config struct {
	// Dir is where fetched bytes are spooled. Empty means the system's temporary folder.
	Dir string `yaml:"dir"`
	// MaxBytes bounds a medium that is spooled from inline bytes, HTTP or an archive.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxFileBytes bounds a local file, which is not copied.
	MaxFileBytes int64 `yaml:"max_file_bytes"`
	// RangesFrom is from how many bytes on a medium over HTTP or of S3 is read in ranges, where
	// little of it is wanted (see pipeline.Media), its server can do it, and no digest is
	// to be checked.
	RangesFrom int64 `yaml:"ranges_from"`
	// AllowFiles lets plain paths and file:// URIs be read. Meant for the command line.
	AllowFiles bool `yaml:"allow_files"`
	// Root confines files to one folder; links that lead out of it are refused.
	Root string `yaml:"root"`
	// AllowPrivate lets HTTP reach loopback, private, shared (CGNAT) and unique local
	// addresses, on any port. All other special addresses stay refused.
	AllowPrivate bool `yaml:"allow_private"`
	// Tries is how often a transient failure is met before it is returned: 1 to 6.
	Tries int `yaml:"tries"`
	// Backoff is the wait after the first failure; it doubles, up to 30 s.
	Backoff time.Duration `yaml:"backoff"`
	// MaxRetryAfter is the longest Retry-After that is waited for.
	MaxRetryAfter time.Duration `yaml:"max_retry_after"`
	// MinRate, in bytes a second averaged over RateWindow, is what a sender must keep up.
	MinRate    int64         `yaml:"min_rate"`
	RateWindow time.Duration `yaml:"rate_window"`

	// OutagePatience is how long an outage is waited for before the stream stops.
	OutagePatience time.Duration `yaml:"outage_patience"`

	HTTP HTTP `yaml:"http"`
	S3   S3   `yaml:"s3"`

	// Dataset is that of media which name none, for a program that serves one dataset.
	Dataset string `yaml:"-"`
	// Log is told of outages. Nil means nobody.
	Log *slog.Logger `yaml:"-"`
}

// HTTP bounds one attempt at a URL.
type HTTP struct {
	Connect time.Duration `yaml:"connect_timeout"` // to one address
	TLS     time.Duration `yaml:"tls_timeout"`
	Header  time.Duration `yaml:"header_timeout"` // from the request to the response's headers
	Total   time.Duration `yaml:"total_timeout"`  // redirects and body included
	// MaxRedirects is how many redirects are followed, each under the same rules.
	MaxRedirects int `yaml:"max_redirects"`
	// MaxHeaderBytes bounds a response's headers.
	MaxHeaderBytes int64 `yaml:"max_header_bytes"`
	// PerHost bounds what one host is asked.
	PerHost PerHost `yaml:"per_host"`
	// Contact stands in the User-Agent: a URL or mail address where who runs this can be
	// reached. Crawlers should set it.
	Contact string `yaml:"contact"`
	// DependOn names hosts, without ports, whose outages are always waited for.
	DependOn []string `yaml:"depend_on"`
	// Ports that may be asked. AllowPrivate lifts this.
	Ports []int `yaml:"ports"`
}

// DefaultConfig is for media from strangers: no files, no private addresses.
func DefaultConfig() Config {
	return Config{
		MaxBytes: 2 << 30, MaxFileBytes: 1 << 40, RangesFrom: 256 << 20,
		Tries: 6, Backoff: time.Second, MaxRetryAfter: 5 * time.Minute,
		MinRate: 16 << 10, RateWindow: 30 * time.Second, OutagePatience: time.Hour,
		HTTP: HTTP{
			Connect: 5 * time.Second, TLS: 5 * time.Second, Header: 10 * time.Second, Total: 10 * time.Minute,
			MaxRedirects: 3, MaxHeaderBytes: 64 << 10, PerHost: PerHost{Concurrent: 8, PerSecond: 20}, Ports: []int{80, 443},
		},
		S3: S3{MaxBytes: 20 << 30, Total: time.Hour},
	}
}

// Validate refuses settings that can not work, by name.
func (c Config) Validate() error {
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"max_bytes", c.MaxBytes}, {"max_file_bytes", c.MaxFileBytes}, {"s3.max_bytes", c.S3.MaxBytes}, {"ranges_from", c.RangesFrom},
		{"backoff", int64(c.Backoff)}, {"max_retry_after", int64(c.MaxRetryAfter)},
		{"min_rate", c.MinRate}, {"rate_window", int64(c.RateWindow)},
		{"http.connect_timeout", int64(c.HTTP.Connect)}, {"http.tls_timeout", int64(c.HTTP.TLS)},
		{"http.header_timeout", int64(c.HTTP.Header)}, {"http.total_timeout", int64(c.HTTP.Total)},
		{"http.max_header_bytes", c.HTTP.MaxHeaderBytes}, {"http.per_host.concurrent", int64(c.HTTP.PerHost.Concurrent)},
		{"outage_patience", int64(c.OutagePatience)},
		{"s3.total_timeout", int64(c.S3.Total)},
	} {
		if v.n < 1 {
			return fmt.Errorf("source.%s is %d: every limit needs a value above 0", v.name, v.n)
		}
	}
	switch {
	case c.Tries < 1 || c.Tries > 6:
		return fmt.Errorf("source.tries is %d: it must be from 1 to 6", c.Tries)
	case c.HTTP.MaxRedirects < 0 || c.HTTP.MaxRedirects > 10:
		return fmt.Errorf("source.http.max_redirects is %d: it must be from 0 to 10", c.HTTP.MaxRedirects)
	case !(c.HTTP.PerHost.PerSecond >= 0):
		return fmt.Errorf("source.http.per_host.per_second is %v: it must be 0 (no rate) or more", c.HTTP.PerHost.PerSecond)
	case strings.ContainsFunc(c.HTTP.Contact, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune("()\\", r) }):
		return errors.New("source.http.contact: want a URL or a mail address, without brackets")
	case len(c.HTTP.Ports) == 0 && !c.AllowPrivate:
		return errors.New("source.http.ports is empty: name the ports that may be asked, as in [80, 443]")
	case c.Root != "" && !c.AllowFiles:
		return errors.New("source.root is set, yet source.allow_files is off: no file would be read")
	}
	for _, p := range c.HTTP.Ports {
		if p < 1 || p > 65535 {
			return fmt.Errorf("source.http.ports has %d: a port is from 1 to 65535", p)
		}
	}
	return c.S3.validate()
}

func (c Config) dir() string {
	if c.Dir == "" {
		return os.TempDir()
	}
	return c.Dir
}
