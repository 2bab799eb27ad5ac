package worker

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
)

var (
	// errShut says that the generation ended while a stream was being taken.
	errShut = errors.New("the group's generation has ended")
	// errDrained says that the drain began before there was anything to finish.
	errDrained = errors.New("nothing new is taken")
)

// take makes this process the writer of the partition's stream, or, with a chain that is
// open still, sees that it is that yet. It writes (a fence, above all) only while the
// partition is ours in a generation that is alive, and only after it has seen that the log
// goes on where the ledger ends: a stream that is halted gathers no fences.
//
// It returns the ids that are known, and the topic's.
func (l *line) take(ctx context.Context) (known *stream.Known, topic string, err error) {
	in, done, err := l.gate.pass(ctx)
	if err == io.EOF { //nolint:errorlint // the gate's own word, not that of some connection
		return nil, "", errDrained
	}
	if err != nil {
		return nil, "", err
	}
	defer done()
	defer func() {
		if errors.Is(err, ledger.ErrFenced) || errors.Is(err, ledger.ErrBroken) {
			l.chain = nil
		}
		if err != nil && in.Err() != nil && ctx.Err() == nil {
			err = errShut // whatever it is, that is the cause; what is in doubt, the chain keeps
		}
	}()
	cluster, err := l.w.Topic.ClusterID(in)
	if err != nil {
		return nil, "", err
	}
	if topic, err = l.w.Topic.ID(in); err != nil {
		return nil, "", err
	}
	id := ledger.KafkaStream(cluster, l.w.Topic.Name(), int32(l.partition))
	if err := l.open(in, id, topic); err != nil {
		return nil, "", err
	}
	if err := l.fits(in, topic); err != nil {
		return nil, "", fmt.Errorf("the stream %s: %w", id, err)
	}
	if err := l.caution(in); err != nil {
		return nil, "", err
	}
	if a, open := l.gate.now(); open && l.chain.Epoch() == 0 {
		l.fencedIn.Store(a.Generation)
	}
	known, err = stream.Own(in, store.Plain{Store: l.w.Store}, l.chain, stream.Options{
		Start: func(ctx context.Context) (int64, error) { return l.begin(ctx, cluster, topic) },
	})
	if err != nil {
		return nil, "", fmt.Errorf("taking the stream %s: %w", id, err)
	}
	return known, topic, nil
}

// open opens the chain, or goes on with the one that is open: then no new fence is needed.
func (l *line) open(ctx context.Context, id ledger.Stream, topic string) error {
	if c := l.chain; c != nil && (c.Epoch() != 0 || c.Err() != nil) {
		return c.Resume(ctx)
	}
	partitions := 0
	if t, ok := l.w.Topic.(Growing); ok {
		var err error
		if partitions, err = t.Partitions(ctx); err != nil {
			return err
		}
	}
	chain, err := ledger.Open(ctx, store.Plain{Store: l.w.Store}, id, ledger.Options{
		Writer: l.w.writer, ID: l.w.ID, Jitter: l.w.Jitter, Report: l.report,
		Origin: topic, Start: l.w.StartPolicy, Partitions: partitions,
	})
	if err != nil {
		return err
	}
	l.chain, l.careful = chain, nil
	return nil
}

// begin says where a stream without a ledger starts: by the policy, or, for a partition that
// the topic did not have when the fleet began, where the log does. "Latest" would leave
// out what came before anybody owned it.
func (l *line) begin(ctx context.Context, cluster, topic string) (int64, error) {
	oldest := ledger.KafkaStream(cluster, l.w.Topic.Name(), 0)
	for item, err := range ledger.Read(ctx, store.Plain{Store: l.w.Store}, oldest, 0) {
		if err != nil {
			return 0, err
		}
		if n := item.Record.Partitions; n == 0 || n > l.partition || item.Record.Origin != topic {
			break
		}
		o, err := l.w.Topic.Offsets(ctx, l.partition)
		return o.First, err
	}
	return l.w.Topic.StartOffset(ctx, l.partition)
}

// fits sees that the topic is the one that the chain is of, and that its log goes on where
// the chain ends. What retention has removed is for the feed, where a gap is allowed.
func (l *line) fits(ctx context.Context, topic string) error {
	if l.chain.Empty() {
		return nil
	}
	was, err := l.chain.Origin(ctx)
	if err != nil {
		return err
	}
	if was != "" && topic != "" && was != topic {
		return &queue.RecreatedError{Topic: l.w.Topic.Name(), Partition: l.partition, Was: was, Is: topic}
	}
	o, err := l.w.Topic.Offsets(ctx, l.partition)
	if err != nil {
		return err
	}
	switch next := l.chain.Next(); {
	case next > o.High:
		return &queue.AboveEndError{Topic: l.w.Topic.Name(), Partition: l.partition, Offset: next, High: o.High}
	case next < o.First && !l.w.RetentionGap:
		return &queue.BelowStartError{Topic: l.w.Topic.Name(), Partition: l.partition, Offset: next, LogStart: o.First}
	}
	return nil
}

// caution makes a writer careful whose predecessors died one after the other.
func (l *line) caution(ctx context.Context) error {
	if l.chain.Epoch() != 0 || l.chain.Empty() {
		return nil
	}
	n, err := l.chain.Deaths(ctx)
	if err != nil || n < unclean {
		return err
	}
	l.log.Warn("the writers before left nothing behind: offsets are worked on one at a time for a while", "writers", n)
	l.careful = newAttempts(l.w.Store, l.chain.Stream(), l.chain.Next(), l.w.Window.Window, l.log)
	return nil
}
