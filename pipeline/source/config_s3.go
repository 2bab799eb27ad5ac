package source

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/s3"
)

// S3 says how s3:// objects are reached. It is a reader's identity, apart from that
// of the store which samples are written to.
type S3 struct {
	// Access: its endpoint never comes from a message.
	s3.Access `yaml:",inline"`
	// Allow lists what may be read: "bucket" or "bucket/prefix". Empty allows all that
	// the credentials allow.
	Allow []string `yaml:"allow"`
	// MaxBytes bounds one object.
	MaxBytes int64 `yaml:"max_bytes"`
	// Total bounds one attempt at an object, body included.
	Total time.Duration `yaml:"total_timeout"`
}

func (c S3) validate() error {
	if err := c.Access.Validate(); err != nil {
		return fmt.Errorf("source.s3.%w", err)
	}
	for _, a := range c.Allow {
		if a == "" || strings.HasPrefix(a, "/") || strings.Contains(a, "://") {
			return fmt.Errorf("source.s3.allow has %q: want bucket or bucket/prefix", a)
		}
	}
	return nil
}

// allows tells whether an object may be read. A prefix ends at a slash, so that
// "videos" does not allow the bucket "videos-private".
func (c S3) allows(bucket, key string) bool {
	for _, a := range c.Allow {
		b, prefix, _ := strings.Cut(a, "/")
		if b == bucket && (prefix == "" || key == prefix || strings.HasPrefix(key, strings.TrimSuffix(prefix, "/")+"/")) {
			return true
		}
	}
	return len(c.Allow) == 0
}
