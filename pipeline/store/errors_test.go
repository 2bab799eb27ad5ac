package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/s3"
	"github.com/millrace/millrace/pipeline/store"
)

func TestErrorMethods(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		kind                                  error
		notFound, exists, conflict, permanent bool
	}{
		{nil, false, false, false, false},
		{store.ErrNotFound, true, false, false, true},
		{store.ErrExists, false, true, false, true},
		{store.ErrConflict, false, false, true, false},
		{store.ErrUnknown, false, false, false, false},
		{store.ErrDenied, false, false, false, true},
		{store.ErrRange, false, false, false, true},
		{store.ErrInvalid, false, false, false, true},
		{store.ErrCorrupt, false, false, false, false},
	} {
		e := &store.Error{Op: "get", Key: "k", Kind: c.kind, Err: cause}
		if e.NotFound() != c.notFound || e.Exists() != c.exists || e.Conflict() != c.conflict || e.Permanent() != c.permanent {
			t.Errorf("%v answers wrongly", e)
		}
		wrapped := fmt.Errorf("more: %w", e)
		if store.IsPermanent(wrapped) != c.permanent || store.IsNotFound(wrapped) != c.notFound || !errors.Is(wrapped, cause) {
			t.Errorf("%v, wrapped, answers wrongly", e)
		}
		if c.kind != nil && !errors.Is(wrapped, c.kind) {
			t.Errorf("%v is not its kind", e)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	cfg := store.Config{Access: s3.Access{AccessKey: "AK", SecretKey: pipeline.NewSecret("hunter2"), SessionToken: pipeline.NewSecret("hunter2token")}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", cfg, cfg.SecretKey)
	}
	j, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	out.Write(y)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "cfg", cfg, "secret", cfg.SecretKey)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "cfg", cfg, "secret", cfg.SecretKey)
	for _, leak := range []string{"hunter2", "68756e74657232", "dW50ZXIy"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the secret is printed as %q in\n%s", leak, out.String())
		}
	}
	if !strings.Contains(string(j), `"secret_key":"redacted"`) || cfg.SecretKey.Reveal() != "hunter2" {
		t.Errorf("got %s", j)
	}
	t.Setenv("SOME_SECRET", "hunter2")
	var back store.Config
	if err := yaml.Unmarshal([]byte("secret_key: env:SOME_SECRET\naccess_key: AK\npath_style: true"), &back); err != nil || back.SecretKey.Reveal() != "hunter2" || !back.PathStyle {
		t.Errorf("read from YAML: %v, %v", back, err)
	}
}

func TestConfigValidate(t *testing.T) {
	pem := t.TempDir() + "/ca.pem"
	if err := os.WriteFile(pem, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]store.Config{
		"access_key and secret_key":  {Access: s3.Access{AccessKey: "a"}},
		"secret_key: one is set":     {Access: s3.Access{SecretKey: pipeline.NewSecret("a")}},
		"session_token":              {Access: s3.Access{SessionToken: pipeline.NewSecret("a")}},
		"anonymous":                  {Access: s3.Access{Anonymous: true, AccessKey: "a", SecretKey: pipeline.NewSecret("b")}},
		"part_size is 5":             {PartSize: 5},
		"part_size is 134217728":     {PartSize: 128 << 20},
		"parts is 17":                {Parts: 17},
		"insecure is set without an": {Access: s3.Access{Insecure: true}},
		"yet endpoint":               {Access: s3.Access{Insecure: true, Endpoint: "https://h"}},
		"endpoint: want host":        {Access: s3.Access{Endpoint: "http://h/path"}},
		"endpoint: want":             {Access: s3.Access{Endpoint: "http://user@h"}},
		"ca_cert":                    {Access: s3.Access{CACert: "/nowhere/ca.pem"}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want one with %q", c, err, want)
		}
	}
	for _, c := range []store.Config{{}, {Access: s3.Access{Endpoint: "h:9000", Insecure: true}}, {Access: s3.Access{Endpoint: "http://h:9000/"}}, {Access: s3.Access{AccessKey: "a", SecretKey: pipeline.NewSecret("b"), SessionToken: pipeline.NewSecret("c")}}, {PartSize: 16 << 20, Parts: 16}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	_, err := store.Open(t.Context(), "s3://bucket", store.Config{Access: s3.Access{Endpoint: "127.0.0.1:1", AccessKey: "a", SecretKey: pipeline.NewSecret("b"), CACert: pem}})
	if err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("a CA file without certificates: %v", err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, location := range []string{"file://" + dir + "/a%20b", dir + "/a b"} {
		s, err := store.Open(t.Context(), location, store.Config{})
		if err != nil {
			t.Fatalf("%s: %v", location, err)
		}
		d := s.(*store.Dir)
		if d.String() != "file://"+dir+"/a b" {
			t.Errorf("%s opens %s", location, d)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	for location, want := range map[string]string{
		"":                              "no location",
		"file://host/path":              "three slashes",
		"gs://bucket":                   `"gs" is no scheme`,
		"s3://":                         "bucket",
		"s3://Bad_Bucket":               "bucket",
		"s3://b/x":                      "bucket",
		"s3://bucket/a//b":              "empty",
		"s3://bucket/../b":              "dot",
		"s3://key:hunter2@bucket/x":     "credentials do not belong",
		"s3://bucket/x?secret=hunter2":  `its query has "secret"`,
		"s3://bucket/x?path_style=si":   "true or false",
		"s3://bucket/x?insecure=true":   "insecure is set without",
		"s3://bucket/%zz?hunter2":       "not a URL",
		"s3://bucket/x?a=%zz&b=hunter2": "query",
	} {
		_, err := store.Open(t.Context(), location, store.Config{Access: s3.Access{AccessKey: "a", SecretKey: pipeline.NewSecret("b")}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want one with %q", location, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error repeats a secret: %v", location, err)
		}
	}
}

func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"a", "a/b.c/d", "..", "a//b", "/a", ".tmp-x", "a\x00", "ü", strings.Repeat("x", 300)} {
		f.Add(key)
	}
	d, err := store.OpenDir(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = d.Close() })
	f.Fuzz(func(t *testing.T, key string) {
		if store.CheckKey(key) != nil {
			return
		}
		if len(key) > store.MaxKey || strings.HasPrefix(key, "/") || strings.Contains("/"+key+"/", "/../") || strings.Contains("/"+key, "/.") || strings.ContainsRune(key, 0) {
			t.Fatalf("%q is accepted", key)
		}
		if _, err := d.Stat(t.Context(), key); !store.IsNotFound(err) {
			t.Fatalf("%q is accepted, but a directory says %v", key, err)
		}
	})
}
