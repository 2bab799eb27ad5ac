package claim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/claim"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
	"github.com/millrace/millrace/pipeline/store/storetest"
)

var single = claim.Config{Replicas: 1, MinInsync: 1, Create: true}

// openKafka opens a new claim log on a real broker.
func openKafka(t testing.TB, partitions int) (*claim.Kafka, queue.Config) {
	t.Helper()
	cfg := queue.Default()
	cfg.Brokers = []string{kafkatest.Shared(t).Addr()}
	cfg.Topic = kafkatest.Topic(t)
	k := sameKafka(t, cfg)
	c := single
	c.Topic = cfg.Topic
	if err := k.Ensure(t.Context(), c, partitions); err != nil {
		t.Fatal(err)
	}
	return k, cfg
}

func sameKafka(t testing.TB, cfg queue.Config) *claim.Kafka {
	t.Helper()
	k, err := claim.OpenKafka(cfg, cfg.Topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// careless is a real server that ignores conditional writes.
func careless(t testing.TB) (open func() store.Store) {
	t.Helper()
	server := s3test.Start(t)
	cfg, location := server.Careless(t), server.URL()
	return func() store.Store {
		s, err := store.Open(t.Context(), location, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.(*store.S3).Close() })
		return store.NewRetry(s, store.Policy{})
	}
}

func TestSuiteOnKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real broker; not with -short")
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		k, _ := openKafka(t, 1)
		return process(t, overwriting{store.NewMemory()}, k)
	})
}

// TestRivals: on a server that ignores conditional writes the probe refuses creates
// without a claim log; with one, it passes, and writers that fight over a stream make
// one chain.
func TestRivals(t *testing.T) {
	open := careless(t)
	if _, err := store.Probe(t.Context(), open(), 2, 8); err == nil || !strings.Contains(err.Error(), "ignores If-None-Match") {
		t.Fatalf("without a claim log the probe says %v", err)
	}
	_, cfg := openKafka(t, 4)
	if _, err := store.Probe(t.Context(), process(t, open(), sameKafka(t, cfg)), 4, 8); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]bool{}
	for w := range 4 {
		s := store.Plain{Store: process(t, open(), sameKafka(t, cfg))}
		wg.Go(func() {
			for turn := range 4 {
				writer := fmt.Sprintf("writer %d, turn %d", w, turn)
				c, err := ledger.Open(t.Context(), s, stream, quick(writer))
				if err == nil {
					err = c.Begin(t.Context(), 7)
				}
				if err == nil {
					err = c.Fence(t.Context())
				}
				for n := 0; n < 3 && err == nil; n++ {
					id := fmt.Sprintf("%s, commit %d", writer, n)
					err = c.Commit(t.Context(), ledger.Entry{To: c.Next() + 1, Outcomes: []ledger.Outcome{{Offset: c.Next(), ID: id, Status: ledger.None}}})
					if err == nil {
						mu.Lock()
						acked[id] = true
						mu.Unlock()
					}
				}
				if err != nil && !errors.Is(err, ledger.ErrFenced) {
					t.Errorf("%s: %v", writer, err)
				}
			}
		})
	}
	wg.Wait()
	s := store.Plain{Store: open()} // readers need no log
	r, err := ledger.Verify(t.Context(), s, ledger.VerifyOptions{}, nil)
	if err != nil || !r.OK() {
		t.Fatal(err, r)
	}
	committed := 0
	for item, err := range ledger.Read(t.Context(), s, stream, 0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range item.Record.Outcomes {
			committed++
			if !acked[o.ID] {
				t.Errorf("%s is in the chain, but its writer was not told so", o.ID)
			}
		}
	}
	if committed != len(acked) || committed == 0 {
		t.Errorf("%d commits are in the chain, %d were acknowledged", committed, len(acked))
	}
	t.Logf("4 writers, %d commits acknowledged and in the chain", committed)
}

// TestBrokerRestarts: creates go on where they were when the broker comes back.
func TestBrokerRestarts(t *testing.T) {
	b := kafkatest.Start(t)
	cfg := queue.Default()
	cfg.Brokers, cfg.Topic = []string{b.Addr()}, "claims"
	k := sameKafka(t, cfg)
	c := single
	c.Topic = cfg.Topic
	if err := k.Ensure(t.Context(), c, 4); err != nil {
		t.Fatal(err)
	}
	memory := store.NewMemory()
	s := process(t, memory, k)
	if err := s.Create(t.Context(), number(0), []byte("0")); err != nil {
		t.Fatal(err)
	}
	b.Kill(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Create(ctx, number(1), []byte("1")); err == nil {
		t.Fatal("a create without a broker was acknowledged")
	}
	b.Restart(t)
	for {
		err := s.Create(t.Context(), number(1), []byte("1"))
		if err == nil || errors.Is(err, store.ErrExists) {
			break
		}
		if store.IsPermanent(err) {
			t.Fatal(err)
		}
	}
	wantObject(t, memory, number(0), "0")
	wantObject(t, memory, number(1), "1")
}

func TestTopicIsChecked(t *testing.T) {
	k, cfg := openKafka(t, 2)
	strict := claim.DefaultConfig()
	strict.Topic = cfg.Topic
	err := k.Ensure(t.Context(), strict, 3)
	for _, want := range []string{"number of replicas", "min.insync.replicas", "number of partitions"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; it should name the %s", err, want)
		}
	}
	cfg.Topic = kafkatest.Topic(t)
	c, err := queue.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.EnsureTopic(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	loose := single
	loose.Topic = cfg.Topic
	err = sameKafka(t, cfg).Ensure(t.Context(), loose, 1)
	for _, want := range []string{"retention.ms", "max.message.bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; it should name %s", err, want)
		}
	}
	loose.Topic, loose.Create = kafkatest.Topic(t), false
	cfg.Topic = loose.Topic
	if err := sameKafka(t, cfg).Ensure(t.Context(), loose, 1); err == nil || !strings.Contains(err.Error(), "store.claim_log.create") {
		t.Errorf("a topic that is not there: %v", err)
	}
}

// BenchmarkCommit compares a commit by a conditional put with one by the claim log, on
// the same server.
func BenchmarkCommit(b *testing.B) {
	server := s3test.Start(b)
	conditional := server.Open(b)
	k, _ := openKafka(b, 4)
	claims := process(b, server.Open(b), k)
	for _, size := range []int{2 << 10, 256 << 10, 1<<20 - 1} {
		data := make([]byte, size)
		for name, s := range map[string]store.Store{"conditional": conditional, "claims": claims} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, (size+1023)>>10), func(b *testing.B) {
				for b.Loop() {
					n++
					if err := s.Create(b.Context(), fmt.Sprintf("_log/bench-%s/%020d", name, n), data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

var n int
