package simulation

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
)

// produce fills the logs, and writes down what is to come of it.
func (w *world) produce() {
	w.campaign = &audit.Campaign{Complete: true, Swept: true, Excused: []string{string(pipeline.CodePoison)}}
	for p := range w.plan.partitions {
		d := w.seed.at("producer", "partition", "", p)
		part := &partition{first: int64(d.below(2) * d.below(1000))}
		s := audit.Stream{Cluster: clusterID, Topic: topicName, Partition: int32(p), First: part.first}
		at := time.Duration(0)
		offset := part.first
		var jobs []queue.Record
		for n := range w.plan.messages {
			at += d.lasting(0, 2*w.plan.calm/time.Duration(5*w.plan.messages))
			if d.hit(0.2) {
				at += d.lasting(0, w.plan.calm/8)
			}
			r := w.record(d, fmt.Sprintf("%d-%d", p, n), jobs)
			r.Offset = offset
			if r.Skipped != nil {
				r.Skipped.From, r.Skipped.To = offset, offset+r.Skipped.To
				for o := offset; o < r.Skipped.To; o++ {
					s.Messages = append(s.Messages, audit.Message{Offset: o, Want: audit.Void})
				}
			} else {
				s.Messages = append(s.Messages, w.expect(r)...)
				jobs = append(jobs, r)
			}
			part.entries = append(part.entries, entry{at, r})
			offset = r.End()
		}
		w.partitions = append(w.partitions, part)
		w.campaign.Streams = append(w.campaign.Streams, s)
	}
}

// record makes up what stands at the next offset; jobs are those before it.
func (w *world) record(d *dice, id string, jobs []queue.Record) queue.Record {
	switch k := d.below(100); {
	case k < 5:
		return queue.Record{Skipped: &queue.Skipped{To: 1, Reason: queue.SkipControl}}
	case k < 8:
		return queue.Record{Skipped: &queue.Skipped{To: int64(d.between(1, 4)), Reason: []queue.Reason{queue.SkipAborted, queue.SkipGap}[d.below(2)]}}
	case k < 22 && len(jobs) > 0: // sent again
		return jobs[d.below(len(jobs))]
	case k < 24:
		return queue.Record{Value: []byte(`{"no job`)}
	case k < 26:
		return queue.Record{Value: []byte(`{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-01T00:00:00.000Z","Bucket":"media","RequestId":"1","HostId":"1"}`)}
	case k < 30:
		const object = `{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"media"},"object":{"key":"%s-%s"}}}`
		return queue.Record{Value: fmt.Appendf(nil, `{"Records":[`+object+`,`+object+`]}`, id, "x", id, "y")}
	}
	dataset := []string{"a", "a", "b"}[d.below(3)]
	if d.hit(0.03) {
		dataset = "unknown"
	}
	return queue.Record{Key: []byte(id), Value: []byte("picture " + id), Headers: []queue.Header{
		{Key: "content-type", Value: []byte("image/png")}, {Key: "dataset", Value: []byte(dataset)}, {Key: "id", Value: []byte(id)},
	}}
}

// options say how messages are read.
func options() message.Options {
	return message.Options{Buckets: []message.BucketRule{{Bucket: "media", Dataset: "b"}}}
}

// expect says how a message is to end.
func (w *world) expect(r queue.Record) []audit.Message {
	m := message.Record{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, message.Header(h))
	}
	parts, err := message.Parse(m, options())
	if err != nil {
		return []audit.Message{{Offset: r.Offset, Want: audit.Refused, Code: string(codecs.AsError(err).Code)}}
	}
	if len(parts) == 0 {
		return []audit.Message{{Offset: r.Offset, Want: audit.Nothing}}
	}
	var all []audit.Message
	for i, part := range parts {
		e := w.seed.expect(part.Job.Dataset, part.Job.ID)
		a := audit.Message{Offset: r.Offset, Part: i, ID: part.Job.ID, Dataset: part.Job.Dataset, Want: audit.Samples, Samples: int64(e.samples)}
		if e.code != "" {
			a.Want, a.Samples, a.Code = audit.Refused, 0, e.code
		}
		all = append(all, a)
	}
	return all
}
