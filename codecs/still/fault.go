package still

import (
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/codecs"
)

// media is a Source that remembers that reading it failed, so that a decoder's
// complaint about the gap is not mistaken for a fault of the picture: a picture
// that could not be read is to be read again, not quarantined.
type media struct {
	codecs.Source
	container string
	lost      error
}

// ReadAt is the Source's, with its failures remembered.
func (m *media) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.Source.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		m.lost = err
	}
	return n, err
}

// all reads the file into memory: max bytes of it where it is longer, since what
// follows a picture (a phone's appended video) is not our affair.
func (m *media) all(max int64) ([]byte, error) {
	data := make([]byte, min(m.Size(), max))
	if err := m.fill(data, 0); err != nil {
		return nil, err
	}
	return data, nil
}

// fill reads len(p) bytes at off, or fails.
func (m *media) fill(p []byte, off int64) error {
	n, err := m.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return m.fault(codecs.StageProbe, err)
}

// fault turns whatever went wrong into the error that callers see.
func (m *media) fault(stage codecs.Stage, err error) error {
	switch {
	case m.lost != nil:
		return fmt.Errorf("%s: read the %s picture: %w", stage, m.container, m.lost)
	case codecs.AsError(err) != nil:
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return codecs.Errorf(codecs.CodeTruncated, stage, "the %s picture ends early, at byte %d", m.container, m.Size())
	}
	return codecs.Errorf(codecs.CodeInvalid, stage, "the %s picture is broken: %w", m.container, err)
}

// invalid says what about the file is wrong.
func (m *media) invalid(stage codecs.Stage, format string, args ...any) error {
	return codecs.Errorf(codecs.CodeInvalid, stage, "the %s picture is broken: %s", m.container, fmt.Sprintf(format, args...))
}

// unsupported says what about a sound file this build can not decode.
func (m *media) unsupported(format string, args ...any) error {
	return codecs.Errorf(codecs.CodeUnsupported, codecs.StageProbe, "the %s picture can not be decoded: %s", m.container, fmt.Sprintf(format, args...))
}

// recovered makes a Go decoder's panic on hostile bytes an error: deferred around
// whatever calls one.
func (m *media) recovered(stage codecs.Stage, err *error) {
	if p := recover(); p != nil {
		*err = m.invalid(stage, "its decoder gave up: %v", p)
	}
}

// metadata adds up what a file holds besides pixels, against Limits.MaxMetadata.
type metadata struct{ used, max int64 }

func (m *metadata) add(container string, n int64) error {
	if m.used += n; m.used > m.max {
		return codecs.Errorf(codecs.CodeLimitMetadata, codecs.StageProbe,
			"the %s picture has over %d bytes of metadata; the limit is %d", container, m.used-1, m.max)
	}
	return nil
}

// roomFor is how many bytes the encoded form of some pixels can sensibly take: what
// the widest raw form takes, and the metadata that the limits allow.
func roomFor(pixels int64, l codecs.Limits) int64 {
	return 8*pixels + l.MaxMetadata + 1<<20
}
