package ledger

import (
	"errors"
	"fmt"
)

// Kinds of error; test with errors.Is. All are permanent for the Chain that gave
// them: open the stream again to go on.
var (
	// ErrFenced: another writer has the stream. Keep nothing, and fence again only if
	// the stream is assigned anew.
	ErrFenced = errors.New("the stream was taken by another writer")
	// ErrUnsettled: the context ended while it was not known whether a record landed.
	// Nothing may be deleted; whoever opens the stream next settles it.
	ErrUnsettled = errors.New("it is not known whether the record landed")
	// ErrBroken: what stands in the log is no chain. Run verify.
	ErrBroken = errors.New("the chain is broken")
)

// FencedError tells whose record stood where ours was to go.
type FencedError struct {
	Stream Stream
	Seq    int64
	By     *Record
}

// Error names the other's record.
func (e *FencedError) Error() string {
	return fmt.Sprintf("stream %s: record %d is a %s of epoch %d by writer %s: %v", e.Stream, e.Seq, e.By.Kind, e.By.Epoch, e.By.Writer, ErrFenced)
}

// Unwrap returns ErrFenced.
func (e *FencedError) Unwrap() error { return ErrFenced }

// Permanent says that trying again is of no use.
func (e *FencedError) Permanent() bool { return true }

func broken(stream Stream, seq int64, format string, args ...any) error {
	return fmt.Errorf("stream %s: record %d: %w: %w", stream, seq, ErrBroken, fmt.Errorf(format, args...))
}
