package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline/queue"
)

// member is a process's side of the group. It behaves as queue.Member does: it beats, and
// lets go of its partitions when it hears that a generation is over, or that it is out.
// Until then it believes that it owns them, however long it was stopped.
type member struct {
	p      *process
	owner  queue.Owner
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu   sync.Mutex
	busy map[int]chan struct{}
	has  []int
}

func join(ctx context.Context, p *process, o queue.Owner) *member {
	m := &member{p: p, owner: o, done: make(chan struct{}), busy: map[int]chan struct{}{}}
	m.ctx, m.cancel = context.WithCancelCause(ctx)
	go m.run()
	return m
}

// ask lets the time of a question to the coordinator pass.
func (m *member) ask(ctx context.Context, what string, after time.Duration) error {
	d := m.p.world.dice(m.p.name, what, "")
	return m.p.wait(ctx, after+d.lasting(time.Millisecond, 10*time.Millisecond), d)
}

func (m *member) run() {
	defer close(m.done)
	w := m.p.world
	for {
		if m.ask(m.ctx, "join", 0) != nil {
			return
		}
		w.mu.Lock()
		joined := w.group.join(m.p.name)
		w.mu.Unlock()
		var g given
		select {
		case g = <-joined:
		case <-m.ctx.Done():
			return
		case <-m.p.dead:
			return
		}
		if m.ask(m.ctx, "sync", 0) != nil {
			return
		}
		m.generation(g)
		if m.ctx.Err() != nil {
			return
		}
	}
}

// generation works until the group says that it is over.
func (m *member) generation(g given) {
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	beating, renew := context.WithCancel(ctx)
	defer renew()
	var lost []int
	for _, p := range m.has {
		if !slices.Contains(g.partitions, p) {
			lost = append(lost, p)
		}
	}
	m.has = g.partitions
	if m.owner.Assigned != nil {
		m.owner.Assigned(g.generation, g.partitions, lost)
	}
	var all []<-chan struct{}
	for _, p := range g.partitions {
		all = append(all, m.start(ctx, queue.Assignment{
			Topic: topicName, Partition: p, Generation: g.generation, Renew: renew,
			Commit: func(offset int64) error { return m.advise(ctx, p, g.generation, offset) },
		}))
	}
	m.beats(beating, g.generation)
	cancel(queue.ErrGenerationEnded)
	late := time.After(queue.LetGo + m.p.world.seed.at(m.p.name, "let go", "", int(g.generation)).lasting(0, time.Millisecond))
	for _, done := range all {
		select {
		case <-done:
		case <-late:
			return
		}
	}
}

// beats returns when the member is to join again, or to end.
func (m *member) beats(ctx context.Context, generation int32) {
	w := m.p.world
	for {
		if m.ask(ctx, "beat", heartbeat) != nil {
			return
		}
		w.mu.Lock()
		ok := w.group.beat(m.p.name, generation)
		w.mu.Unlock()
		if !ok {
			return
		}
	}
}

// start runs Own once the partition's earlier one has returned.
func (m *member) start(ctx context.Context, a queue.Assignment) <-chan struct{} {
	done := make(chan struct{})
	m.mu.Lock()
	before := m.busy[a.Partition]
	m.busy[a.Partition] = done
	m.mu.Unlock()
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		if ctx.Err() == nil {
			m.owner.Own(ctx, a)
		}
	}()
	return done
}

// advise is an offset commit: refused, as by Kafka, in a generation that is over.
func (m *member) advise(ctx context.Context, p int, generation int32, offset int64) error {
	d := m.p.world.seed.at(m.p.name, "advise", fmt.Sprint(p, "/", offset), int(generation))
	if err := m.p.wait(ctx, d.lasting(time.Millisecond, 10*time.Millisecond), d); err != nil {
		return err
	}
	w := m.p.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.group.seats[m.p.name]; s == nil || s.generation != generation {
		return fmt.Errorf("the generation %d is over", generation)
	}
	w.group.advised[p] = offset
	return nil
}

// Close implements worker.Member.
func (m *member) Close(ctx context.Context) error {
	m.cancel(queue.ErrMemberClosed)
	select {
	case <-m.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := m.ask(ctx, "leave", 0); err != nil {
		return err
	}
	w := m.p.world
	w.mu.Lock()
	w.group.leave(m.p.name)
	w.mu.Unlock()
	m.mu.Lock()
	var busy []chan struct{}
	for _, p := range slices.Sorted(maps.Keys(m.busy)) {
		busy = append(busy, m.busy[p])
	}
	m.mu.Unlock()
	for _, done := range busy {
		<-done
	}
	return nil
}
