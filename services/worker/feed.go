package worker

import (
	"context"
	"errors"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
)

// feed makes deliveries of a partition's records, while the partition is this process's.
// Between generations it waits, and goes on where it was; once the drain begins it ends.
type feed struct {
	l       *line
	topic   string // the topic's id
	next    int64
	records Records // open, or nil
}

// Next gives what stands at the next offset, or io.EOF after the drain began.
func (f *feed) Next(ctx context.Context) (*pipeline.Delivery, error) {
	if err := f.l.careful.settled(ctx, f.l, f.next); err != nil {
		return nil, err
	}
	for {
		in, done, err := f.l.gate.pass(ctx)
		if err != nil {
			return nil, err
		}
		r, err := f.read(in)
		ended := in.Err() != nil
		done()
		var below *queue.BelowStartError
		switch {
		case err == nil:
			return f.deliver(ctx, r)
		case ended:
			continue // the generation, the drain or all: the gate tells
		case errors.As(err, &below) && f.l.w.RetentionGap:
			return f.lost(below), nil
		}
		return nil, err
	}
}

func (f *feed) read(ctx context.Context) (queue.Record, error) {
	if f.records == nil {
		f.records = f.l.w.Topic.Read(f.l.partition, f.next, f.topic, f.l.health)
	}
	return f.records.Next(ctx)
}

// deliver parses a record. In careful times it is marked first, since reading it may be
// what kills.
func (f *feed) deliver(ctx context.Context, r queue.Record) (*pipeline.Delivery, error) {
	f.next = r.End()
	f.l.took(f.next)
	if r.Skipped == nil {
		n, err := f.l.careful.begin(ctx, r.Offset)
		if err != nil {
			return nil, err
		}
		if n >= mostAttempts {
			f.l.log.Error("a message is quarantined: the worker died of it again and again", "offset", r.Offset, "attempts", n-1)
			fault := codecs.Errorf(pipeline.CodePoison, codecs.StageTake,
				"the worker died each of the %d times that it had this message in hand; it is not tried again", n-1)
			fault.Attempts = n - 1
			return &pipeline.Delivery{Offset: r.Offset, Time: r.Time, Fault: fault}, nil
		}
	}
	return delivery(r, f.l.w.Message), nil
}

// lost makes a gap of what retention removed, to be committed as any other.
func (f *feed) lost(e *queue.BelowStartError) *pipeline.Delivery {
	f.l.log.Error("offsets are lost: the gap is written down", "from", f.next, "to", e.LogStart, "error", e)
	f.l.w.gone.Add(e.LogStart - f.next)
	d := &pipeline.Delivery{Offset: f.next, Skip: &pipeline.Skip{To: e.LogStart, Reason: "retention"}}
	f.close()
	f.next = e.LogStart
	f.l.took(f.next)
	return d
}

func (f *feed) close() {
	if f.records != nil {
		f.records.Close()
		f.records = nil
	}
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
