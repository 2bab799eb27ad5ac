package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The life of credentials: workers fetch new ones when four fifths of it are over.
const (
	keyLife    = 8 * time.Second
	keyRefresh = time.Second
)

// keys are the workers' credentials. Two users exist; one is in force. Workers read it
// from a file, by the AWS files' credential_process, with a time at which it runs out.
type keys struct {
	dir   string
	users [2]struct{ access, secret string }

	mu      sync.Mutex
	current int
	refused bool // the other user's requests are answered with ExpiredToken
}

// newKeys writes the files that workers and the server read.
func newKeys(dir, secret string) (*keys, error) {
	k := &keys{dir: dir}
	accounts := map[string]any{}
	for i := range k.users {
		k.users[i].access, k.users[i].secret = fmt.Sprintf("worker-%d", i), fmt.Sprintf("%s-%d", secret, i)
		accounts[k.users[i].access] = map[string]any{"access": k.users[i].access, "secret": k.users[i].secret, "role": "admin"}
	}
	if err := os.MkdirAll(k.iam(), 0o700); err != nil {
		return nil, err
	}
	users, err := json.Marshal(map[string]any{"accessAccounts": accounts})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(k.iam(), "users.json"), users, 0o600); err != nil {
		return nil, err
	}
	profile := fmt.Sprintf("[default]\ncredential_process = cat %s\n", k.file())
	if err := os.WriteFile(k.profile(), []byte(profile), 0o600); err != nil {
		return nil, err
	}
	return k, k.write()
}

// iam is the folder of the server's users; profile the AWS file that workers are given.
func (k *keys) iam() string     { return filepath.Join(k.dir, "iam") }
func (k *keys) profile() string { return filepath.Join(k.dir, "credentials") }
func (k *keys) file() string    { return filepath.Join(k.dir, "credentials.json") }

// write puts the user in force into the file, for a short life from now on.
func (k *keys) write() error {
	k.mu.Lock()
	u := k.users[k.current]
	k.mu.Unlock()
	data, err := json.Marshal(map[string]any{
		"Version": 1, "AccessKeyId": u.access, "SecretAccessKey": u.secret,
		"Expiration": time.Now().Add(keyLife).UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(k.file()+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(k.file()+".new", k.file())
}

// keep renews the file until ctx ends.
func (k *keys) keep(ctx context.Context) error {
	for sleep(ctx, keyRefresh) {
		if err := k.write(); err != nil {
			return err
		}
	}
	return nil
}

// rotate puts the other user in force. From now on requests by the one before are
// refused as expired, those under way with it included, though its holders believe it
// to be good for some seconds more.
func (k *keys) rotate() error {
	k.mu.Lock()
	k.current = 1 - k.current
	k.refused = true
	k.mu.Unlock()
	return k.write()
}

// refuses reports whether a request is signed by a user that has expired.
func (k *keys) refuses(r *http.Request) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused && strings.Contains(r.Header.Get("Authorization"), "Credential="+k.users[1-k.current].access+"/")
}
