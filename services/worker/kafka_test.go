package worker

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/store"
)

// broker is a topic on a real Kafka, and what a test does to it.
type broker struct {
	t       *testing.T
	cfg     queue.Config
	admin   *kafka.Client
	made    map[int]int  // jobs by partition
	current atomic.Int32 // the group's generation, as members were told
}

func newBroker(t *testing.T, partitions int) *broker {
	t.Helper()
	cfg := queue.Default()
	cfg.Brokers, cfg.Topic = []string{kafkatest.Shared(t).Addr()}, kafkatest.Topic(t)
	cfg.Group = cfg.Topic
	cfg.Heartbeat, cfg.Session, cfg.Rebalance, cfg.Watch = 200*time.Millisecond, 6*time.Second, 10*time.Second, 500*time.Millisecond
	cfg.FetchWait = 100 * time.Millisecond
	transport := &kafka.Transport{MetadataTTL: 100 * time.Millisecond}
	t.Cleanup(transport.CloseIdleConnections)
	b := &broker{t: t, cfg: cfg, admin: &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: transport}, made: map[int]int{}}
	b.create(partitions)
	return b
}

func (b *broker) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *broker) client() *queue.Client {
	b.t.Helper()
	c, err := queue.Open(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

func (b *broker) create(partitions int) {
	b.t.Helper()
	c := b.client()
	b.until("the topic", func() bool { return c.EnsureTopic(b.ctx(), partitions, nil) == nil })
}

// produce sends jobs to a partition, numbered from where the last ended.
func (b *broker) produce(partition, jobs int) {
	b.t.Helper()
	b.until("producing", func() bool {
		var rs []kafka.Record // each attempt needs its own: bytes that were sent are used up
		for i := range jobs {
			id := fmt.Sprintf("%d-%d", partition, b.made[partition]+i)
			rs = append(rs, kafka.Record{Key: kafka.NewBytes([]byte(id)), Value: kafka.NewBytes(fmt.Appendf(nil, `{"id": %q, "dataset": "d", "text": "x"}`, id))})
		}
		r, err := b.admin.Produce(b.ctx(), &kafka.ProduceRequest{Topic: b.cfg.Topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(rs...)})
		return err == nil && r.Error == nil
	})
	b.made[partition] += jobs
}

// told notes the generations that a member is given.
type told struct {
	client
	b *broker
}

func (t told) Join(ctx context.Context, o queue.Owner) (Member, error) {
	assigned := o.Assigned
	o.Assigned = func(generation int32, has, lost []int) {
		t.b.current.Store(generation)
		assigned(generation, has, lost)
	}
	return t.client.Join(ctx, o)
}

func (b *broker) start(s store.Store, m *mills) run {
	p := parts(b.t, told{client{b.client()}, b}, s, m)
	r := prepare(p)
	r.restMin = 200 * time.Millisecond
	r.begin()
	b.t.Cleanup(func() { r.kill() })
	return r
}

// until polls: what is waited for comes when the group has settled.
func (b *broker) until(what string, done func() bool) {
	b.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s: not within two minutes", what)
		}
	}
}

// records are those of a partition.
func (b *broker) records(s store.Store, partition int) (kinds string, all []*ledger.Record) {
	b.t.Helper()
	cluster, err := b.client().ClusterID(b.ctx())
	if err != nil {
		b.t.Fatal(err)
	}
	for item, err := range ledger.Read(b.ctx(), store.Plain{Store: s}, ledger.KafkaStream(cluster, b.cfg.Topic, int32(partition)), 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		kinds += string(item.Record.Kind[0])
		all = append(all, item.Record)
	}
	return kinds, all
}

