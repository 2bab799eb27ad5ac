package settings

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/services/deadletter"
)

// openOutbox makes the dead-letter topic where there is none, and what tells it of refused
// jobs. ingest reads the ingest topic.
func (c Config) openOutbox(ctx context.Context, s ledger.Store, ingest *queue.Client, log *slog.Logger) (*deadletter.Outbox, func(), error) {
	q := c.Queue
	q.Topic = c.DeadLetters.Topic
	client, err := queue.Open(q)
	if err != nil {
		return nil, nil, fmt.Errorf("dead_letters.topic: %w", err)
	}
	// A letter is a whole message with more headers.
	size := strconv.Itoa(message.MaxValue + 4<<20)
	if err := client.EnsureTopic(ctx, 1, map[string]string{"max.message.bytes": size}); err != nil {
		client.Close()
		return nil, nil, fmt.Errorf("dead_letters.topic: %w", err)
	}
	return &deadletter.Outbox{
		Store: s, Original: deadletter.FromTopic(ingest), Publish: client.Producer(1).Publish, Log: log,
	}, func() { client.Close() }, nil
}
