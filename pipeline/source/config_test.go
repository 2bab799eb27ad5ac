package source

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/millrace/millrace/pipeline"
)

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"source.max_bytes":           func(c *Config) { c.MaxBytes = 0 },
		"source.max_file_bytes":      func(c *Config) { c.MaxFileBytes = -1 },
		"source.tries":               func(c *Config) { c.Tries = 7 },
		"source.min_rate":            func(c *Config) { c.MinRate = 0 },
		"source.root":                func(c *Config) { c.Root = "/data" },
		"source.http.ports is empty": func(c *Config) { c.HTTP.Ports = nil },
		"source.http.ports has 0":    func(c *Config) { c.HTTP.Ports = []int{0} },
		"source.http.max_redirects":  func(c *Config) { c.HTTP.MaxRedirects = -1 },
		"source.http.total_timeout":  func(c *Config) { c.HTTP.Total = 0 },
		"source.s3.access_key":       func(c *Config) { c.S3.AccessKey = "a" },
		"source.s3.session_token":    func(c *Config) { c.S3.SessionToken = pipeline.NewSecret("t") },
		"source.s3.anonymous":        func(c *Config) { c.S3.Anonymous, c.S3.Profile = true, "p" },
		"source.s3.endpoint":         func(c *Config) { c.S3.Endpoint = "http://user:pw@host" },
		"source.s3.insecure":         func(c *Config) { c.S3.Insecure = true },
		"source.s3.allow":            func(c *Config) { c.S3.Allow = []string{"s3://b"} },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		} else if strings.Contains(err.Error(), "pw") {
			t.Errorf("the error tells a password: %v", err)
		}
	}
}

func TestConfigYAML(t *testing.T) {
	t.Setenv("READER_KEY", "hush")
	c := DefaultConfig()
	text := "max_bytes: 10\nallow_files: true\nbackoff: 2s\nhttp: {ports: [8080], total_timeout: 1m}\ns3: {access_key: a, secret_key: env:READER_KEY, allow: [b/p]}\n"
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.MaxBytes != 10 || !c.AllowFiles || c.Backoff.Seconds() != 2 || c.HTTP.Total.Minutes() != 1 || c.HTTP.TLS == 0 || c.S3.SecretKey.Reveal() != "hush" {
		t.Errorf("read as %+v", c)
	}
}
