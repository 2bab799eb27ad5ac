package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// read is the store as an audit reads it.
type read struct{ store.Store }

// List implements audit.Store.
func (r read) List(ctx context.Context, prefix string) (keys []string, err error) {
	for info, err := range r.Store.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		keys = append(keys, info.Key)
	}
	return keys, nil
}

// Open implements audit.Store.
func (r read) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	rc, _, err := r.Get(ctx, key, 0, -1)
	return rc, err
}

// settled waits until every offset of the topic is accounted for, for a time at most.
func settled(ctx context.Context, s store.Store, t *topic, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		behind, err := lag(ctx, s, t)
		if err == nil && len(behind) == 0 {
			return nil
		}
		if !sleep(ctx, time.Second) {
			return fmt.Errorf("the fleet did not finish within %s of the last fault: %s", most, errors.Join(err, errors.New(strings.Join(behind, ", "))))
		}
	}
}

// lag says of each partition that is not finished how far it is.
func lag(ctx context.Context, s store.Store, t *topic) (behind []string, err error) {
	ends, err := t.ends(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range slices.Sorted(maps.Keys(ends)) {
		c, err := ledger.Open(ctx, store.Plain{Store: s}, ledger.KafkaStream(t.cluster, t.name, int32(p)), ledger.Options{}) //nolint:gosec // a handful
		if err != nil {
			return nil, err
		}
		if c.Next() != ends[p] || c.Empty() && ends[p] > 0 {
			behind = append(behind, fmt.Sprintf("partition %d is at %d of %d", p, c.Next(), ends[p]))
		}
	}
	return behind, nil
}

// check compares the store with what was produced, this and what was checked before: by
// the audit, and by the program's own verify.
func (r *rig) check(ctx context.Context, c *audit.Campaign, s store.Store, out *report) (err error) {
	r.ledger.Streams, r.ledger.Complete = append(r.ledger.Streams, c.Streams...), true
	r.say("checking all that was produced")
	out.Audit, err = audit.Run(ctx, read{s}, &r.ledger, audit.Options{Content: content})
	if err != nil {
		return err
	}
	if out.Poisoned += r.poisoned(out.Audit); out.Poisoned > 0 {
		if out.Audit, err = audit.Run(ctx, read{s}, &r.ledger, audit.Options{Content: content}); err != nil {
			return err
		}
	}
	r.say("audit: %s", out.Audit.Summary())
	cmd := exec.CommandContext(ctx, r.binary, "verify", "s3://"+bucket+"/"+prefix, "--deep") //nolint:gosec // our own
	cmd.Env = r.direct()
	if text, err := cmd.CombinedOutput(); err != nil {
		out.Verify = fmt.Sprintf("%v: %s", err, text)
		return nil
	}
	out.Verify = "ok"
	return nil
}

// poisonCode is that of messages over which worker after worker died.
const poisonCode = "poison.crash-loop"

// poisoned finds the messages that were given up since workers died while they had them
// in hand, and expects that of them: who kills workers all the time must now and then hit
// one message three times, and Millrace can not know that it was not the message.
func (r *rig) poisoned(found *audit.Report) (n int) {
	for _, v := range found.Violations {
		if v.Kind != "message.outcome" || !strings.Contains(v.Detail, poisonCode) {
			continue
		}
		for i := range r.ledger.Streams {
			s := &r.ledger.Streams[i]
			if s.Path() != v.Stream {
				continue
			}
			for j := range s.Messages {
				if m := &s.Messages[j]; m.Offset == v.Offset {
					m.Want, m.Samples, m.Code = audit.Refused, 0, poisonCode
					n++
				}
			}
		}
	}
	return n
}

// content wants a picture in each sample.
func content(s *audit.Sample) error {
	for _, f := range s.Fields {
		if strings.HasSuffix(f.Name, "jpg") {
			if len(f.Data) < 100 || f.Data[0] != 0xff || f.Data[1] != 0xd8 {
				return fmt.Errorf("its %s is no JPEG", f.Name)
			}
			return nil
		}
	}
	return errors.New("it has no picture")
}
