package backfill

import (
	"fmt"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// Archive bounds what is taken out of one archive. A single medium is bounded by
// source.max_bytes, whatever it came in.
type Archive struct {
	// MaxBytes bounds a list or archive that is fetched from afar: it is spooled as a
	// whole, so that what is unpacked from it is of one version.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxMembers bounds how many members there are, those of no use included.
	MaxMembers int64 `yaml:"max_members"`
	// MaxUnpacked bounds the bytes that all members unpack to.
	MaxUnpacked int64 `yaml:"max_unpacked"`
	// MaxRatio bounds unpacked to packed bytes: of a zip's member, and of an archive
	// beyond its first 64 MiB.
	MaxRatio int64 `yaml:"max_ratio"`
	// MaxDirectory bounds a zip's directory, which is kept in memory several times over.
	MaxDirectory int64 `yaml:"max_directory"`
}

// DefaultArchive is for archives from strangers.
func DefaultArchive() Archive {
	return Archive{MaxBytes: 64 << 30, MaxMembers: 1_000_000, MaxUnpacked: 1 << 40, MaxRatio: 200, MaxDirectory: 64 << 20}
}

// Validate refuses limits that can not work, by name.
func (a Archive) Validate() error {
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"max_bytes", a.MaxBytes}, {"max_members", a.MaxMembers}, {"max_unpacked", a.MaxUnpacked},
		{"max_ratio", a.MaxRatio}, {"max_directory", a.MaxDirectory},
	} {
		if v.n < 1 {
			return fmt.Errorf("backfill.archive.%s is %d: every limit needs a value above 0", v.name, v.n)
		}
	}
	return nil
}

// ratioFree may be unpacked before the archive's ratio counts.
const ratioFree = 64 << 20

// check compares what was unpacked so far with what it was packed in.
func (a Archive) check(unpacked, packed int64) *codecs.Error {
	switch {
	case unpacked > a.MaxUnpacked:
		return refuse(pipeline.CodeSourceLimit, "the archive unpacks to more than %d bytes", a.MaxUnpacked)
	case unpacked > ratioFree && unpacked/a.MaxRatio > packed:
		return refuse(pipeline.CodeSourceLimit, "the archive unpacks to more than %d times its size", a.MaxRatio)
	}
	return nil
}

// count compares a number of members with what is allowed.
func (a Archive) count(members int64) *codecs.Error {
	if members > a.MaxMembers {
		return refuse(pipeline.CodeSourceLimit, "the archive has more than %d members", a.MaxMembers)
	}
	return nil
}