// committed waits until all that was produced has ended, and checks that it has once.
func (b *broker) committed(s store.Store) {
	b.t.Helper()
	for partition, n := range b.made {
		var all []*ledger.Record
		b.until(fmt.Sprintf("the commit of %d jobs of partition %d", n, partition), func() bool {
			_, all = b.records(s, partition)
			return len(all) > 0 && all[len(all)-1].To >= int64(n)
		})
		offset := int64(0)
		for _, r := range all {
			for _, o := range r.Outcomes {
				if o.Offset != offset || o.Status != ledger.OK || o.ID != fmt.Sprintf("%d-%d", partition, offset) {
					b.t.Errorf("partition %d: %+v stands where offset %d is due", partition, o, offset)
				}
				offset++
			}
		}
		if offset != int64(n) {
			b.t.Errorf("partition %d: %d outcomes of %d jobs", partition, offset, n)
		}
	}
	r, err := ledger.Verify(b.ctx(), store.Plain{Store: s}, ledger.VerifyOptions{Deep: true}, nil)
	if err != nil || !r.OK() {
		b.t.Errorf("verify: %v, %v", err, r)
	}
}

func (r run) has(state State, partitions ...int) bool {
	n := 0
	for _, p := range r.Status().Partitions {
		if p.State == state {
			n++
		}
	}
	return n == len(partitions) && len(r.Status().Partitions) == n
}

