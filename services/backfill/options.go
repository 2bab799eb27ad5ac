package backfill

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline/source"
)

// Options say how sources become jobs. Start from [DefaultOptions].
type Options struct {
	// Dataset is every job's.
	Dataset string
	// URLColumn and TextColumn name a list's columns. Empty means the first that is
	// there of url, URL, uri, link, image_url, video_url, contentUrl, path, and of text,
	// caption, TEXT. A text column need not be there unless it is named.
	URLColumn, TextColumn string
	// MetaColumns are the columns that become meta. Nil means all that are neither URL
	// nor text.
	MetaColumns []string
	// Limit ends the listing after so many jobs; 0 means never. Jobs that Skip passes
	// over count.
	Limit int64
	// Skip, if there is one, is asked about each id; jobs for which it says true are
	// passed over, and nothing of them is unpacked. It must give the same answer again.
	Skip func(id string) bool
	// Source says how lists, archives and s3:// prefixes are reached, and where the
	// members of archives are spooled. Its MaxBytes bounds a member of an archive.
	Source source.Config
	// Archive bounds lists and archives.
	Archive Archive
}

// DefaultOptions are for the command line: local files are allowed.
func DefaultOptions(dataset string) Options {
	cfg := source.DefaultConfig()
	cfg.AllowFiles = true
	return Options{Dataset: dataset, Source: cfg, Archive: DefaultArchive()}
}

// Validate refuses options that can not work, by name.
func (o Options) Validate() error {
	switch {
	case o.Dataset == "":
		return errors.New("the dataset has no name")
	case o.Limit < 0:
		return fmt.Errorf("the limit is %d jobs; it needs 0 (none) or more", o.Limit)
	case o.URLColumn != "" && o.URLColumn == o.TextColumn:
		return fmt.Errorf("the column %q can not be both URL and text", o.URLColumn)
	}
	if err := o.Archive.Validate(); err != nil {
		return err
	}
	return o.Source.Validate()
}

// archiveTime bounds the fetching of one archive, which may be far larger than a medium;
// the least rate bounds it sooner.
const archiveTime = 12 * time.Hour

// Bounds of what one job may hold. They are those of ingest messages where both have
// one.
const (
	maxRow        = 1 << 20  // a list's row, as text
	maxText       = 64 << 10 // a job's text
	maxMeta       = 1 << 20  // a job's meta
	maxName       = 1 << 10  // a member's name
	maxGroupMedia = 64       // media of one WebDataset sample
	maxFooter     = 64 << 20
)
