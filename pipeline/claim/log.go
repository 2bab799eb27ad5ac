package claim

import (
	"context"
	"errors"
	"fmt"
)

// Log is a topic that keeps records in order. Its methods may be called from any
// number of goroutines.
type Log interface {
	// Identity tells a topic from a later one of the same name, and how many partitions
	// it has.
	Identity(ctx context.Context) (Identity, error)
	// Append adds a record to a partition, in one request, and returns its offset once it
	// will not be lost. An error with Permanent or Refused true says that nothing was
	// written; after any other the record may be there, or may still come.
	Append(ctx context.Context, partition int, r Record) (int64, error)
	// End is the offset after the last record: each whose Append has returned lies below.
	End(ctx context.Context, partition int) (int64, error)
	// Read gives the entries from an offset on. The caller closes it.
	Read(partition int, from int64) Reader
}

// Reader reads one partition. It belongs to one goroutine at a time.
type Reader interface {
	// Next waits for the next entry, and through faults that pass. An [ErrLost] is final.
	Next(ctx context.Context) (Entry, error)
	Close()
}

// Identity says which topic a log is.
type Identity struct {
	Topic      string
	ID         string // of this incarnation of the topic
	Cluster    string
	Partitions int
}

// ErrLost says that the claim log is not the one that decided so far: it was deleted,
// made anew, cut or emptied, or belongs to another store. Writers stop.
var ErrLost = errors.New("the claim log is not the one that this store was written with")

const lostAdvice = "stop every writer of this store, see what happened to the topic, and run `millrace doctor --rebuild-claims`"

func lost(format string, args ...any) error {
	return fmt.Errorf("%w: %w; %s", ErrLost, fmt.Errorf(format, args...), lostAdvice)
}

// refusal reports whether an append's error says that nothing was written.
func refusal(err error) (refused, permanent bool) {
	var p interface{ Permanent() bool }
	var r interface{ Refused() bool }
	permanent = errors.As(err, &p) && p.Permanent()
	return permanent || errors.As(err, &r) && r.Refused(), permanent
}
