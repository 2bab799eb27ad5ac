package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

func TestPublish(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 3)
		p := c.Producer(2)
		at := time.UnixMilli(1700000000000)
		var wg sync.WaitGroup
		for sender := range 3 {
			wg.Go(func() {
				var msgs []Message
				for i := range 40 {
					msgs = append(msgs, Message{
						Key: fmt.Appendf(nil, "key %d", sender), Value: fmt.Append(nil, i), Time: at,
						Headers: []Header{{"content-type", []byte("image/png")}, {"none", nil}},
					})
				}
				if err := p.Publish(testContext(t), msgs...); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		next := map[string]int{}
		total := 0
		for q := range 3 {
			o, err := c.Offsets(testContext(t), q)
			if err != nil {
				t.Fatal(err)
			}
			r := c.Read(q, 0, nil)
			defer r.Close()
			for _, got := range read(t, r, int(o.High)) {
				total++
				if want := fmt.Sprint(next[string(got.Key)]); string(got.Value) != want {
					t.Fatalf("%s: %s comes before %s", got.Key, got.Value, want)
				}
				next[string(got.Key)]++
				if !got.Time.Equal(at) || len(got.Headers) != 2 || string(got.Headers[0].Value) != "image/png" || got.Headers[1].Key != "none" {
					t.Fatalf("%+v", got)
				}
			}
		}
		if total != 120 {
			t.Fatalf("%d of 120 messages", total)
		}
	})
}

// TestPartitioner has Kafka's own test vectors (UtilsTest.testMurmur2 in its source):
// the hash of each key, from which the partition follows.
func TestPartitioner(t *testing.T) {
	p := &Producer{}
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, n := range []int{1, 7, 1000} {
			if got, want := p.choose(&Message{Key: []byte(key)}, n), int(hash&0x7fffffff)%n; got != want {
				t.Errorf("%q of %d: partition %d, want %d", key, n, got, want)
			}
		}
	}
	seen := map[int]int{}
	for range 30 {
		seen[p.choose(&Message{}, 3)]++
	}
	if seen[0] != 10 || seen[1] != 10 || seen[2] != 10 {
		t.Errorf("messages without a key go to %v", seen)
	}
}

func TestPublishSaysWhichFailed(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 1)
		err := c.Producer(1).Publish(testContext(t),
			Message{Value: []byte("small")}, Message{Value: make([]byte, 25<<20)}, Message{Value: []byte("after")})
		var pe *PublishError
		if !errors.As(err, &pe) || len(pe.Errs) != 3 {
			t.Fatal(err)
		}
		if pe.Errs[0] != nil || pe.Errs[1] == nil || !errors.Is(pe.Errs[2], errEarlier) {
			t.Fatalf("%v", pe.Errs)
		}
		if !errors.Is(err, kafka.MessageSizeTooLarge) || !strings.HasPrefix(err.Error(), "2 of 3 messages") {
			t.Fatal(err)
		}
		r := c.Read(0, 0, nil)
		defer r.Close()
		if got := read(t, r, 1); string(got[0].Value) != "small" {
			t.Fatalf("%q", got[0].Value)
		}
		if o, err := c.Offsets(testContext(t), 0); err != nil || o.High != 1 {
			t.Fatalf("%+v, %v", o, err)
		}
	})
}

func TestPublishGivesUpWithItsContext(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		cfg := testConfig(addr, "never-made")
		c, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := c.Producer(1).Publish(ctx, Message{Value: []byte("x")}); !errors.Is(err, kafka.UnknownTopicOrPartition) {
			t.Fatal(err)
		}
		if err := c.Producer(1).Publish(ctx); err != nil {
			t.Fatal("publishing nothing:", err)
		}
	})
}

func TestSendSaysWhere(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 3)
		p := c.Producer(2)
		for range 2 {
			var msgs []Message
			for i := range 30 {
				msgs = append(msgs, Message{Key: fmt.Appendf(nil, "key %d", i%7), Value: append(fmt.Appendf(nil, "%d:", i), make([]byte, 100<<10)...)})
			}
			places, err := p.Send(testContext(t), msgs...)
			if err != nil || len(places) != len(msgs) {
				t.Fatal(len(places), err)
			}
			for i, at := range places {
				r := c.Read(at.Partition, at.Offset, nil)
				if got := read(t, r, 1); string(got[0].Value) != string(msgs[i].Value) {
					t.Errorf("message %d is not at %+v", i, at)
				}
				r.Close()
			}
		}
	})
}
