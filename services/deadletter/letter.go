// Package deadletter looks after refused messages. The ledger alone says which there are;
// the dead-letter topic is told of them afterwards, by an outbox that follows the ledger,
// and a replay sends them through the ingest topic once more.
package deadletter

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
)

// Letter is a job, or a whole message, that ended in quarantine or was given up.
type Letter struct {
	Stream ledger.Stream
	Seq    int64     // of the record that says so
	Time   time.Time // of that record
	ledger.Outcome
	// Settled is set where the same job ended as samples at a later offset of the stream.
	Settled bool
}

// Place is the stream and the offset, as explain takes them, with the part of a message
// that holds several jobs: "CLUSTER/TOPIC/PARTITION/OFFSET" or ".../OFFSET/PART".
func (l *Letter) Place() string { return l.Stream.String() + "/" + l.position() }

// Key is the same with the stream as one word: what dead letters have as their key, so
// that a consumer can tell repeats.
func (l *Letter) Key() string { return l.Stream.Path() + "/" + l.position() }

func (l *Letter) position() string {
	s := strconv.FormatInt(l.Offset, 10)
	if l.Part > 0 {
		s += "/" + strconv.Itoa(l.Part)
	}
	return s
}

// Query chooses letters. The zero value takes all that are not settled.
type Query struct {
	// Codes are codes, or families with a star: "source.gone", "decode.*". None means all.
	Codes   []string
	Since   time.Time // records from then on; by the writers' clocks
	Dataset string
	// Stream is CLUSTER/TOPIC/PARTITION, TOPIC/PARTITION, or a backfill's name.
	Stream string
	ID     string
	// Settled takes those too that have ended as samples since.
	Settled bool
}

// Validate refuses codes that can match nothing.
func (q Query) Validate() error {
	for _, c := range q.Codes {
		family, star := strings.CutSuffix(c, ".*")
		if family == "" || strings.Contains(family, "*") || !star && !strings.Contains(c, ".") {
			return fmt.Errorf("%q is no code: say one as explain shows it, like source.gone, or a family, like decode.*", c)
		}
	}
	return nil
}

func (q Query) wantsStream(s ledger.Stream) bool {
	return q.Stream == "" || q.Stream == s.String() || s.Name == "" && q.Stream == fmt.Sprintf("%s/%d", s.Topic, s.Partition)
}

func (q Query) wants(o *ledger.Outcome) bool {
	return refused(o) && (q.Dataset == "" || q.Dataset == o.Dataset) && (q.ID == "" || q.ID == o.ID) && q.wantsCode(o.Code)
}

func (q Query) wantsCode(code string) bool {
	for _, c := range q.Codes {
		if family, star := strings.CutSuffix(c, "*"); c == code || star && strings.HasPrefix(code, family) {
			return true
		}
	}
	return len(q.Codes) == 0
}

func refused(o *ledger.Outcome) bool { return o.Status == ledger.Quarantined || o.Status == ledger.Gap }

// Letters gives the refused jobs of all streams, each stream's in the order of its
// offsets. It reads the whole of each chain; to know what is settled it holds the ids
// of one stream at a time, some 40 bytes each. An error is the last pair.
func Letters(ctx context.Context, s ledger.Store, q Query) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		if err := q.Validate(); err != nil {
			yield(Letter{}, err)
			return
		}
		for stream, err := range ledger.Streams(ctx, s) {
			if err != nil {
				yield(Letter{}, err)
				return
			}
			if q.wantsStream(stream) && !q.inStream(ctx, s, stream, yield) {
				return
			}
		}
	}
}

// inStream reports whether to go on with the next stream.
func (q Query) inStream(ctx context.Context, s ledger.Store, stream ledger.Stream, yield func(Letter, error) bool) bool {
	ids, err := known(ctx, s, stream)
	if err != nil {
		yield(Letter{}, err)
		return false
	}
	for item, err := range ledger.Read(ctx, s, stream, 0) {
		if err != nil {
			yield(Letter{}, err)
			return false
		}
		r := item.Record
		if r.Kind != ledger.Data || r.Time.Before(q.Since) {
			continue
		}
		letters, err := lettersOf(ctx, s, stream, r, q.wants)
		if err != nil {
			yield(Letter{}, err)
			return false
		}
		for _, l := range letters {
			l.Settled = settled(ids, &l)
			if (q.Settled || !l.Settled) && !yield(l, nil) {
				return false
			}
		}
	}
	return true
}

// lettersOf are a record's refused jobs that are wanted.
func lettersOf(ctx context.Context, s ledger.Store, stream ledger.Stream, r *ledger.Record, wanted func(*ledger.Outcome) bool) ([]Letter, error) {
	outcomes, err := ledger.Outcomes(ctx, s, r)
	if err != nil {
		return nil, err
	}
	var letters []Letter
	for _, o := range outcomes {
		if wanted(&o) {
			letters = append(letters, Letter{Stream: stream, Seq: r.Seq, Time: r.Time, Outcome: o})
		}
	}
	return letters, nil
}

// known are the ends of all jobs of a stream, the last of each id.
func known(ctx context.Context, s ledger.Store, stream ledger.Stream) (*ledger.IDs, error) {
	chain, err := ledger.Open(ctx, s, stream, ledger.Options{})
	if err != nil {
		return nil, err
	}
	return ledger.LoadIDs(ctx, s, stream, chain.Position(), 0, time.Time{})
}

func settled(ids *ledger.IDs, l *Letter) bool {
	if l.ID == "" {
		return false
	}
	offset, status, found := ids.Find(l.Dataset, l.ID)
	return found && status == ledger.OK && offset > l.Offset
}
