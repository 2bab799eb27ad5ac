package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace/millrace/pipeline/queue/kafkatest"
)

// produce sends values 0 to n-1 in one batch to partition 0.
func produce(t *testing.T, k *kgo.Client, values ...[]byte) {
	t.Helper()
	rs := make([]*kgo.Record, len(values))
	for i, v := range values {
		rs[i] = &kgo.Record{Value: v}
	}
	if err := k.ProduceSync(testContext(t), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func numbered(from, to int) [][]byte {
	var out [][]byte
	for i := from; i < to; i++ {
		out = append(out, fmt.Appendf(nil, "value %d", i))
	}
	return out
}

// oneBatch makes kgo wait for the records that belong together.
var oneBatch = kgo.ProducerLinger(200 * time.Millisecond)

func TestReadInOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1, func(c *Config) { c.FetchBytes = 4 << 10 })
		codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
		for i, codec := range codecs {
			k := franz(t, c, oneBatch, kgo.ProducerBatchCompression(codec))
			produce(t, k, numbered(100*i, 100*i+100)...)
		}
		p := c.Read(0, 250, nil) // in the middle of a batch
		defer p.Close()
		for i, r := range read(t, p, 250) {
			if want := fmt.Sprintf("value %d", 250+i); string(r.Value) != want || r.Skipped != nil {
				t.Fatalf("offset %d: %q, want %q (%v)", r.Offset, r.Value, want, r.Skipped)
			}
		}
		if p.Lag() != 0 {
			t.Fatalf("lag %d at the end", p.Lag())
		}
	})
}

func TestNextMayBeGivenUp(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1)
		p := c.Read(0, 0, nil)
		defer p.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := p.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("on an empty partition: %v", err)
		}
		produce(t, franz(t, c), numbered(0, 3)...)
		if r := read(t, p, 3); string(r[2].Value) != "value 2" {
			t.Fatalf("%q", r[2].Value)
		}
		_ = p.Close()
		if _, err := p.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Fatalf("after Close: %v", err)
		}
	})
}

func TestReadLargerThanAFetch(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1, func(c *Config) { c.FetchBytes = 1 << 10 })
		big := make([]byte, 3<<20)
		for i := range big {
			big[i] = byte(rand.Uint32())
		}
		k := franz(t, c, kgo.ProducerBatchCompression(kgo.NoCompression()))
		produce(t, k, []byte("before"))
		produce(t, k, big)
		produce(t, k, []byte("after"))
		p := c.Read(0, 0, nil)
		defer p.Close()
		r := read(t, p, 3)
		if string(r[0].Value) != "before" || !bytes.Equal(r[1].Value, big) || string(r[2].Value) != "after" {
			t.Fatalf("%d, %d and %d bytes", len(r[0].Value), len(r[1].Value), len(r[2].Value))
		}
	})
}

func TestSkipBatchesOverTheLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1, func(c *Config) { c.FetchBytes, c.BatchBytes = 64<<10, 1<<20 })
		noise := make([]byte, 2<<20)
		for i := range noise {
			noise[i] = byte(rand.Uint32())
		}
		plain := franz(t, c, kgo.ProducerBatchCompression(kgo.NoCompression()))
		produce(t, plain, []byte("first"))
		produce(t, plain, noise) // offset 1: too large as it is
		want := []string{"[0] first", "[1, 2) batch-limit"}
		at := 2
		for _, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
			// Too large once unpacked, 15 MiB of zeros; what stands before it is good.
			produce(t, franz(t, c, oneBatch, kgo.ProducerBatchCompression(codec)), []byte("good"), make([]byte, 15<<20), []byte("lost"))
			if codec == kgo.SnappyCompression() { // kgo sends one block, which is refused whole
				want = append(want, fmt.Sprintf("[%d, %d) batch-limit", at, at+3))
			} else {
				want = append(want, fmt.Sprintf("[%d] good", at), fmt.Sprintf("[%d, %d) batch-limit", at+1, at+3))
			}
			at += 3
		}
		produce(t, plain, []byte("last"))
		want = append(want, fmt.Sprintf("[%d] last", at))

		p := c.Read(0, 0, nil)
		defer p.Close()
		for i, r := range read(t, p, len(want)) {
			if got := brief(&r); got != want[i] {
				t.Fatalf("entry %d is %s (%v), want %s", i, got, r.Skipped, want[i])
			}
		}
	})
}

func brief(r *Record) string {
	if s := r.Skipped; s != nil {
		return fmt.Sprintf("[%d, %d) %s", s.From, s.To, s.Reason)
	}
	return fmt.Sprintf("[%d] %s", r.Offset, r.Value)
}

