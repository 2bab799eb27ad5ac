package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// ownership notes who works on what, as the members' functions say it.
type ownership struct {
	mu     sync.Mutex
	by     map[int]string // partition to member
	twice  []int          // partitions that were worked on by two at once
	change chan struct{}  // has a value after each change
}

func newOwnership() *ownership {
	return &ownership{by: map[int]string{}, change: make(chan struct{}, 1)}
}

func (o *ownership) set(partition int, who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if who == "" {
		delete(o.by, partition)
	} else {
		if _, ok := o.by[partition]; ok {
			o.twice = append(o.twice, partition)
		}
		o.by[partition] = who
	}
	select {
	case o.change <- struct{}{}:
	default:
	}
}

// counts returns how many partitions each member has.
func (o *ownership) counts() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := map[string]int{}
	for _, who := range o.by {
		n[who]++
	}
	return n
}

func (o *ownership) of(who string) []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ps []int
	for p, w := range o.by {
		if w == who {
			ps = append(ps, p)
		}
	}
	slices.Sort(ps)
	return ps
}

// until waits for each member to have as many partitions as said.
func (o *ownership) until(t *testing.T, want map[string]int) {
	t.Helper()
	ctx := testContext(t)
	for {
		got := o.counts()
		same := len(got) == len(want)
		for who, n := range want {
			same = same && got[who] == n
		}
		if same {
			return
		}
		select {
		case <-o.change:
		case <-ctx.Done():
			t.Fatalf("the members have %v, want %v", got, want)
		}
	}
}

func (o *ownership) owner(who string) Owner {
	return Owner{Own: func(ctx context.Context, a Assignment) {
		o.set(a.Partition, who)
		<-ctx.Done()
		o.set(a.Partition, "")
	}}
}

// groupConfig is quick to notice things.
func groupConfig(c *Client) Config {
	cfg := c.cfg
	cfg.Group = cfg.Topic
	cfg.Heartbeat, cfg.Session, cfg.Rebalance = 200*time.Millisecond, 6*time.Second, 10*time.Second
	return cfg
}

func join(t *testing.T, cfg Config, o Owner) *Member {
	t.Helper()
	health := o.Health
	o.Health = func(err error) {
		if health != nil {
			health(err)
		}
	}
	m, err := Join(context.WithoutCancel(t.Context()), cfg, o) // the test's context ends before its cleanup
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leave(t, m) })
	return m
}

func leave(t *testing.T, m *Member) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestMembersShareAndTakeOver(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		cfg := groupConfig(openTopic(t, addr, 6))
		o := newOwnership()
		a := join(t, cfg, o.owner("a"))
		o.until(t, map[string]int{"a": 6})
		join(t, cfg, o.owner("b"))
		o.until(t, map[string]int{"a": 3, "b": 3})
		before := o.of("a")
		c := join(t, cfg, o.owner("c"))
		o.until(t, map[string]int{"a": 2, "b": 2, "c": 2})
		for _, p := range o.of("a") {
			if !slices.Contains(before, p) {
				t.Errorf("partition %d moved to a member that had to give some away", p)
			}
		}
		leave(t, c)
		o.until(t, map[string]int{"a": 3, "b": 3})
		leave(t, a)
		o.until(t, map[string]int{"b": 6})
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.twice) > 0 {
			t.Fatalf("partitions %v had two owners at once", o.twice)
		}
	})
}

// TestPartitionsComeBack has a pipeline object outlive its generation.
func TestPartitionsComeBack(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		cfg := groupConfig(openTopic(t, addr, 2))
		type event struct {
			generation int32
			has, lost  []int
		}
		events := make(chan event, 100)
		owned := make(chan Assignment, 100)
		join(t, cfg, Owner{
			Assigned: func(g int32, has, lost []int) { events <- event{g, has, lost} },
			Own: func(ctx context.Context, a Assignment) {
				owned <- a
				<-ctx.Done()
				if err := context.Cause(ctx); !errors.Is(err, ErrGenerationEnded) && !errors.Is(err, ErrMemberClosed) {
					t.Errorf("the work ended with %v", err)
				}
			},
		})
		first := <-events
		if !slices.Equal(first.has, []int{0, 1}) || len(first.lost) != 0 {
			t.Fatalf("%+v", first)
		}
		for range 2 {
			a := <-owned
			if a.Generation != first.generation {
				t.Fatalf("partition %d of generation %d in generation %d", a.Partition, a.Generation, first.generation)
			}
			if err := a.CommitAdvisory(int64(7 + a.Partition)); err != nil {
				t.Fatal(err)
			}
			if n := committed(t, addr, cfg, a.Partition); n != int64(7+a.Partition) {
				t.Fatalf("committed %d of partition %d", n, a.Partition)
			}
		}
		o := newOwnership()
		b := join(t, cfg, o.owner("b"))
		second := nextWith(t, events, func(e event) bool { return len(e.lost) > 0 }, func(e event) any { return e })
		if len(second.has) != 1 || len(second.lost) != 1 || second.has[0] == second.lost[0] {
			t.Fatalf("%+v", second)
		}
		leave(t, b)
		third := nextWith(t, events, func(e event) bool { return len(e.has) == 2 }, func(e event) any { return e })
		if third.generation <= second.generation || len(third.lost) != 0 {
			t.Fatalf("%+v after %+v", third, second)
		}
	})
}

