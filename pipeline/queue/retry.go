package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	minPause = 100 * time.Millisecond // before a first retry
	maxPause = 5 * time.Second
)

// retry calls f until it succeeds, fails for good, or ctx ends, and returns f's last
// error.
func retry(ctx context.Context, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if err == nil || !passing(err) || sleep(ctx, backoff(failures)) != nil {
			return err
		}
	}
}

// passing reports whether an error of a broker or of the way to it may be gone at
// the next attempt.
func passing(err error) bool {
	var k kafka.Error
	if errors.As(err, &k) {
		return k.Temporary() || k == kafka.BrokerNotAvailable
	}
	// What is no answer of a broker came from the network, or from a layout of the
	// cluster that is not known yet.
	return !errors.Is(err, context.Canceled) && !errors.Is(err, errDialerClosed)
}

// backoff doubles with each failure in a row, and varies so that many clients do
// not come back at once.
func backoff(failures int) time.Duration {
	d := min(minPause<<min(failures-1, 10), maxPause)
	return d/2 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