func TestReadTransactions(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1)
		ctx := testContext(t)
		tx := franz(t, c, oneBatch, kgo.TransactionalID(c.cfg.Topic))
		transact := func(end kgo.TransactionEndTry, values ...[]byte) {
			t.Helper()
			if err := tx.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			produce(t, tx, values...)
			if err := tx.EndTransaction(ctx, end); err != nil {
				t.Fatal(err)
			}
		}
		transact(kgo.TryCommit, numbered(0, 3)...)
		transact(kgo.TryAbort, numbered(4, 6)...)
		transact(kgo.TryCommit, numbered(7, 8)...)
		produce(t, franz(t, c), numbered(9, 10)...)

		want := []string{
			"[0] value 0", "[1] value 1", "[2] value 2", "[3, 4) control",
			"[4, 6) aborted", "[6, 7) control", "[7] value 7", "[8, 9) control", "[9] value 9",
		}
		for _, from := range []int64{0, 5} { // from the middle of the aborted ones, too
			p := c.Read(0, from, nil)
			defer p.Close()
			w := want
			if from == 5 {
				w = append([]string{"[5, 6) aborted"}, want[5:]...)
			}
			for i, r := range read(t, p, len(w)) {
				if got := brief(&r); got != w[i] {
					t.Fatalf("from %d: entry %d is %s, want %s", from, i, got, w[i])
				}
			}
		}
	})
}

func TestOpenTransactionHoldsBack(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1)
		ctx := testContext(t)
		tx := franz(t, c, kgo.TransactionalID(c.cfg.Topic))
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, tx, []byte("held"))
		produce(t, franz(t, c), []byte("behind"))
		if o, err := c.Offsets(ctx, 0); err != nil || o != (Offsets{First: 0, Stable: 0, High: 2}) {
			t.Fatalf("%+v, %v", o, err)
		}
		p := c.Read(0, 0, nil)
		defer p.Close()
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		if r, err := p.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("while the transaction is open: %s, %v", brief(&r), err)
		}
		if err := tx.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		got := read(t, p, 3)
		if brief(&got[0]) != "[0] held" || brief(&got[1]) != "[1] behind" || brief(&got[2]) != "[2, 3) control" {
			t.Fatalf("%s %s %s", brief(&got[0]), brief(&got[1]), brief(&got[2]))
		}
	})
}

func TestBelowLogStart(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1)
		k := franz(t, c, oneBatch)
		produce(t, k, numbered(0, 10)...)
		deleteRecords(t, k, c.cfg.Topic, 7)
		p := c.Read(0, 3, nil)
		defer p.Close()
		_, err := p.Next(testContext(t))
		var below *BelowStartError
		if !errors.As(err, &below) || *below != (BelowStartError{c.cfg.Topic, 0, 3, 7}) {
			t.Fatalf("%v", err)
		}
		q := c.Read(0, below.LogStart, nil)
		defer q.Close()
		if r := read(t, q, 3); string(r[0].Value) != "value 7" {
			t.Fatalf("%q at the log's start", r[0].Value)
		}
		if n, err := c.StartOffset(testContext(t), 0); err != nil || n != 7 {
			t.Fatalf("earliest is %d (%v), want 7", n, err)
		}
	})
}

// TestTopicRecreated has a topic that was read to 10 replaced by one that is shorter,
// and by one where 10 stands for another record.
func TestTopicRecreated(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		for _, again := range []int{4, 20} {
			c := openTopic(t, addr, 1)
			k := franz(t, c)
			produce(t, k, numbered(0, 10)...)
			p := c.Read(0, 0, nil)
			defer p.Close()
			read(t, p, 10)
			deleteTopic(t, k, c.cfg.Topic)
			recreate(t, c.cfg)
			produce(t, franz(t, c), numbered(0, again)...)
			_, err := p.Next(testContext(t))
			var anew *RecreatedError
			if !errors.As(err, &anew) || anew.Topic != c.cfg.Topic || anew.Was == anew.Is || anew.Was == "" {
				t.Fatalf("with %d records: %v", again, err)
			}
		}
	})
}

func TestAboveEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1)
		produce(t, franz(t, c), numbered(0, 10)...)
		p := c.Read(0, 11, nil)
		defer p.Close()
		_, err := p.Next(testContext(t))
		var above *AboveEndError
		if !errors.As(err, &above) || *above != (AboveEndError{c.cfg.Topic, 0, 11, 10}) {
			t.Fatal(err)
		}
	})
}