// nextWith returns the next value that ok accepts.
func nextWith[T any](t *testing.T, from <-chan T, ok func(T) bool, show func(T) any) T {
	t.Helper()
	ctx := testContext(t)
	var seen []any
	for {
		select {
		case v := <-from:
			if ok(v) {
				return v
			}
			seen = append(seen, show(v))
		case <-ctx.Done():
			t.Fatalf("only %v came", seen)
		}
	}
}

func committed(t *testing.T, addr string, cfg Config, partition int) int64 {
	t.Helper()
	tr := &kafka.Transport{}
	defer tr.CloseIdleConnections()
	c := &kafka.Client{Addr: kafka.TCP(addr), Transport: tr}
	r, err := c.OffsetFetch(testContext(t), &kafka.OffsetFetchRequest{GroupID: cfg.Group, Topics: map[string][]int{cfg.Topic: {partition}}})
	if err != nil || r.Error != nil {
		t.Fatal(err, r)
	}
	return r.Topics[cfg.Topic][0].CommittedOffset
}

// TestFinishedPartitionParks has one partition's function return at once.
func TestFinishedPartitionParks(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		cfg := groupConfig(openTopic(t, addr, 2))
		generations := make(chan int32, 100)
		other := make(chan context.Context, 100)
		join(t, cfg, Owner{
			Assigned: func(g int32, _, _ []int) { generations <- g },
			Own: func(ctx context.Context, a Assignment) {
				if a.Partition == 0 {
					return // as after a fault
				}
				other <- ctx
				<-ctx.Done()
			},
		})
		<-generations
		ctx := <-other
		// Several heartbeats long, nothing may happen.
		select {
		case <-ctx.Done():
			t.Fatal("one partition's end took the other away")
		case g := <-generations:
			t.Fatalf("generation %d began", g)
		case <-time.After(5 * cfg.Heartbeat):
		}
	})
}

// TestStuckPartitionHoldsNobodyUp has a function that ignores its context.
func TestStuckPartitionHoldsNobodyUp(t *testing.T) {
	cfg := groupConfig(openTopic(t, fake(t), 2))
	faults := make(chan error, 100)
	release := make(chan struct{})
	running := make(chan struct{}, 100)
	m, err := Join(t.Context(), cfg, Owner{
		Health: func(err error) {
			if err != nil {
				faults <- err
			}
		},
		Own: func(ctx context.Context, a Assignment) {
			running <- struct{}{}
			if a.Partition == 0 {
				<-release
				return
			}
			<-ctx.Done()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-running
	<-running
	o := newOwnership()
	join(t, cfg, o.owner("b"))
	o.until(t, map[string]int{"b": 1}) // the group went on without it
	if err := <-faults; err == nil {
		t.Fatal("no word about the partition that did not let go")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("closing with a stuck function: %v", err)
	}
	close(release)
	leave(t, m)
}

func TestCloseWhileNobodyAnswers(t *testing.T) {
	c := openTopic(t, fake(t), 1)
	cfg := groupConfig(c)
	cfg.Brokers = []string{"127.0.0.1:1"}
	faults := make(chan error, 100)
	m, err := Join(t.Context(), cfg, Owner{Own: func(context.Context, Assignment) {}, Health: func(err error) { faults <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-faults; err == nil {
		t.Fatal("joining nobody is well")
	}
	leave(t, m)
}

func TestJoinNeedsAGroup(t *testing.T) {
	cfg := testConfig("127.0.0.1:1", "topic")
	if _, err := Join(t.Context(), cfg, Owner{Own: func(context.Context, Assignment) {}}); err == nil {
		t.Fatal("joined without a group")
	}
}
