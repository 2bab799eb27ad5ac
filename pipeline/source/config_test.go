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
		"source.max_bytes":            func(c *Config) { c.MaxBytes = 0 },
		"source.max_file_bytes":       func(c *Config) { c.MaxFileBytes = -1 },
		"source.tries":                func(c *Config) { c.Tries = 7 },
		"source.min_rate":             func(c *Config) { c.MinRate = 0 },
		"source.root":                 func(c *Config) { c.Root = "/data" },
		"source.http.ports is empty":  func(c *Config) { c.HTTP.Ports = nil },
		"source.http.ports has 0":     func(c *Config) { c.HTTP.Ports = []int{0} },
		"source.http.max_redirects":   func(c *Config) { c.HTTP.MaxRedirects = -1 },
		"source.http.total_timeout":   func(c *Config) { c.HTTP.Total = 0 },
		"source.s3.access_key":        func(c *Config) { c.S3.AccessKey = "a" },
		"source.s3.session_token":     func(c *Config) { c.S3.SessionToken = pipeline.NewSecret("t") },
		"source.s3.anonymous":         func(c *Config) { c.S3.Anonymous, c.S3.Profile = true, "p" },
		"source.s3.endpoint":          func(c *Config) { c.S3.Endpoint = "http://user:pw@host" },
		"source.s3.insecure":          func(c *Config) { c.S3.Insecure = true },
		"source.s3.allow[0].bucket":   func(c *Config) { c.S3.Allow = []AllowS3{{Bucket: "s3://bucket"}} },
		"source.s3.allow[1].prefix":   func(c *Config) { c.S3.Allow = []AllowS3{{Bucket: "bucket"}, {Bucket: "bucket", Prefix: "/p"}} },
		"source.s3.allow[0].datasets": func(c *Config) { c.S3.Allow = []AllowS3{{Bucket: "bucket", Datasets: []string{""}}} },
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
	text := "max_bytes: 10\nallow_files: true\nbackoff: 2s\nhttp: {ports: [8080], total_timeout: 1m}\ns3: {access_key: a, secret_key: env:READER_KEY, allow: [{bucket: media, prefix: p, datasets: [cats]}]}\n"
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.MaxBytes != 10 || !c.AllowFiles || c.Backoff.Seconds() != 2 || c.HTTP.Total.Minutes() != 1 || c.HTTP.TLS == 0 || c.S3.SecretKey.Reveal() != "hush" ||
		!c.S3.allows("cats", "media", "p/a") || c.S3.allows("dogs", "media", "p/a") {
		t.Errorf("read as %+v", c)
	}
}

func TestAllow(t *testing.T) {
	c := S3{}
	if !c.allows("any", "any", "key") {
		t.Error("an empty list allows nothing")
	}
	c.Allow = []AllowS3{
		{Bucket: "shared"}, {Bucket: "media", Prefix: "cats", Datasets: []string{"cats", "pets"}}, {Bucket: "media", Prefix: "dogs/", Datasets: []string{"pets"}},
	}
	for _, w := range []struct {
		dataset, bucket, key string
		want                 bool
	}{
		{"any", "shared", "x", true}, {"", "shared", "x", true}, {"any", "shared2", "x", false}, {"any", "Shared", "x", false},
		{"cats", "media", "cats/a", true}, {"cats", "media", "cats", true}, {"cats", "media", "cats-private/a", false}, {"cats", "media", "dogs/a", false},
		{"pets", "media", "cats/a", true}, {"pets", "media", "dogs/a", true}, {"pets", "media", "dogs/", true}, {"pets", "media", "birds/a", false},
		{"", "media", "cats/a", false}, {"Cats", "media", "cats/a", false}, {"cats", "media", "%63ats/a", false}, {"cats", "media", "x/cats/a", false}, {"cats", "media", "", false},
	} {
		if got := c.allows(w.dataset, w.bucket, w.key); got != w.want {
			t.Errorf("%+v: %v", w, got)
		}
	}
}
