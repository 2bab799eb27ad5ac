package deadletter

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
)

// Replayer sends refused messages through the ingest topic again, as they were, with a
// header that names the old offset. An id that ended in quarantine is no repeat, so the
// job is worked on anew; one that has ended as samples meanwhile ends as dup-of.
type Replayer struct {
	Original Original
	Publish  func(ctx context.Context, msgs ...queue.Message) error
	// Options are those that the workers read messages with.
	Options message.Options
	// Topic and Cluster are of the ingest topic: streams of others are not replayed.
	Cluster, Topic string
	DryRun         bool
	// Each is told of each letter, and of why it can not be replayed, "" where it was.
	Each func(l *Letter, why string)
}

// Replayed counts what became of letters.
type Replayed struct {
	Sent int64 `json:"sent"`
	// Parts are letters whose message went with an earlier letter's: it holds several jobs.
	Parts int64 `json:"parts"`
	Left  int64 `json:"left"` // can not be replayed; Each is told why
}

// Replay sends the letters' messages, at most limit of them (0 means all). What it sent
// before an error stays sent.
func (r *Replayer) Replay(ctx context.Context, letters iter.Seq2[Letter, error], limit int64) (n Replayed, err error) {
	var last string // the message sent last: the jobs of one follow each other
	for l, err := range letters {
		if err != nil {
			return n, err
		}
		if limit > 0 && n.Sent >= limit {
			return n, nil
		}
		at := fmt.Sprintf("%s/%d", l.Stream.Path(), l.Offset)
		if at == last {
			n.Parts++
			continue
		}
		why, err := r.one(ctx, &l)
		if err != nil {
			return n, fmt.Errorf("replaying %s: %w", l.Place(), err)
		}
		if r.Each != nil {
			r.Each(&l, why)
		}
		if why != "" {
			n.Left++
			continue
		}
		last = at
		n.Sent++
	}
	return n, nil
}

// one sends one letter's message, or says why it can not be sent.
func (r *Replayer) one(ctx context.Context, l *Letter) (why string, err error) {
	switch {
	case l.Stream.Name != "":
		return "it is of a backfill: run that again with --retry", nil
	case l.Stream.Topic != r.Topic || l.Stream.Cluster != r.Cluster:
		return fmt.Sprintf("it is of the topic %s of cluster %s, and this is %s of %s", l.Stream.Topic, l.Stream.Cluster, r.Topic, r.Cluster), nil
	}
	original, err := r.Original(ctx, l.Stream.Partition, l.Offset)
	if err != nil {
		return "", err
	}
	if original == nil {
		return "the ingest topic no longer has the message: send the job anew", nil
	}
	if why := r.other(l, original); why != "" {
		return why, nil
	}
	if r.DryRun {
		return "", nil
	}
	return "", r.Publish(ctx, again(l, original))
}

// other says why a message is not the one that the ledger means: a topic that was made
// anew has other messages at the same offsets.
func (r *Replayer) other(l *Letter, original *queue.Record) string {
	if l.ID == "" {
		return "" // it was no job; nothing tells it
	}
	m := message.Record{Key: original.Key, Value: original.Value}
	for _, h := range original.Headers {
		m.Headers = append(m.Headers, message.Header(h))
	}
	parts, _ := message.Parse(m, r.Options)
	for _, p := range parts {
		if p.Job.ID == l.ID {
			return ""
		}
	}
	return fmt.Sprintf("the message at that offset is not of the job %q any more: the topic was made anew, or the dataset rules have changed", l.ID)
}

// again is the original with a header that names its offset. Without a key it gets the
// job's id, so that repeats of the replay meet in one partition.
func again(l *Letter, original *queue.Record) queue.Message {
	m := queue.Message{Key: original.Key, Value: original.Value}
	if m.Key == nil && l.ID != "" {
		m.Key = []byte(l.ID)
	}
	for _, h := range original.Headers {
		if !strings.EqualFold(h.Key, message.HeaderReplayOf) {
			m.Headers = append(m.Headers, h)
		}
	}
	of := fmt.Sprintf("%s/%d", l.Stream, l.Offset)
	m.Headers = append(m.Headers, queue.Header{Key: message.HeaderReplayOf, Value: []byte(of)})
	return m
}
