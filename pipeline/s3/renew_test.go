package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/millrace/millrace/pipeline"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wary takes one key and one token, which can be changed, and counts unsigned requests.
type wary struct {
	key, token atomic.Value
	unsigned   atomic.Int64
}

func (s *wary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
	}
	switch auth := r.Header.Get("Authorization"); {
	case auth == "":
		s.unsigned.Add(1)
		refuse(403, "AccessDenied")
	case !strings.Contains(auth, "Credential="+s.key.Load().(string)+"/"):
		refuse(403, "InvalidAccessKeyId")
	case r.Header.Get("X-Amz-Security-Token") != s.token.Load().(string):
		refuse(400, "ExpiredToken")
	default:
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

func (s *wary) access(t *testing.T) Access {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return Access{Endpoint: server.URL, Region: "us-east-1", PathStyle: true}
}

func connect(t *testing.T, a Access) func() error {
	t.Helper()
	c, err := a.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Transport.CloseIdleConnections)
	return func() error {
		_, err := c.PutObject(t.Context(), "bucket", "k", strings.NewReader("x"), 1, "", "", minio.PutObjectOptions{})
		if err != nil && !c.Renew(err) {
			return fmt.Errorf("for good: %w", err)
		}
		return err
	}
}

// TestRenew changes credentials where the client finds them: the first request after it
// is refused, the second works.
func TestRenew(t *testing.T) {
	dir := t.TempDir()
	key, token, shared := filepath.Join(dir, "key"), filepath.Join(dir, "token"), filepath.Join(dir, "shared")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", shared)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	t.Setenv("MILLRACE_TEST_SECRET", "s")
	secret := func(from string) (s pipeline.Secret) {
		if err := s.UnmarshalText([]byte(from)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	set := func(n string) {
		write(t, key, "key"+n+"\n")
		write(t, token, "token"+n)
		write(t, shared, "[p]\naws_access_key_id = key"+n+"\naws_secret_access_key = s\naws_session_token = token"+n+"\n")
	}
	set("1")
	for name, a := range map[string]Access{
		"files":     {AccessKey: "file:" + key, SecretKey: secret("env:MILLRACE_TEST_SECRET"), SessionToken: secret("file:" + token)},
		"a profile": {Profile: "p"},
	} {
		t.Run(name, func(t *testing.T) {
			set("1")
			s := &wary{}
			s.key.Store("key0")
			s.token.Store("token1")
			at := s.access(t)
			a.Endpoint, a.Region, a.PathStyle = at.Endpoint, at.Region, true
			try := connect(t, a)
			if err := try(); err == nil || !strings.HasPrefix(err.Error(), "for good") {
				t.Errorf("a key that never worked: %v", err)
			}
			if s.key.Store("key1"); try() != nil {
				t.Error("it does not work")
			}
			for _, code := range []string{"ExpiredToken", "InvalidAccessKeyId"} {
				if s.token.Store("token2"); code == "InvalidAccessKeyId" {
					s.key.Store("key2")
				}
				err := try()
				if r := minio.ToErrorResponse(err); r.Code != code || strings.HasPrefix(err.Error(), "for good") {
					t.Errorf("changed on the server alone: %v", err)
				}
				set("2")
				_ = try() // read before the files were changed
				if code == "ExpiredToken" {
					s.key.Store("key2")
				}
				if err := errors.Join(try(), try()); err != nil {
					t.Errorf("after %s: %v", code, err)
				}
				s.key.Store("key1")
				s.token.Store("token1")
				set("1")
				_, _ = try(), try()
			}
			if n := s.unsigned.Load(); n != 0 {
				t.Errorf("%d requests were sent without a signature", n)
			}
		})
	}
}

// TestNeverAnonymous takes the credentials away while the client runs: it stops, and
// neither sends unsigned requests nor takes another identity.
func TestNeverAnonymous(t *testing.T) {
	dir := t.TempDir()
	shared := filepath.Join(dir, "shared")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", shared)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	const good = "[default]\naws_access_key_id = key1\naws_secret_access_key = s\n"
	write(t, shared, good)
	s := &wary{}
	s.key.Store("key1")
	s.token.Store("")
	try := connect(t, s.access(t))
	if err := try(); err != nil {
		t.Fatal(err)
	}
	// Another identity comes within reach. It is not this client's.
	t.Setenv("AWS_ACCESS_KEY_ID", "other")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "other")
	s.key.Store("key2")
	for _, text := range []string{"", "[default]\n", "[default]\naws_access_key_id =\naws_secret_access_key =\n", "[default]\naws_access_key_id = key1\n", "\x00"} {
		write(t, shared, text)
		_ = try() // is refused, so that the next one reads the file
		if err := try(); !errors.Is(err, ErrNoCredentials) {
			t.Errorf("with the file %q: %v", text, err)
		}
	}
	if err := os.Remove(shared); err != nil {
		t.Fatal(err)
	}
	if err := try(); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("without the file: %v", err)
	}
	s.key.Store("key1")
	write(t, shared, good)
	if err := try(); err != nil {
		t.Errorf("with the file back: %v", err)
	}
	if n := s.unsigned.Load(); n != 0 {
		t.Errorf("%d requests were sent without a signature", n)
	}
}

// TestWebIdentity has the token file of a role changed, as Kubernetes does.
func TestWebIdentity(t *testing.T) {
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, r.Form.Get("WebIdentityToken"))
	}))
	defer sts.Close()
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "one")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/writer")
	c := credentials.New(&chain{providers: []credentials.Provider{&credentials.IAM{Client: sts.Client(), Endpoint: sts.URL}}})
	if v, err := c.Get(); err != nil || v.AccessKeyID != "one" {
		t.Fatalf("got %q, %v", v.AccessKeyID, err)
	}
	write(t, token, "two")
	if v, err := c.Get(); err != nil || v.AccessKeyID != "one" {
		t.Errorf("while it lasts: %q, %v", v.AccessKeyID, err)
	}
	c.Expire()
	if v, err := c.Get(); err != nil || v.AccessKeyID != "two" {
		t.Errorf("after a refusal: %q, %v", v.AccessKeyID, err)
	}
}
