package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// LetGo is how long an Owner's Own may take to return once its context ends.
const LetGo = 2 * time.Second

// joinPause is waited between attempts to join. A broker's very first group needs some
// seconds ("coordinator not available").
const joinPause = time.Second

// ErrGenerationEnded is the cause of the context of Own: the group is about to
// share its partitions out anew.
var ErrGenerationEnded = kafka.ErrGenerationEnded

// ErrMemberClosed is the cause of the context of Own after [Member.Close].
var ErrMemberClosed = errors.New("the group member is closing")

// Owner is what works on the partitions that a member is given.
type Owner struct {
	// Own works on one partition until ctx ends, and returns within LetGo then. It
	// runs in a goroutine of its own for each partition of each generation; for one
	// partition never twice at a time in this process. If it returns early, the
	// partition stays with this member, idle, until the generation ends: a fault of
	// one partition must not take away the others (but see [Assignment.Rejoin]). Required.
	Own func(ctx context.Context, a Assignment)
	// Assigned, if set, is called at the start of each generation, before any Own,
	// with the partitions of this member and those that it had in the generation
	// before but no longer has, both ascending. What was kept for a lost partition
	// can be dropped there; what was kept for one that came back goes on.
	Assigned func(generation int32, has, lost []int)
	// Health, if set, is told of faults of the membership, which are retried for
	// ever, and of nil once a generation begins. It may be called from several
	// goroutines.
	Health func(error)
}

// Assignment is one partition in one generation.
type Assignment struct {
	Topic      string
	Partition  int
	Generation int32

	// Commit tells the group that everything below an offset is done; nil tells nobody.
	Commit func(offset int64) error
	// Renew ends the generation for this member, which joins again; nil does nothing.
	Renew func()
}

// CommitAdvisory tells the group that everything below offset is done. It is for
// lag dashboards: nothing here ever reads it. An error is worth a count and a log
// line, no more. Takes up to some seconds.
func (a Assignment) CommitAdvisory(offset int64) error {
	if a.Commit == nil {
		return nil
	}
	return a.Commit(offset)
}

// Rejoin asks for a new generation of the group: Own's context ends, as that of every
// other partition of this member does, and the partitions are shared out anew. Those
// that come back to this member do so in the new generation. It may be called more
// than once; once the generation has ended it does nothing.
func (a Assignment) Rejoin() {
	if a.Renew != nil {
		a.Renew()
	}
}

// Member is this process's part in a consumer group.
type Member struct {
	cfg    Config
	owner  Owner
	group  *kafka.ConsumerGroup
	sticky *sticky
	dialer *dialer
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when run has returned

	mu   sync.Mutex
	busy map[int]chan struct{} // by partition: closed when its last Own has returned
	has  []int
}

// Join takes part in the client's group, as [Join] does, with connections of its own.
func (c *Client) Join(ctx context.Context, owner Owner) (*Member, error) {
	return Join(ctx, c.cfg, owner)
}

// Join takes part in cfg.Group until Close. It returns at once; joining is retried
// for ever, and what is wrong goes to owner.Health. Values of ctx reach Own; its end
// ends the work, but only Close leaves the group.
//
// Two members never own a partition at once while both are alive and in touch with
// the broker: the group shares out anew only when each has let go. A member that
// loses touch notices within Heartbeat plus 5 s, before Session (15 s) is over and
// others take its partitions. One that was stopped (SIGSTOP, a long pause of the
// machine) may believe for a moment after waking that it still owns them, up to
// Heartbeat plus LetGo: the ledger's fence is what makes that harmless.
func Join(ctx context.Context, cfg Config, owner Owner) (*Member, error) {
	if cfg.Group == "" {
		return nil, errors.New("queue.group is empty: give the consumer group's name")
	}
	if owner.Health == nil {
		owner.Health = func(error) {}
	}
	c, err := Open(cfg) // for the checks, and what it makes of TLS and SASL
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m := &Member{
		cfg: cfg, owner: owner, sticky: newSticky(cfg.Topic), dialer: newDialer(),
		done: make(chan struct{}), busy: map[int]chan struct{}{},
	}
	m.ctx, m.cancel = context.WithCancelCause(ctx)
	m.group, err = kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: cfg.Group, Brokers: cfg.Brokers, Topics: []string{cfg.Topic},
		Dialer: &kafka.Dialer{
			ClientID: cfg.ClientID, DialFunc: m.dialer.DialContext, Timeout: dialTimeout,
			TLS: c.tls, SASLMechanism: c.mechanism,
		},
		GroupBalancers:    []kafka.GroupBalancer{m.sticky, kafka.RangeGroupBalancer{}},
		HeartbeatInterval: cfg.Heartbeat, SessionTimeout: cfg.Session, RebalanceTimeout: cfg.Rebalance,
		JoinGroupBackoff:      joinPause,
		WatchPartitionChanges: true, PartitionWatchInterval: cfg.Watch,
	})
	if err != nil {
		m.cancel(err)
		return nil, fmt.Errorf("joining group %s: %w", cfg.Group, err)
	}
	go m.run()
	return m, nil
}

