package s3

import (
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// ErrNoCredentials says that the chain came to its end.
var ErrNoCredentials = errors.New("no credentials were found: set access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in the AWS files, or run with a role; for a public bucket set anonymous")

// credentials builds the chain: what is configured, the environment, files, roles.
func (a Access) credentials() *credentials.Credentials {
	if a.Anonymous {
		return credentials.New(&credentials.Static{Value: credentials.Value{SignerType: credentials.SignatureAnonymous}})
	}
	if a.AccessKey != "" {
		return credentials.NewStaticV4(a.AccessKey, a.SecretKey.Reveal(), a.SessionToken.Reveal())
	}
	if a.Profile != "" {
		return credentials.New(&chain{providers: []credentials.Provider{&credentials.FileAWSCredentials{Profile: a.Profile}}})
	}
	return credentials.New(&chain{providers: []credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	}})
}

// chain is the first provider that has credentials. Unlike minio-go's it fails when
// none has, and never turns to anonymous requests: not at the start, and not when a
// role's token can not be renewed.
type chain struct {
	providers []credentials.Provider
	current   credentials.Provider
}

func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	var causes []error
	for _, p := range c.providers {
		v, err := p.RetrieveWithCredContext(cc)
		if err != nil {
			causes = append(causes, err)
			continue
		}
		if v.AccessKeyID != "" && v.SecretAccessKey != "" {
			c.current = p
			return v, nil
		}
	}
	if len(causes) == 0 {
		return credentials.Value{}, ErrNoCredentials
	}
	return credentials.Value{}, fmt.Errorf("%w (%w)", ErrNoCredentials, errors.Join(causes...))
}

// Retrieve is the older form of RetrieveWithCredContext.
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

func (c *chain) IsExpired() bool { return c.current == nil || c.current.IsExpired() }
