package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
)

// topic publishes to the ingest topic, and knows what it takes.
type topic struct {
	client   *queue.Client
	producer *queue.Producer
	name     string
	limits   Limits

	mu      sync.Mutex
	cluster string
	record  int64 // the largest record, once it is known
}

// produces is how many requests to brokers may be under way.
const produces = 8

func newTopic(c *queue.Client, name string, l Limits) *topic {
	return &topic{client: c, producer: c.Producer(produces), name: name, limits: l}
}

// learn asks for what never changes, until it is known.
func (t *topic) learn(ctx context.Context) error {
	t.mu.Lock()
	known := t.cluster != ""
	t.mu.Unlock()
	if known {
		return nil
	}
	info, err := t.client.TopicInfo(ctx)
	if err != nil {
		return err
	}
	cluster, err := t.client.ClusterID(ctx)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cluster, t.record = cluster, info.MaxMessageBytes
	return nil
}

// recordOverhead is more than what Kafka adds to a record and its batch.
const recordOverhead = 2 << 10

// maxRecord is how many bytes a record's value and headers may have.
func (t *topic) maxRecord() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := t.limits.Inline + message.MaxHeaderBytes
	if t.record > 0 {
		most = min(most, t.record-recordOverhead)
	}
	return most
}

// stream is the ledger's name of a partition.
func (t *topic) stream(partition int) ledger.Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return ledger.KafkaStream(t.cluster, t.name, int32(partition))
}

// send publishes, and waits until all replicas in sync have it. The errors are by
// message; all nil is success.
func (t *topic) send(ctx context.Context, msgs []queue.Message) ([]queue.Place, []error) {
	errs := make([]error, len(msgs))
	// A sender who hangs up must not keep a record from being acknowledged: then nobody
	// would know whether it is there.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.limits.Publish)
	defer cancel()
	if err := t.learn(ctx); err != nil {
		for i := range errs {
			errs[i] = queueProblem(err)
		}
		return nil, errs
	}
	places, err := t.producer.Send(ctx, msgs...)
	var pe *queue.PublishError
	switch {
	case errors.As(err, &pe):
		for i, e := range pe.Errs {
			if e != nil {
				errs[i] = queueProblem(e)
			}
		}
	case err != nil:
		for i := range errs {
			errs[i] = queueProblem(err)
		}
	}
	return places, errs
}

func queueProblem(err error) error {
	if errors.Is(err, kafka.MessageSizeTooLarge) {
		return &problem{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, detail: "the job is larger than a record of the topic may be; send its media by multipart/form-data or a resumable upload", cause: err}
	}
	return &problem{status: http.StatusServiceUnavailable, code: codeQueue, wait: 5 * time.Second,
		detail: "the ingest topic did not acknowledge the job, which may be there all the same; send it again with the same id or Idempotency-Key", cause: err}
}

// queueMessage is a record with the headers that only people and traces need.
func queueMessage(r message.Record, tenant, traceparent string) queue.Message {
	m := queue.Message{Key: r.Key, Value: r.Value}
	traced := false
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, queue.Header(h))
		traced = traced || h.Key == "traceparent"
	}
	if traceparent != "" && !traced {
		m.Headers = append(m.Headers, queue.Header{Key: "traceparent", Value: []byte(traceparent)})
	}
	return queue.Message{Key: m.Key, Value: m.Value, Headers: append(m.Headers, queue.Header{Key: "millrace-tenant", Value: []byte(tenant)})}
}

func (t *topic) String() string { return fmt.Sprintf("topic %s", t.name) }
