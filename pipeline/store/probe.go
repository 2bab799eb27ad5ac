package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// ProbeReport is what a probe found out.
type ProbeReport struct {
	Rounds int           `json:"rounds"` // races in which exactly one of Racers won
	Racers int           `json:"racers"`
	Crews  int           `json:"crews"`  // processes that they raced in
	Unsure int           `json:"unsure"` // creates whose reply was lost, settled by reading
	Took   time.Duration `json:"took"`
}

// Sizes of a probe, where its caller says 0.
const (
	ProbeRounds = 20
	ProbeRacers = 32
)

// Probe proves, as far as a race can, that the store's conditional writes are
// exclusive: everything the ledger promises rests on that. It creates a fresh object,
// tries to create it again, and lets racers compete for a fresh key, round after
// round. It works under _probe/ and removes what it made. The error says what to do.
//
// The racers are divided among the crews, which wait for each other at the start of
// each race; without any they are all in this process. A lock of this process, or one
// server of several, can look exclusive to one crew.
//
// Absence of a race is no proof; its presence is one.
func Probe(ctx context.Context, s Store, rounds, racers int, crews ...Crew) (ProbeReport, error) {
	if rounds < 1 {
		rounds = ProbeRounds
	}
	if racers < 1 {
		racers = ProbeRacers
	}
	if len(crews) == 0 {
		crews = []Crew{LocalCrew(s)}
	}
	p := prober{ctx: ctx, s: s, dir: "_probe/" + rand.Text() + "/", crews: crews}
	p.report.Racers, p.report.Crews = max(racers, len(crews)), len(crews)
	start := time.Now()
	err := p.twice()
	for n := 0; err == nil && p.report.Rounds < rounds; n++ {
		err = p.race(fmt.Sprintf("%srace-%03d", p.dir, n))
		if err == nil && n > 2*rounds+10 {
			err = fmt.Errorf("of %d races only %d could be decided, the others' replies were lost: try again when the store is well", n+1, p.report.Rounds)
		}
	}
	p.clean()
	p.report.Took = time.Since(start)
	if err != nil {
		return p.report, fmt.Errorf("probe of the store: %w", err)
	}
	return p.report, nil
}

const probeAdvice = "this store can not hold a ledger: use AWS S3, MinIO, versitygw 1.8.0 or later, or a local directory, " +
	"and see that no cache or proxy before it drops the If-None-Match header; or let a Kafka topic decide creates, with store.claim_log.topic"

type prober struct {
	ctx    context.Context
	s      Store
	dir    string
	crews  []Crew
	keys   []string
	report ProbeReport
}

// passing tries again what a fault of the moment has hindered: that proves nothing.
func passing(ctx context.Context, op, key string, f func() error) error {
	return NewRetry(nil, Policy{Attempts: 5}).do(ctx, op, key, f)
}

// twice creates one key two times.
func (p *prober) twice() error {
	key, tries := "", 0
	err := passing(p.ctx, "create", p.dir, func() error {
		key = fmt.Sprintf("%stwice-%d", p.dir, tries) // a lost reply leaves the key in doubt
		tries++
		p.keys = append(p.keys, key)
		return p.s.Create(p.ctx, key, []byte("first"))
	})
	if err != nil {
		return fmt.Errorf("a fresh object could not be created; check that the credentials may write: %w", err)
	}
	err = passing(p.ctx, "create", key, func() error { return p.s.Create(p.ctx, key, []byte("second")) })
	switch {
	case err == nil:
		return errors.New("an object was created a second time over the first: the server ignores If-None-Match; " + probeAdvice)
	case !IsPermanent(err):
		return fmt.Errorf("creating an object again: %w; try again when the store is well", err)
	case !errors.Is(err, ErrExists):
		return fmt.Errorf("creating an object again should say that it exists: %w; %s", err, probeAdvice)
	}
	data, err := p.read(key)
	if err != nil {
		return err
	}
	if string(data) != "first" {
		return errors.New("a create that was refused changed the object all the same; " + probeAdvice)
	}
	return nil
}

// race lets all racers create one key at the same moment.
func (p *prober) race(key string) error {
	p.keys = append(p.keys, key)
	ctx, cancel := context.WithCancel(p.ctx) // lets racers go whom a failed crew keeps waiting
	defer cancel()
	first := 0
	for i, c := range p.crews {
		n := p.report.Racers / len(p.crews)
		if i < p.report.Racers%len(p.crews) {
			n++
		}
		if err := c.Ready(ctx, key, first, n); err != nil {
			return err
		}
		first += n
	}
	ends := make([][]Finish, len(p.crews))
	errs := make([]error, len(p.crews))
	var wg sync.WaitGroup
	for i, c := range p.crews {
		wg.Go(func() { ends[i], errs[i] = c.Go(ctx) })
	}
	wg.Wait()
	if err := errors.Join(append(errs, p.ctx.Err())...); err != nil {
		return err
	}
	return p.judge(key, slices.Concat(ends...))
}

func racerToken(i int) []byte { return fmt.Appendf(nil, "racer %d", i) }

// judge counts the winners of a race and compares the object with them.
func (p *prober) judge(key string, ends []Finish) error {
	winner, winners := -1, 0
	unsure := 0
	for i, f := range ends {
		switch f.Outcome {
		case finishWon:
			winner = i
			winners++
		case finishLost:
		case finishRefused:
			return fmt.Errorf("a racing create was refused: %s", f.Detail)
		default:
			unsure++
		}
	}
	p.report.Unsure += unsure
	data, err := p.read(key)
	switch {
	case winners > 1:
		return fmt.Errorf("%d of %d concurrent creates of %s were told that they had won: conditional writes are not exclusive; %s", winners, len(ends), key, probeAdvice)
	case IsNotFound(err) && winners == 0 && unsure > 0:
		return nil // they failed before they came to anything: no round
	case IsNotFound(err) && winners == 0:
		return fmt.Errorf("none of %d concurrent creates of %s won; %s", len(ends), key, probeAdvice)
	case err != nil:
		return err
	case winners == 1 && !bytes.Equal(data, racerToken(winner)):
		return fmt.Errorf("of %d concurrent creates of %s one won, but the object is another's: conditional writes are not exclusive; %s", len(ends), key, probeAdvice)
	case winners == 0 && unsure == 0:
		return fmt.Errorf("%d concurrent creates of %s were all refused, yet one is there; %s", len(ends), key, probeAdvice)
	}
	p.report.Rounds++
	return nil
}

func (p *prober) read(key string) ([]byte, error) {
	rc, _, err := p.s.Get(p.ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("an object just created could not be read; check that the credentials may read: %w", err)
	}
	defer func() { _ = rc.Close() }()
	return io.ReadAll(io.LimitReader(rc, 1<<10))
}

// clean removes what the probe made. That it may not is no fault of the store's.
func (p *prober) clean() {
	for _, key := range p.keys {
		_ = p.s.Delete(p.ctx, key)
	}
}
