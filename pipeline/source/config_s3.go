package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/millrace/millrace/pipeline/s3"
)

// S3 says how s3:// objects are reached. It is a reader's identity, apart from that
// of the store which samples are written to.
type S3 struct {
	// Access: its endpoint never comes from a message.
	s3.Access `yaml:",inline"`
	// Allow lists what may be read, and by which datasets. Empty allows all that the
	// credentials allow.
	Allow []AllowS3 `yaml:"allow"`
	// MaxBytes bounds one object.
	MaxBytes int64 `yaml:"max_bytes"`
	// Total bounds one attempt at an object, body included.
	Total time.Duration `yaml:"total_timeout"`
}

func (c S3) validate() error {
	if err := c.Access.Validate(); err != nil {
		return fmt.Errorf("source.s3.%w", err)
	}
	for i, a := range c.Allow {
		if err := a.validate(); err != nil {
			return fmt.Errorf("source.s3.allow[%d].%w", i, err)
		}
	}
	return nil
}

// AllowS3 lets datasets read the objects of a bucket under a prefix.
type AllowS3 struct {
	Bucket string `yaml:"bucket"`
	// Prefix ends at a slash, written or not, so that "videos" does not allow
	// "videos-private/a.mp4". It also allows the object of that very name. Empty
	// allows the whole bucket.
	Prefix string `yaml:"prefix"`
	// Datasets that may read there. Empty means all.
	Datasets []string `yaml:"datasets"`
}

func (a AllowS3) validate() error {
	if err := s3utils.CheckValidBucketNameStrict(a.Bucket); err != nil {
		return fmt.Errorf("bucket is %q: want the name of a bucket alone", a.Bucket)
	}
	switch {
	case strings.HasPrefix(a.Prefix, "/"):
		return fmt.Errorf("prefix is %q: keys do not begin with a slash", a.Prefix)
	case slices.Contains(a.Datasets, ""):
		return errors.New("datasets has an empty name: leave the list out to mean all")
	}
	return nil
}

// allows tells whether a dataset may read an object.
func (c S3) allows(dataset, bucket, key string) bool {
	return len(c.Allow) == 0 || slices.ContainsFunc(c.Allow, func(a AllowS3) bool {
		return a.Bucket == bucket &&
			(a.Prefix == "" || key == a.Prefix || strings.HasPrefix(key, strings.TrimSuffix(a.Prefix, "/")+"/")) &&
			(len(a.Datasets) == 0 || slices.Contains(a.Datasets, dataset))
	})
}
