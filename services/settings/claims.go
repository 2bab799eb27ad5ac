package settings

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/claim"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
)

// decided wraps a store in what decides its creates: the claim log that the settings
// name, or the store itself, which is then kept from writing past a log.
func (c Config) decided(s store.Store) (_ store.Store, closed func(), err error) {
	if c.Store.ClaimLog.Topic == "" {
		return claim.NewGuard(s), func() {}, nil
	}
	log, err := c.OpenClaimLog()
	if err != nil {
		return nil, nil, err
	}
	cs := claim.New(s, log, claim.Options{Location: c.Location()})
	return cs, func() { cs.Close(); log.Close() }, nil
}

// Location names the store in records and to people: its URL without settings.
func (c Config) Location() string { return store.Location(c.Store.URL) }

// OpenClaimLog reaches the claim log's topic. It does not connect yet.
func (c Config) OpenClaimLog() (*claim.Kafka, error) {
	log, err := claim.OpenKafka(c.Queue, c.Store.ClaimLog.Topic)
	if err != nil {
		return nil, fmt.Errorf("store.claim_log: %w", err)
	}
	return log, nil
}

// EnsureClaimLog checks the claim log's topic, or makes it, as wide as the ingest topic.
func (c Config) EnsureClaimLog(ctx context.Context) error {
	log, err := c.OpenClaimLog()
	if err != nil {
		return err
	}
	defer log.Close()
	n, err := c.ingestPartitions(ctx)
	if err != nil {
		return err
	}
	return log.Ensure(ctx, c.Store.ClaimLog, n)
}

// ingestPartitions is 1 where there is no ingest topic (a backfill has none).
func (c Config) ingestPartitions(ctx context.Context) (int, error) {
	q, err := queue.Open(c.Queue)
	if err != nil {
		return 0, err
	}
	defer q.Close()
	n, err := q.Partitions(ctx)
	if queue.IsUnknownTopic(err) {
		return 1, nil
	}
	return n, err
}

// Sizes of the probe of a store that has been proved at length before.
const (
	shortRounds = 2
	shortRacers = 8
)

// ProveStore refuses a store that does not decide creates exclusively, in the way that
// the settings say. What was proved at length is written down in the store; who finds
// that written races only briefly, unless again is set. s is what OpenStore gave.
func (c Config) ProveStore(ctx context.Context, s store.Store, again bool) (store.Mode, error) {
	m := store.Mode{Mode: store.Conditional}
	if c.Store.ClaimLog.Topic != "" {
		m.Mode = store.Claims
		if err := c.EnsureClaimLog(ctx); err != nil {
			return m, err
		}
	}
	was, found, err := store.ReadMode(ctx, s)
	if err != nil {
		return m, err
	}
	if found && was.Mode != m.Mode {
		return was, fmt.Errorf("what is created in this store is decided by its %s (%s by %s), and the settings (store.claim_log.topic) say by its %s: correct the settings, or stop every writer and run `millrace doctor --switch-mode`",
			modeName(was.Mode), was.Time.Format(time.RFC3339), was.Writer, modeName(m.Mode))
	}
	if cs, ok := s.(*claim.Store); ok {
		if err := cs.Open(ctx); err != nil {
			return m, err
		}
	}
	rounds, racers := shortRounds, shortRacers
	crews := []store.Crew{store.LocalCrew(s)}
	long := again || !found && strings.HasPrefix(c.Store.URL, "s3:") // a directory's link is the kernel's word
	if long {
		rounds, racers = store.ProbeRounds, store.ProbeRacers
		more, done, err := c.crews(ctx)
		if err != nil {
			return m, err
		}
		defer done()
		crews = append(crews, more...)
	}
	if m.ProbeReport, err = store.Probe(ctx, s, rounds, racers, crews...); err != nil {
		return m, err
	}
	switch {
	case found && !long:
		return was, nil
	case !long:
		return m, nil
	}
	host, _ := os.Hostname()
	m.Time, m.Writer = time.Now().UTC().Truncate(time.Second), host+", millrace "+c.Version
	return m, store.WriteMode(ctx, s, m)
}

// SwitchMode lets the settings say anew how creates are decided. Every writer must have
// been stopped before.
func (c Config) SwitchMode(ctx context.Context) error {
	bare := c
	bare.Store.ClaimLog.Topic = ""
	s, done, err := bare.OpenStore(ctx)
	if err != nil {
		return err
	}
	defer done()
	if c.Store.ClaimLog.Topic == "" {
		if err := claim.Release(ctx, s); err != nil {
			return err
		}
	}
	return store.ForgetMode(ctx, s)
}

// RebuildClaims binds the store to a claim log that is new, after the old one was lost.
// Every writer must have been stopped before.
func (c Config) RebuildClaims(ctx context.Context) (was, is claim.Binding, err error) {
	if c.Store.ClaimLog.Topic == "" {
		return was, is, fmt.Errorf("store.claim_log.topic is empty: this store's creates are its own")
	}
	if err := c.EnsureClaimLog(ctx); err != nil {
		return was, is, err
	}
	bare := c
	bare.Store.ClaimLog.Topic = ""
	s, done, err := bare.OpenStore(ctx)
	if err != nil {
		return was, is, err
	}
	defer done()
	log, err := c.OpenClaimLog()
	if err != nil {
		return was, is, err
	}
	defer log.Close()
	return claim.Rebind(ctx, s, log, c.Location())
}

func modeName(mode string) string {
	if mode == store.Claims {
		return "claim log"
	}
	return "conditional writes"
}

// crews starts the other processes of a probe, one for each endpoint.
func (c Config) crews(ctx context.Context) (crews []store.Crew, done func(), err error) {
	var ends []func()
	done = func() {
		for _, end := range ends {
			end()
		}
	}
	if c.Racers == nil {
		return nil, done, nil
	}
	for _, endpoint := range append([]string{c.Store.Endpoint}, c.Store.OtherEndpoints...) {
		other := c
		other.Store.Endpoint = endpoint
		crew, end, err := c.Racers(ctx, other)
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("start another process for the probe of the store: %w", err)
		}
		crews, ends = append(crews, crew), append(ends, end)
	}
	return crews, done, nil
}