// What a member keeps over a rebalance goes on in its epoch, with the work that is under
// way; what it loses is dropped at once, and taken over.
func TestKafkaRebalance(t *testing.T) {
	b, s := newBroker(t, 2), store.NewMemory()
	b.produce(0, 10)
	b.produce(1, 10)
	var m [2]*mills
	var release [2]func()
	for i := range m {
		open := make(chan struct{})
		release[i] = func() { close(open) }
		m[i] = &mills{do: func(ctx context.Context, id string) error {
			if !strings.HasSuffix(id, "-5") {
				return nil
			}
			select {
			case <-open:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
	}
	first := b.start(s, m[0])
	b.until("the first owns both", func() bool { return first.has(Running, 0, 1) && m[0].times("0-5") == 1 && m[0].times("1-5") == 1 })
	second := b.start(s, m[1])
	b.until("they share", func() bool { return first.has(Running, 0) && second.has(Running, 0) })
	kept := first.Status().Partitions[0].Partition
	release[0]()
	release[1]()
	b.committed(s)
	if kinds, all := b.records(s, kept); strings.Count(kinds, "f") != 1 || all[len(all)-1].Epoch != 1 {
		t.Errorf("the partition that was kept has the chain %s", kinds)
	}
	if n := m[0].times(fmt.Sprint(kept, "-5")); n != 1 {
		t.Errorf("the work under way was done %d times", n)
	}
	if kinds, _ := b.records(s, 1-kept); strings.Count(kinds, "f") != 2 {
		t.Errorf("the partition that moved has the chain %s", kinds)
	}
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	b.produce(0, 5)
	b.produce(1, 5)
	b.committed(s)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
}

// A member that is fenced by one that has no claim joins again, and goes on.
func TestKafkaFencedWhileOwning(t *testing.T) {
	b, s := newBroker(t, 1), store.NewMemory()
	b.produce(0, 3)
	w := b.start(s, &mills{})
	b.committed(s)
	before := b.current.Load()
	_, all := b.records(s, 0)
	id, err := ledger.ParseStream(all[0].Stream)
	if err != nil {
		t.Fatal(err)
	}
	zombie, err := ledger.Open(b.ctx(), store.Plain{Store: s}, id, ledger.Options{Writer: "zombie"})
	if err == nil {
		err = zombie.Fence(b.ctx())
	}
	if err != nil {
		t.Fatal(err)
	}
	b.produce(0, 3)
	b.committed(s)
	if kinds, _ := b.records(s, 0); strings.Count(kinds, "f") != 3 || b.current.Load() <= before {
		t.Errorf("the chain is %s, in generation %d after %d", kinds, b.current.Load(), before)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
}

// What the group has committed is for people: deleted, rewound or forwarded, by a stranger
// while nobody runs or in the name of a member that does, it changes nothing.
func TestKafkaOffsetsAreAdvisory(t *testing.T) {
	b, s := newBroker(t, 1), store.NewMemory()
	set := func(offset int64, member string, generation int32) {
		t.Helper()
		r, err := b.admin.OffsetCommit(b.ctx(), &kafka.OffsetCommitRequest{GroupID: b.cfg.Group, MemberID: member, GenerationID: int(generation),
			Topics: map[string][]kafka.OffsetCommit{b.cfg.Topic: {{Partition: 0, Offset: offset}}}})
		if err != nil || r.Topics[b.cfg.Topic][0].Error != nil {
			t.Fatal(err, r)
		}
	}
	remove := func() {
		t.Helper()
		r, err := b.admin.OffsetDelete(b.ctx(), &kafka.OffsetDeleteRequest{GroupID: b.cfg.Group, Topics: map[string][]int{b.cfg.Topic: {0}}})
		if err != nil || r.Error != nil || r.Topics[b.cfg.Topic][0].Error != nil {
			t.Fatal(err, r)
		}
	}
	for _, stopped := range []func(){
		remove,
		func() { set(0, "", -1) },
		func() { set(1_000_000, "", -1) },
	} {
		b.produce(0, 5)
		w := b.start(s, &mills{})
		b.committed(s)
		d, err := b.admin.DescribeGroups(b.ctx(), &kafka.DescribeGroupsRequest{GroupIDs: []string{b.cfg.Group}})
		if err != nil || len(d.Groups) != 1 || len(d.Groups[0].Members) != 1 {
			t.Fatal(err, d)
		}
		for _, offset := range []int64{0, 1_000_000} {
			set(offset, d.Groups[0].Members[0].MemberID, b.current.Load())
			b.produce(0, 2)
			b.committed(s)
		}
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		stopped()
	}
	w := b.start(s, &mills{})
	b.produce(0, 5)
	b.committed(s)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
}

// A topic that was deleted and made anew is told from the old one, also when it is longer;
// the stream halts and says what to do.
func TestKafkaTopicMadeAnew(t *testing.T) {
	for name, running := range map[string]bool{"while stopped": false, "while running": true} {
		t.Run(name, func(t *testing.T) {
			b, s := newBroker(t, 1), store.NewMemory()
			b.produce(0, 3)
			w := b.start(s, &mills{})
			b.committed(s)
			before, _ := b.records(s, 0)
			if !running {
				if err := w.stop(); err != nil {
					t.Fatal(err)
				}
			}
			r, err := b.admin.DeleteTopics(b.ctx(), &kafka.DeleteTopicsRequest{Topics: []string{b.cfg.Topic}})
			if err != nil || r.Errors[b.cfg.Topic] != nil {
				t.Fatal(err, r)
			}
			b.create(1)
			b.made[0] = 0
			b.produce(0, 10)
			if !running {
				w = b.start(s, &mills{})
			}
			b.until("the halt", func() bool { return w.has(Halted, 0) })
			if cause := w.Status().Ready(); cause == nil || !strings.Contains(cause.Error(), "made anew") || !strings.Contains(cause.Error(), "another store.url") {
				t.Errorf("it says %v", cause)
			}
			if after, _ := b.records(s, 0); after != before {
				t.Errorf("the chain is %s, and was %s", after, before)
			}
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Partitions that are added while a worker runs are owned, and what is in them is not
// left out, whatever the start policy.
func TestKafkaPartitionsAdded(t *testing.T) {
	b, s := newBroker(t, 1), store.NewMemory()
	b.cfg.Start.Policy = queue.StartLatest
	w := b.start(s, &mills{})
	b.until("ownership", func() bool { return w.has(Running, 0) })
	b.produce(0, 3)
	b.committed(s)
	r, err := b.admin.CreatePartitions(b.ctx(), &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: b.cfg.Topic, Count: 3}}})
	if err != nil || r.Errors[b.cfg.Topic] != nil {
		t.Fatal(err, r)
	}
	for p := range 3 {
		b.produce(p, 4)
	}
	b.committed(s)
	if kinds, _ := b.records(s, 0); strings.Count(kinds, "f") != 1 {
		t.Errorf("the partition that was there before has the chain %s", kinds)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
}
