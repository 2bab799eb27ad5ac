package s3

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// FuzzCredentialsFile: of whatever stands in a file of the AWS tools, a request is signed
// with a key and a secret, or there is none: it is never sent unsigned.
func FuzzCredentialsFile(f *testing.F) {
	f.Add([]byte("[default]\naws_access_key_id = AKIA\naws_secret_access_key = secret\n"), "")
	f.Add([]byte("[a]\naws_access_key_id = AKIA\n[b]\naws_secret_access_key = %(x)s\naws_session_token = t\n"), "b")
	f.Add([]byte("[default\naws_access_key_id"), "")
	f.Fuzz(func(t *testing.T, content []byte, profile string) {
		// A file may name a program that has the credentials. It is not to be run here.
		if bytes.Contains(bytes.ToLower(content), []byte("process")) {
			return
		}
		path := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c := &chain{providers: []credentials.Provider{&credentials.FileAWSCredentials{Filename: path, Profile: profile}}}
		v, err := c.Retrieve()
		if err != nil {
			if v != (credentials.Value{}) || !c.IsExpired() {
				t.Fatalf("%+v, and %v", v, err)
			}
			return
		}
		if v.AccessKeyID == "" || v.SecretAccessKey == "" || v.SignerType.IsAnonymous() {
			t.Fatalf("%q gives %+v", content, v)
		}
	})
}
