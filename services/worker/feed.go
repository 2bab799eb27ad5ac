package worker

import (
	"context"
	"io"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
)

// feed makes deliveries of a partition's records. Once drain is closed it ends.
type feed struct {
	partition Records
	options   message.Options
	drain     <-chan struct{}
}

// Next gives what stands at the next offset, or io.EOF after the drain began.
func (f *feed) Next(ctx context.Context) (*pipeline.Delivery, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-f.drain:
			cancel()
		case <-done:
		}
	}()
	r, err := f.partition.Next(ctx)
	if err != nil {
		select {
		case <-f.drain:
			return nil, io.EOF
		default:
			return nil, err
		}
	}
	return delivery(r, f.options), nil
}

func delivery(r queue.Record, o message.Options) *pipeline.Delivery {
	d := &pipeline.Delivery{Offset: r.Offset, Time: r.Time}
	if r.Skipped != nil {
		d.Skip = &pipeline.Skip{To: r.Skipped.To, Reason: string(r.Skipped.Reason)}
		return d
	}
	m := message.Record{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, message.Header(h))
	}
	d.Parts, d.Fault = message.Parse(m, o)
	return d
}
