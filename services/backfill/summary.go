package backfill

import (
	"context"
	"io"
	"path"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline/source"
)

// Summary is what a listing holds, for a dry run.
type Summary struct {
	Jobs    int64 `json:"jobs"`
	Skipped int64 `json:"skipped"` // of these, known to Options.Skip
	Faults  int64 `json:"faults"`  // of these, bad rows and members
	// Bytes of the media whose size is known without fetching; Unsized counts the jobs
	// of which it is not.
	Bytes   int64 `json:"bytes"`
	Unsized int64 `json:"unsized"`
	// ByType counts media by MIME type, as their names tell it; "" where they do not.
	ByType map[string]int64 `json:"by_type"`
	// ByCode counts faults by code.
	ByCode map[string]int64 `json:"by_code,omitempty"`
	// Lists and Archives are how many SRC arguments were such.
	Lists    int64 `json:"lists"`
	Archives int64 `json:"archives"`
}

// Summarise reads the listing to its end, unpacking nothing. Members of archives that
// would turn out bad when unpacked count as good. The Listing gives nothing after it.
func (l *Listing) Summarise(ctx context.Context) (Summary, error) {
	l.skim = true
	for {
		part, err := l.Next(ctx)
		for _, f := range part.Files {
			if f != nil {
				f.Close()
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return Summary{}, err
		}
	}
	for _, e := range l.entries {
		l.total.Lists += int64(bit(e.kind.isList() && e.way == single))
		l.total.Archives += int64(bit(e.kind.isArchive() && e.way == single))
	}
	return l.total, nil
}

func (s *Summary) add(it *item) {
	if s.ByType == nil {
		s.ByType, s.ByCode = map[string]int64{}, map[string]int64{}
	}
	s.Jobs++
	s.Skipped += int64(bit(it.skipped))
	if it.part.Fault != nil {
		s.Faults++
		if e := codecs.AsError(it.part.Fault); e != nil {
			s.ByCode[string(e.Code)]++
		}
		return
	}
	if it.bytes < 0 {
		s.Unsized++
	}
	s.Bytes += max(it.bytes, 0)
	for _, m := range it.part.Job.Media {
		s.ByType[typeOf(m.Type, m.URI)]++
	}
}

func typeOf(declared, uri string) string {
	if declared != "" {
		return declared
	}
	return mediaType(strings.ToLower(path.Base(source.Redact(uri))))
}
