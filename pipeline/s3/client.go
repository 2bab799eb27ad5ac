package s3

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Client reaches one server. Every request is sent once: a conditional put that was
// repeated unseen would meet its own success as "exists", and all other retrying is the
// owner's too. Safe for concurrent use.
type Client struct {
	minio.Core
	// Transport is the client's own; its owner closes its idle connections.
	Transport *http.Transport

	creds  *credentials.Credentials
	worked atomic.Bool // the server has taken a signature
}

// Client makes a client. It opens no connection, and reads no credentials yet.
func (a Access) Client() (*Client, error) {
	host, secure, err := a.host()
	if err != nil {
		return nil, err
	}
	t, err := a.transport(secure)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if a.PathStyle {
		lookup = minio.BucketLookupPath
	}
	c := &Client{Transport: t, creds: a.credentials()}
	core, err := minio.New(host, &minio.Options{
		Creds: c.creds, Secure: secure, Region: a.RegionOrDefault(), BucketLookup: lookup, Transport: noting{t, &c.worked}, MaxRetries: 1,
	})
	c.Core = minio.Core{Client: core}
	return c, err
}

// Renew tells whether err refuses credentials that may be good when they are read anew,
// and has the next request read them: from the files and variables that the settings
// name, from the files of the AWS tools, or from the role. It is true for a token that
// has run out, for a clock that is off, and for a key that is unknown or does not fit
// its secret, provided the server has taken this client's signatures before: keys are
// then being changed. What never worked is a mistake, which waiting does not mend.
//
// How often and for how long the caller then tries is its own decision.
func (c *Client) Renew(err error) bool {
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return false
	}
	switch r.Code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "RequestTimeTooSkewed":
	case "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "SignatureDoesNotMatch", "NoSuchUser", "XAdminUserNotFound":
		if !c.worked.Load() {
			return false
		}
	default:
		return false
	}
	c.creds.Expire()
	return true
}

// noting notes that the server takes the signatures.
type noting struct {
	next   *http.Transport
	worked *atomic.Bool
}

// RoundTrip implements [http.RoundTripper].
func (n noting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.next.RoundTrip(req)
	if err == nil && resp.StatusCode < http.StatusMultipleChoices && req.Header.Get("Authorization") != "" {
		n.worked.Store(true)
	}
	return resp, err
}
