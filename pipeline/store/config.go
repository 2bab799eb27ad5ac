package store

import (
	"fmt"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/millrace/millrace/pipeline/s3"
)

// Config says how stores are reached. Only S3 has settings; a directory needs none,
// and the zero value reaches AWS with the credentials of the environment.
type Config struct {
	s3.Access `yaml:",inline"`
	// CreateBucket makes the bucket if there is none.
	CreateBucket bool `yaml:"create_bucket" json:"create_bucket"`
	// PartSize is the size, in bytes, from which on an object is sent in parts, and
	// that of a part: 16 to 64 MiB. 0 means 32 MiB.
	PartSize int64 `yaml:"part_size" json:"part_size"`
	// Parts is how many parts of one object travel at a time: 1 to 16. 0 means 4.
	Parts int `yaml:"parts" json:"parts"`
	// NoChecksums leaves out the checksum headers, for servers that refuse them. What
	// was put is then read back to be verified.
	NoChecksums bool `yaml:"no_checksums" json:"no_checksums"`
}

// Validate refuses settings that can not work, by name.
func (c Config) Validate() error {
	switch {
	case c.PartSize != 0 && (c.PartSize < 16<<20 || c.PartSize > 64<<20):
		return fmt.Errorf("part_size is %d: it must be from %d to %d bytes (16 to 64 MiB)", c.PartSize, 16<<20, 64<<20)
	case c.Parts < 0 || c.Parts > 16:
		return fmt.Errorf("parts is %d: it must be from 1 to 16", c.Parts)
	}
	return c.Access.Validate()
}

func (c Config) partSize() int64 {
	if c.PartSize == 0 {
		return 32 << 20
	}
	return c.PartSize
}

func (c Config) parts() int {
	if c.Parts == 0 {
		return 4
	}
	return c.Parts
}

// checkBucket refuses a bucket name that S3 does not allow.
func checkBucket(name string) error {
	if err := s3utils.CheckValidBucketNameStrict(name); err != nil {
		return fmt.Errorf("the bucket %q: %w", name, err)
	}
	return nil
}
