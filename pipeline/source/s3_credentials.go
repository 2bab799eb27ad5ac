package source

import (
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

var errNoCredentials = errors.New("no credentials to read S3 with were found: set source.s3.access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in the AWS files, or run with a role; for public buckets set source.s3.anonymous")

// credentials builds the chain: what is configured, the environment, files, roles.
func (c S3) credentials() *credentials.Credentials {
	switch {
	case c.Anonymous:
		return credentials.New(&credentials.Static{Value: credentials.Value{SignerType: credentials.SignatureAnonymous}})
	case c.AccessKey != "":
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey.Reveal(), c.SessionToken.Reveal())
	case c.Profile != "":
		return credentials.New(&chain{providers: []credentials.Provider{&credentials.FileAWSCredentials{Profile: c.Profile}}})
	}
	return credentials.New(&chain{providers: []credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	}})
}

// chain is the first provider that has credentials. minio-go's own chain turns to
// anonymous requests when none has; this one fails, also when a role's token can not
// be renewed.
type chain struct {
	providers []credentials.Provider
	current   credentials.Provider
}

func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	var causes []error
	for _, p := range c.providers {
		v, err := p.RetrieveWithCredContext(cc)
		if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
			c.current = p
			return v, nil
		}
		causes = append(causes, err)
	}
	if cause := errors.Join(causes...); cause != nil {
		return credentials.Value{}, fmt.Errorf("%w (%w)", errNoCredentials, cause)
	}
	return credentials.Value{}, errNoCredentials
}

// Retrieve is the older form of RetrieveWithCredContext.
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

func (c *chain) IsExpired() bool { return c.current == nil || c.current.IsExpired() }