// TestOldBroker reads from one that names topics by name only.
func TestOldBroker(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(kversion.V2_4_0()))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c := openTopic(t, k.ListenAddrs()[0], 1)
	if id, err := c.TopicID(testContext(t)); err != nil || id != "" {
		t.Fatalf("%q, %v", id, err)
	}
	produce(t, franz(t, c, oneBatch), numbered(0, 10)...)
	p := c.Read(0, 3, nil)
	defer p.Close()
	if r := read(t, p, 7); string(r[6].Value) != "value 9" {
		t.Fatalf("%q", r[6].Value)
	}
}

// recreate waits for the old topic to be gone, which brokers do in their own time.
func recreate(t *testing.T, cfg Config) {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := testContext(t)
	for c.EnsureTopic(ctx, 1, nil) != nil {
		if sleep(ctx, 100*time.Millisecond) != nil {
			t.Fatal("the topic could not be made again")
		}
	}
}

func TestStartPolicies(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1)
		k := franz(t, c)
		base := time.Now().Truncate(time.Millisecond).Add(-time.Hour)
		for i := range 5 {
			r := &kgo.Record{Value: []byte("x"), Timestamp: base.Add(time.Duration(i) * time.Minute)}
			if err := k.ProduceSync(testContext(t), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		c.cfg.Group, c.cfg.Start = "nobody-"+c.cfg.Topic, Start{Policy: StartGroup}
		if n, err := c.StartOffset(testContext(t), 0); err != nil || n != 0 {
			t.Errorf("a group that has committed nothing starts at %d (%v)", n, err)
		}
		if _, err := c.ask.OffsetCommit(testContext(t), &kafka.OffsetCommitRequest{GroupID: c.cfg.Topic, GenerationID: -1,
			Topics: map[string][]kafka.OffsetCommit{c.cfg.Topic: {{Partition: 0, Offset: 4}}}}); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			start Start
			want  int64
		}{
			{Start{Policy: StartEarliest}, 0},
			{Start{Policy: StartLatest}, 5},
			{Start{Policy: StartTimestamp, Time: base.Add(2 * time.Minute).Format(time.RFC3339Nano)}, 2},
			{Start{Policy: StartTimestamp, Time: base.Add(150 * time.Second).Format(time.RFC3339Nano)}, 3},
			{Start{Policy: StartTimestamp, Time: base.Add(30 * time.Minute).Format(time.RFC3339Nano)}, 5}, // later than all
			{Start{Policy: StartTimestamp, Time: "58m30s"}, 2},
			{Start{Policy: StartGroup}, 4},
		} {
			c.cfg.Group, c.cfg.Start = c.cfg.Topic, tc.start
			if n, err := c.StartOffset(testContext(t), 0); err != nil || n != tc.want {
				t.Errorf("%+v gives %d (%v), want %d", tc.start, n, err, tc.want)
			}
		}
	})
}

// TestReadOverABrokersDeath kills the broker under a reader.
func TestReadOverABrokersDeath(t *testing.T) {
	broker := kafkatest.Start(t)
	c := openTopic(t, broker.Addr(), 1)
	producer := c.Producer(1)
	ctx := testContext(t)
	publish := func(from, to int) {
		t.Helper()
		for _, v := range numbered(from, to) {
			if err := producer.Publish(ctx, Message{Value: v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	faults := make(chan error, 100)
	p := c.Read(0, 0, func(err error) { faults <- err })
	defer p.Close()
	publish(0, 10)
	seen := read(t, p, 5)
	// The rest of what was fetched is in memory; ask beyond it while nobody answers.
	broker.Kill(t)
	got := make(chan []Record)
	go func() {
		var rs []Record
		for len(rs) < 15 {
			r, err := p.Next(ctx)
			if err != nil {
				break
			}
			rs = append(rs, r)
		}
		got <- rs
	}()
	if err := <-faults; err == nil {
		t.Fatal("health is good while the broker is dead")
	}
	broker.Restart(t)
	publish(10, 20)
	seen = append(seen, <-got...)
	// A publish that was repeated may stand there twice, never less than once.
	if len(seen) != 20 {
		t.Fatalf("%d records: %v", len(seen), ctx.Err())
	}
	next := 0
	for i, r := range seen {
		if r.Offset != int64(i) {
			t.Fatalf("offset %d at place %d", r.Offset, i)
		}
		if string(r.Value) == fmt.Sprintf("value %d", next) {
			next++
		}
	}
	if next < 19 {
		t.Fatalf("only %d of the values came", next)
	}
}
