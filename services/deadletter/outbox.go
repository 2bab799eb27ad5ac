package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
)

// Outbox tells the dead-letter topic of what the ledgers of streams say was refused: after
// the fact, at least once, keyed by [Letter.Key]. When the topic is down the outbox waits,
// and nothing else does. How far it has come stands in _outbox/STREAM; a stream without
// one is told from its beginning.
type Outbox struct {
	Store    ledger.Store
	Original Original
	// Publish sends messages and returns once the brokers have them.
	Publish func(ctx context.Context, msgs ...queue.Message) error
	Log     *slog.Logger
}

// outboxPrefix holds how far each stream's outbox has come.
const outboxPrefix = "_outbox/"

const (
	// lookAgain is how often a stream is looked at that nobody says anything of.
	lookAgain = time.Minute
	// outboxPause is waited after a failure, longer each time, up to lookAgain.
	outboxPause = time.Second
	// noteEvery is after how many records without a letter the place is noted.
	noteEvery = 1000
)

// place is what _outbox/STREAM holds.
type place struct {
	Seq int64 `json:"seq"` // the last record that was told
}

// Run follows a stream until ctx ends: it looks when wake says that there is something,
// and now and then by itself.
func (b *Outbox) Run(ctx context.Context, stream ledger.Stream, wake <-chan struct{}) {
	pause := outboxPause
	for {
		err := b.tell(ctx, stream)
		rest := lookAgain
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause = outboxPause
		default:
			b.Log.Warn("the dead-letter topic lags behind the ledger; it is tried again", "stream", stream, "error", err, "after", pause)
			rest, pause = pause, min(2*pause, lookAgain)
		}
		again := time.NewTimer(rest)
		woken := wake
		if err != nil {
			woken = nil // a failure rests, whatever else comes
		}
		select {
		case <-woken:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// tell publishes what the ledger has that the topic was not told.
func (b *Outbox) tell(ctx context.Context, stream ledger.Stream) error {
	at, err := b.place(ctx, stream)
	if err != nil {
		return err
	}
	noted := at.Seq
	for item, err := range ledger.Read(ctx, b.Store, stream, at.Seq+1) {
		if err != nil {
			return err
		}
		letters, err := lettersOf(ctx, b.Store, stream, item.Record, refused)
		if err != nil {
			return err
		}
		for i := range letters {
			if err := b.publish(ctx, &letters[i]); err != nil {
				return fmt.Errorf("telling of %s: %w", letters[i].Place(), err)
			}
		}
		at.Seq = item.Record.Seq
		if len(letters) > 0 || at.Seq-noted >= noteEvery {
			if err := b.note(ctx, stream, at); err != nil {
				return err
			}
			noted = at.Seq
		}
	}
	return nil
}

func (b *Outbox) publish(ctx context.Context, l *Letter) error {
	var original *queue.Record
	if l.Stream.Name == "" {
		var err error
		if original, err = b.Original(ctx, l.Stream.Partition, l.Offset); err != nil {
			return err
		}
	}
	m, err := told(l, original, valueOutcome)
	if err != nil {
		return err
	}
	err = b.Publish(ctx, m)
	if errors.Is(err, kafka.MessageSizeTooLarge) && original != nil {
		if m, err = told(l, nil, valueTooLarge); err == nil {
			err = b.Publish(ctx, m)
		}
	}
	return err
}

func (b *Outbox) place(ctx context.Context, stream ledger.Stream) (place, error) {
	at := place{Seq: -1}
	rc, err := b.Store.Open(ctx, outboxPrefix+stream.Path())
	var missing interface{ NotFound() bool }
	if errors.As(err, &missing) && missing.NotFound() {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	defer func() { _ = rc.Close() }()
	data, err := io.ReadAll(io.LimitReader(rc, 1<<10))
	if err != nil {
		return at, err
	}
	if err := json.Unmarshal(data, &at); err != nil || at.Seq < -1 {
		b.Log.Warn("the outbox's place can not be read; the topic is told everything again", "object", outboxPrefix+stream.Path(), "text", string(data))
		return place{Seq: -1}, nil
	}
	return at, nil
}

func (b *Outbox) note(ctx context.Context, stream ledger.Stream, at place) error {
	data, err := json.Marshal(at)
	if err != nil {
		return err
	}
	return b.Store.Replace(ctx, outboxPrefix+stream.Path(), data)
}
