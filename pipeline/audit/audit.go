package audit

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Store is what an audit reads. Reads must see all that was written before.
type Store interface {
	// List gives all keys with a prefix, in the order of their bytes.
	List(ctx context.Context, prefix string) ([]string, error)
	// Open opens an object that was listed; the audit closes it.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
}

// Options of an audit. The zero value is fine.
type Options struct {
	// Content, if set, says what is wrong with a sample's fields. They are valid during
	// the call.
	Content func(s *Sample) error
}

// Run checks a store against what was produced. The error says why the audit itself could
// not be done; what is wrong with the data stands in the report. Writers should rest
// meanwhile: what they commit after the listing may be missed.
func Run(ctx context.Context, s Store, c *Campaign, o Options) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a := &auditor{
		ctx: ctx, store: s, opts: o, campaign: c, report: &Report{Violations: []Violation{}},
		named: map[string]int64{}, keys: map[sampleKey]string{}, produced: map[string]*Stream{}, logs: map[string][]link{},
	}
	if err := a.run(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return a.report, nil
}

type auditor struct {
	ctx      context.Context
	store    Store
	opts     Options
	campaign *Campaign
	report   *Report

	produced map[string]*Stream
	logs     map[string][]link    // what stands in each stream's log, by its path
	named    map[string]int64     // objects that records name, and the record's number
	keys     map[sampleKey]string // every sample's shard
	objects  map[string]bool      // under data/
}

type sampleKey struct{ dataset, key string }

// link is a record's place: for snapshots.
type link struct {
	sum string
	to  int64
}

func (a *auditor) run() error {
	if err := a.list(); err != nil {
		return err
	}
	for i := range a.campaign.Streams {
		s := &a.campaign.Streams[i]
		a.produced[s.Path()] = s
	}
	logs, err := a.store.List(a.ctx, "_log/")
	if err != nil {
		return err
	}
	epochs := map[string]int64{}
	for len(logs) > 0 {
		path, _, _ := strings.Cut(strings.TrimPrefix(logs[0], "_log/"), "/")
		n := 1
		for n < len(logs) && strings.HasPrefix(logs[n], "_log/"+path+"/") {
			n++
		}
		if epochs[path], err = a.stream(path, logs[:n]); err != nil {
			return err
		}
		logs = logs[n:]
	}
	a.unbegun()
	a.orphans(epochs)
	return a.snapshots()
}

// list notes what lies under data/.
func (a *auditor) list() error {
	keys, err := a.store.List(a.ctx, "data/")
	a.objects = make(map[string]bool, len(keys))
	for _, k := range keys {
		a.objects[k] = true
	}
	return err
}

// unbegun deals with streams to which was produced, and that have no log.
func (a *auditor) unbegun() {
	for path, s := range a.produced {
		if _, begun := a.logs[path]; begun {
			continue
		}
		a.report.Messages += int64(len(s.Messages))
		if !a.campaign.Complete {
			a.report.Pending += int64(len(s.Messages))
		} else if n := int64(len(s.Messages)); n > 0 {
			a.report.add(&a.report.Lost, n, Violation{Kind: "message.lost", Stream: path, Seq: -1, Offset: -1, Detail: fmt.Sprintf("it has no log: all %d messages are lost", n)})
		}
	}
}

// orphans counts what no record names.
func (a *auditor) orphans(epochs map[string]int64) {
	r := a.report
	for key := range a.objects {
		shard := key[:max(strings.LastIndexByte(key, '.'), 0)] // what stands beside a shard is the shard's
		if _, ok := a.named[key]; ok {
			continue
		}
		if _, ok := a.named[shard]; ok {
			continue
		}
		path, rest, _ := strings.Cut(strings.TrimPrefix(key, "data/"), "/")
		text, _, _ := strings.Cut(rest, "/")
		epoch, ok := number(text)
		now, begun := epochs[path]
		switch {
		case !ok || !begun || epoch > now:
			r.add(&r.Wrong, 1, Violation{Kind: "object.foreign", Stream: path, Seq: -1, Offset: -1, Key: key, Detail: fmt.Sprintf("it belongs to no epoch that the stream has had; the last is %d", now)})
		case epoch == now:
			r.Open++
		default:
			r.Orphans++
			if a.campaign.Swept {
				r.add(&r.Wrong, 1, Violation{Kind: "object.orphan", Stream: path, Seq: -1, Offset: -1, Key: key, Detail: fmt.Sprintf("no record names it, epoch %d is over, and it was not collected", epoch)})
			}
		}
	}
}

// read gives a small object whole.
func (a *auditor) read(key string, most int64) ([]byte, error) {
	rc, err := a.store.Open(a.ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return data, nil
}
