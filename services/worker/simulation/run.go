package simulation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
	"github.com/millrace/millrace/services/catalog"
	"github.com/millrace/millrace/services/keeper"
	"github.com/millrace/millrace/services/worker"
)

const (
	// maxAhead is more than all windows of a writer hold: which stream of a process gets the
	// next place would depend on the scheduler. The mills have places of their own.
	maxAhead = 3 * 24
	// enough is how long writers may take, once nothing fails, until every offset has its
	// end. A stream that has failed over and over rests for up to five minutes.
	enough = 20 * time.Minute
	// settle is when even the latest request has landed.
	settle = 3 * time.Minute
)

// Run runs a seed to its end, in a bubble of testing/synctest. dir is for spooled shards.
func Run(ctx context.Context, number uint64, dir string) *Result {
	w := newWorld(seed(number), dir)
	var slots, acts sync.WaitGroup
	for _, s := range w.plan.slots {
		slots.Go(func() { w.slot(ctx, s) })
	}
	for i, a := range w.plan.acts {
		acts.Go(func() { w.act(ctx, i, a) })
	}
	time.Sleep(w.plan.calm)
	late := true
	for deadline := time.Now().Add(enough); time.Now().Before(deadline); time.Sleep(time.Second) {
		if w.accounted() {
			late = false
			break
		}
	}
	close(w.ended)
	slots.Wait()
	acts.Wait()
	w.mu.Lock()
	w.result.Virtual = time.Since(w.trace.began)
	w.mu.Unlock()
	time.Sleep(settle)
	if late {
		w.violated("not every offset was accounted for %v after the last fault", enough)
	}
	w.judge(ctx)
	return w.close()
}

func (w *world) violated(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Violations = append(w.result.Violations, fmt.Sprintf(format, args...))
}

// judge collects what the dead have left, and has the store audited.
func (w *world) judge(ctx context.Context) {
	last := handle{newProcess(w, "keeper")}
	if _, err := keeper.Sweep(ctx, last, keeper.SweepOptions{}); err != nil {
		w.violated("the last sweep: %v", err)
	}
	r, err := audit.Run(ctx, reader{w}, w.campaign, audit.Options{Content: checkContent})
	if err != nil {
		w.violated("%v", err)
		return
	}
	for _, v := range r.Violations {
		w.violated("%v", v)
	}
	w.mu.Lock()
	w.result.Audit = r
	w.mu.Unlock()
}

func (w *world) close() *Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Digest = w.trace.digest()
	if len(w.result.Violations) > 0 {
		w.result.Tail = w.trace.tail(120)
	}
	return &w.result
}

// gaveUp is how a worker ends that finds its work hung. Its machine starts it anew.
//
//nolint:gochecknoglobals // a constant
var gaveUp = blow{kind: "gave-up", lasts: time.Second}

// slot runs one writer after the other, until the world ends.
func (w *world) slot(ctx context.Context, s slot) {
	blows := s.blows
	time.Sleep(s.starts)
	for life := 0; ; life++ {
		p := newProcess(w, s.name+"-"+strconv.Itoa(life))
		stop, done, cancel := w.start(ctx, p)
		var b blow
		switch b, blows = w.suffer(p, done, blows); b.kind {
		case "":
			close(stop)
			<-done
			cancel()
			return
		case "drain":
			close(stop)
			<-done
		default:
			p.kill()
		}
		cancel()
		<-done
		time.Sleep(b.lasts)
	}
}

// suffer lets a process live until its end, which is returned; without a kind if that is
// the world's.
func (w *world) suffer(p *process, done <-chan struct{}, blows []blow) (blow, []blow) {
	for len(blows) > 0 {
		b := blows[0]
		blows = blows[1:]
		select {
		case <-time.After(b.after):
		case <-done:
			return gaveUp, blows
		}
		w.count(b.kind)
		w.mu.Lock()
		w.trace.add(p.name, b.kind, "", "")
		w.mu.Unlock()
		if b.kind != "stop" {
			return b, blows
		}
		p.stop()
		time.Sleep(b.lasts)
		p.resume()
	}
	select {
	case <-w.ended:
		return blow{}, nil
	case <-done:
		return gaveUp, nil
	}
}

// start runs a real worker in the process.
func (w *world) start(ctx context.Context, p *process) (stop, done chan struct{}, cancel func()) {
	stop, done = make(chan struct{}), make(chan struct{})
	ctx, cancel = context.WithCancel(ctx)
	m := mills{p, make(chan struct{}, w.plan.mills)}
	real := worker.New(worker.Parts{
		Topic: topic{p}, Message: options(), Window: w.plan.window, Mills: m, Fetch: m.fetch, Count: maxAhead,
		Store:   store.NewRetry(handle{p}, store.Policy{Jitter: p.jitter}),
		Recipes: func(dataset string) *pipeline.Recipe { return w.recipes[dataset] },
		Observe: &stream.Tally{}, Log: slog.New(slog.DiscardHandler), ID: p.id, Jitter: p.jitter,
	})
	go func() {
		defer close(done)
		if err := real.Run(ctx, stop); err != nil {
			w.count("gave-up") // it asks to be started anew, as after a long stop
		}
	}()
	return stop, done, cancel
}

// act does what others do meanwhile.
func (w *world) act(ctx context.Context, i int, a act) {
	time.Sleep(a.at)
	p := newProcess(w, a.kind+strconv.Itoa(i))
	s := store.NewRetry(handle{p}, store.Policy{Jitter: p.jitter})
	w.count(a.kind)
	switch a.kind {
	case "sweep":
		_, _ = keeper.Sweep(ctx, s, keeper.SweepOptions{}) // it may fail, and is done again some day
	case "publish":
		_, _ = catalog.Publish(ctx, s)
	default:
		w.mu.Lock()
		w.meddle(i, a.kind)
		w.mu.Unlock()
	}
}

// meddle plays with the group.
func (w *world) meddle(i int, kind string) {
	d := w.seed.at("act", kind, "", i)
	switch kind {
	case "rebalance":
		w.group.share("meddling")
	case "split":
		w.group.split = true
		w.group.share("splitting")
	case "advise":
		at := d.below(len(w.partitions))
		p := w.partitions[at]
		if w.bucket.last(w.campaign.Streams[at].Path()) == nil {
			return // the start policy is not resolved yet, and may look at it
		}
		if d.hit(0.3) {
			delete(w.group.advised, at)
		} else {
			w.group.advised[at] = p.first + int64(d.below(int(p.end()-p.first)+1))
		}
	}
	w.trace.add("world", kind, "", "")
}

// reader is the store as the audit sees it: without faults.
type reader struct{ w *world }

// List implements audit.Store.
func (r reader) List(_ context.Context, prefix string) ([]string, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	var keys []string
	for _, info := range r.w.bucket.list(prefix, "") {
		keys = append(keys, info.Key)
	}
	return keys, nil
}

// Open implements audit.Store.
func (r reader) Open(_ context.Context, key string) (io.ReadCloser, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	o, ok := r.w.bucket.objects[key]
	if !ok {
		return nil, fmt.Errorf("%s is not there", key)
	}
	return io.NopCloser(bytes.NewReader(o.data)), nil
}