// run hands each generation to the owner. Next must be called all the time: the
// library waits for it also to hand out errors.
func (m *Member) run() {
	defer close(m.done)
	for {
		gen, err := m.group.Next(context.Background())
		switch {
		case errors.Is(err, kafka.ErrGroupClosed):
			return
		case err != nil:
			m.owner.Health(fmt.Errorf("joining group %s at %v: %w; trying again", m.cfg.Group, m.cfg.Brokers, err))
		default:
			m.begin(gen)
		}
	}
}

func (m *Member) begin(gen *kafka.Generation) {
	var has, lost []int
	for _, a := range gen.Assignments[m.cfg.Topic] {
		has = append(has, a.ID)
	}
	slices.Sort(has)
	for _, p := range m.has {
		if !slices.Contains(has, p) {
			lost = append(lost, p)
		}
	}
	m.has = has
	m.sticky.own(gen.ID, has)
	m.owner.Health(nil)
	if m.owner.Assigned != nil {
		m.owner.Assigned(gen.ID, has, lost)
	}
	for _, p := range has {
		gen.Start(func(ctx context.Context) { m.hold(ctx, gen, p) })
	}
}

// hold keeps one partition for a generation. It returns at most LetGo after the
// generation's end, whatever Own does: the group waits for it.
func (m *Member) hold(ended context.Context, gen *kafka.Generation, partition int) {
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ended, func() { cancel(ErrGenerationEnded) })
	defer stop()

	again := make(chan struct{})
	own := m.start(ctx, Assignment{
		Topic: m.cfg.Topic, Partition: partition, Generation: gen.ID,
		Commit: func(offset int64) error { return m.commit(ctx, gen, partition, offset) },
		Renew:  sync.OnceFunc(func() { close(again) }),
	})
	select { // returning ends the generation for every partition
	case <-ended.Done():
	case <-again:
	}
	cancel(ErrGenerationEnded)
	late := time.NewTimer(LetGo)
	defer late.Stop()
	select {
	case <-own:
	case <-late.C:
		m.owner.Health(fmt.Errorf("partition %s/%d did not let go within %s of the end of generation %d; it gets no new work until it does",
			m.cfg.Topic, partition, LetGo, gen.ID))
	}
}

// commit is CommitAdvisory's.
func (m *Member) commit(ctx context.Context, gen *kafka.Generation, partition int, offset int64) error {
	if err := context.Cause(ctx); err != nil {
		return err // the library would use a closed connection
	}
	if err := gen.CommitOffsets(map[string]map[int]int64{m.cfg.Topic: {partition: offset}}); err != nil {
		return fmt.Errorf("committing offset %d of %s/%d: %w", offset, m.cfg.Topic, partition, err)
	}
	return nil
}

// start runs Own once the partition's earlier one has returned. The returned channel
// is closed when there is nothing left to wait for.
func (m *Member) start(ctx context.Context, a Assignment) <-chan struct{} {
	done := make(chan struct{})
	m.mu.Lock()
	before := m.busy[a.Partition]
	m.busy[a.Partition] = done
	m.mu.Unlock()
	go func() {
		defer close(done)
		if before != nil {
			<-before // never two at once for one partition
		}
		if ctx.Err() == nil {
			m.owner.Own(ctx, a)
		}
	}()
	return done
}

// Close ends all work and leaves the group, so that others take over at once. It
// waits until ctx ends at most; then it cuts the connections and returns an error:
// the broker notices after Session.
func (m *Member) Close(ctx context.Context) error {
	m.cancel(ErrMemberClosed)
	left := make(chan struct{})
	go func() {
		_ = m.group.Close() // always nil
		<-m.done
		m.wait()
		close(left)
	}()
	select {
	case <-left:
		m.dialer.cut()
		return nil
	case <-ctx.Done():
		m.dialer.cut()
		return fmt.Errorf("leaving group %s: %w; the broker gives its partitions to others after %s", m.cfg.Group, ctx.Err(), m.cfg.Session)
	}
}

// wait returns when no Own runs. No generation begins any more.
func (m *Member) wait() {
	m.mu.Lock()
	busy := slices.Collect(maps.Values(m.busy))
	m.mu.Unlock()
	for _, done := range busy {
		<-done
	}
}
