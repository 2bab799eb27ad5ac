package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ProbeReport is what a probe found out.
type ProbeReport struct {
	Rounds int           `json:"rounds"` // races in which exactly one of Racers won
	Racers int           `json:"racers"`
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
// Absence of a race is no proof; its presence is one.
func Probe(ctx context.Context, s Store, rounds, racers int) (ProbeReport, error) {
	if rounds < 1 {
		rounds = ProbeRounds
	}
	if racers < 1 {
		racers = ProbeRacers
	}
	p := prober{ctx: ctx, s: s, dir: "_probe/" + rand.Text() + "/"}
	p.report.Racers = racers
	start := time.Now()
	err := p.twice()
	for err == nil && p.report.Rounds < rounds {
		err = p.race(fmt.Sprintf("%srace-%03d", p.dir, p.report.Rounds), racers)
	}
	p.clean()
	p.report.Took = time.Since(start)
	if err != nil {
		return p.report, fmt.Errorf("probe of the store: %w", err)
	}
	return p.report, nil
}

const probeAdvice = "this store can not hold a ledger: use AWS S3, MinIO, versitygw 1.8.0 or later, or a local directory, " +
	"and see that no cache or proxy before it drops the If-None-Match header"

type prober struct {
	ctx    context.Context
	s      Store
	dir    string
	keys   []string
	report ProbeReport
}

// twice creates one key two times.
func (p *prober) twice() error {
	key := p.dir + "twice"
	p.keys = append(p.keys, key)
	if err := p.s.Create(p.ctx, key, []byte("first")); err != nil {
		return fmt.Errorf("a fresh object could not be created; check that the credentials may write: %w", err)
	}
	err := p.s.Create(p.ctx, key, []byte("second"))
	switch {
	case err == nil:
		return errors.New("an object was created a second time over the first: the server ignores If-None-Match; " + probeAdvice)
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

// race lets racers create one key at the same moment.
func (p *prober) race(key string, racers int) error {
	p.keys = append(p.keys, key)
	errs := make([]error, racers)
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-gate
			errs[i] = p.s.Create(p.ctx, key, racerToken(i))
		})
	}
	close(gate)
	wg.Wait()
	if err := p.ctx.Err(); err != nil {
		return err
	}
	return p.judge(key, errs)
}

func racerToken(i int) []byte { return fmt.Appendf(nil, "racer %d", i) }

// judge counts the winners of a race and compares the object with them.
func (p *prober) judge(key string, errs []error) error {
	winner, winners := -1, 0
	unsure := 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner = i
			winners++
		case errors.Is(err, ErrExists), errors.Is(err, ErrConflict):
		case IsPermanent(err):
			return fmt.Errorf("a racing create was refused: %w", err)
		default:
			unsure++
		}
	}
	p.report.Unsure += unsure
	data, err := p.read(key)
	switch {
	case winners > 1:
		return fmt.Errorf("%d of %d concurrent creates of %s were told that they had won: conditional writes are not exclusive; %s", winners, len(errs), key, probeAdvice)
	case IsNotFound(err) && winners == 0:
		return fmt.Errorf("none of %d concurrent creates of %s won; %s", len(errs), key, probeAdvice)
	case err != nil:
		return err
	case winners == 1 && !bytes.Equal(data, racerToken(winner)):
		return fmt.Errorf("of %d concurrent creates of %s one won, but the object is another's: conditional writes are not exclusive; %s", len(errs), key, probeAdvice)
	case winners == 0 && unsure == 0:
		return fmt.Errorf("%d concurrent creates of %s were all refused, yet one is there; %s", len(errs), key, probeAdvice)
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
