package s3

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/millrace/millrace/pipeline"
)

// ErrNoCredentials says that the chain came to its end.
var ErrNoCredentials = errors.New("no credentials were found: set access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in the AWS files, or run with a role; for a public bucket set anonymous")

// credentials builds the chain: what is configured, the environment, files, roles.
func (a Access) credentials() *credentials.Credentials {
	if a.Anonymous {
		return credentials.New(&credentials.Static{Value: credentials.Value{SignerType: credentials.SignatureAnonymous}})
	}
	if a.AccessKey != "" {
		return credentials.New(&chain{providers: []credentials.Provider{&configured{a: a}}})
	}
	if a.Profile != "" {
		return credentials.New(&chain{providers: []credentials.Provider{&credentials.FileAWSCredentials{Profile: a.Profile}}})
	}
	return credentials.New(&chain{providers: []credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	}})
}

// configured gives the credentials of the settings, as they stand in their files and
// variables at that moment. An owner that changes key and secret one after the other is
// seen in between; the server refuses such a pair, and it is read once more.
type configured struct {
	a    Access
	read bool
}

func (c *configured) RetrieveWithCredContext(*credentials.CredContext) (v credentials.Value, err error) {
	c.read = false
	key := c.a.AccessKey
	if isReference(key) {
		var s pipeline.Secret
		if err := s.UnmarshalText([]byte(key)); err != nil {
			return v, fmt.Errorf("access_key: %w", err)
		}
		key = s.Reveal()
	}
	secret, err := c.a.SecretKey.Again()
	if err != nil {
		return v, fmt.Errorf("secret_key: %w", err)
	}
	token, err := c.a.SessionToken.Again()
	if err != nil {
		return v, fmt.Errorf("session_token: %w", err)
	}
	c.read = true
	return credentials.Value{
		AccessKeyID: key, SecretAccessKey: secret.Reveal(), SessionToken: token.Reveal(), SignerType: credentials.SignatureV4,
	}, nil
}

// Retrieve is the older form of RetrieveWithCredContext.
func (c *configured) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

func (c *configured) IsExpired() bool { return !c.read }

// isReference tells where a key is from the key itself, which has no colon.
func isReference(key string) bool {
	return strings.HasPrefix(key, "file:") || strings.HasPrefix(key, "env:")
}

// chain is the first provider that has credentials, and from then on that one: a file
// that is missing for a moment must not hand over to another identity. Unlike minio-go's
// it fails when none has credentials, and never turns to anonymous requests: not at the
// start, and not when they can not be renewed.
type chain struct {
	providers []credentials.Provider
	current   credentials.Provider
	gone      bool // current had none when it was last asked
}

func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	providers := c.providers
	if c.current != nil {
		providers = []credentials.Provider{c.current}
	}
	var causes []error
	for _, p := range providers {
		v, err := p.RetrieveWithCredContext(cc)
		if err != nil {
			causes = append(causes, err)
			continue
		}
		if v.AccessKeyID != "" && v.SecretAccessKey != "" && v.SignerType != credentials.SignatureAnonymous {
			c.current, c.gone = p, false
			return v, nil
		}
	}
	if c.gone = true; len(causes) == 0 {
		return credentials.Value{}, ErrNoCredentials
	}
	return credentials.Value{}, fmt.Errorf("%w (%w)", ErrNoCredentials, errors.Join(causes...))
}

// Retrieve is the older form of RetrieveWithCredContext.
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

func (c *chain) IsExpired() bool { return c.current == nil || c.gone || c.current.IsExpired() }
