package s3

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
)

func TestCredentials(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	file := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/") // no role here either
	if v, err := (Access{}).credentials().Get(); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("with no credentials anywhere it gives %q, %v", v.AccessKeyID, err)
	}
	if err := os.WriteFile(file, []byte("[reader]\naws_access_key_id = a\naws_secret_access_key = b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		Access
		key string
	}{
		"a profile":    {Access{Profile: "reader"}, "a"},
		"the settings": {Access{AccessKey: "x", SecretKey: pipeline.NewSecret("y")}, "x"},
	} {
		if v, err := c.credentials().Get(); err != nil || v.AccessKeyID != c.key {
			t.Errorf("from %s: %q, %v; want %q", name, v.AccessKeyID, err, c.key)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "e")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "f")
	if v, err := (Access{}).credentials().Get(); err != nil || v.AccessKeyID != "e" {
		t.Errorf("from the environment: %q, %v", v.AccessKeyID, err)
	}
	if v, err := (Access{Anonymous: true}).credentials().Get(); err != nil || v.AccessKeyID != "" {
		t.Errorf("anonymous: %q, %v", v.AccessKeyID, err)
	}
}

func TestValidate(t *testing.T) {
	y := pipeline.NewSecret("y")
	for want, a := range map[string]Access{
		"access_key":    {AccessKey: "x"},
		"secret_key":    {SecretKey: y},
		"session_token": {SessionToken: y},
		"anonymous":     {Anonymous: true, Profile: "p"},
		"insecure":      {Insecure: true},
		"endpoint":      {Endpoint: "http://h/path"},
		"ca_cert":       {CACert: "no-such-file"},
	} {
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; the text should name %s", a, err, want)
		}
	}
	for endpoint, want := range map[string]string{"": "s3.amazonaws.com true", "h:9000": "h:9000 true", "http://h:9000/": "h:9000 false", "https://h": "h true"} {
		host, secure, err := Access{Endpoint: endpoint}.host()
		if got := host + map[bool]string{true: " true", false: " false"}[secure]; err != nil || got != want {
			t.Errorf("endpoint %q is %s, %v; want %s", endpoint, got, err, want)
		}
	}
}
