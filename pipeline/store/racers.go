package store

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Crew is a process with racers of a probe. Its methods are called in turn.
type Crew interface {
	// Ready has as many racers as said stand at a barrier, to create the key; each with a
	// token of its own number, from first on.
	Ready(ctx context.Context, key string, first, racers int) error
	// Go opens the barrier, and gives what each racer was told.
	Go(ctx context.Context) ([]Finish, error)
}

// Finish is what a racer was told of its create.
type Finish struct {
	// Outcome is "won", "lost", "refused" or "unsure".
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"` // of the last two
}

// The outcomes of a racer.
const (
	finishWon     = "won"
	finishLost    = "lost"
	finishRefused = "refused"
	finishUnsure  = "unsure"
)

func finish(err error) Finish {
	switch {
	case err == nil:
		return Finish{Outcome: finishWon}
	case errors.Is(err, ErrExists), errors.Is(err, ErrConflict):
		return Finish{Outcome: finishLost}
	case IsPermanent(err):
		return Finish{finishRefused, err.Error()}
	}
	return Finish{finishUnsure, err.Error()}
}

// localCrew races in this process.
type localCrew struct {
	s    Store
	gate chan struct{}
	ends []Finish
	wg   sync.WaitGroup
}

// LocalCrew gives racers in this process.
func LocalCrew(s Store) Crew { return &localCrew{s: s} }

func (c *localCrew) Ready(ctx context.Context, key string, first, racers int) error {
	gate := make(chan struct{})
	c.gate, c.ends = gate, make([]Finish, racers)
	var here sync.WaitGroup
	here.Add(racers)
	for i := range racers {
		c.wg.Go(func() {
			here.Done()
			select {
			case <-gate:
				c.ends[i] = finish(c.s.Create(ctx, key, racerToken(first+i)))
			case <-ctx.Done():
				c.ends[i] = finish(ctx.Err())
			}
		})
	}
	here.Wait()
	return nil
}

func (c *localCrew) Go(context.Context) ([]Finish, error) {
	close(c.gate)
	c.wg.Wait()
	return c.ends, nil
}

// order is what a remote crew is told, a line of JSON each.
type order struct {
	Key    string `json:"key,omitempty"`
	First  int    `json:"first,omitempty"`
	Racers int    `json:"racers,omitempty"`
	Go     bool   `json:"go,omitempty"`
}

// answer is what it answers.
type answer struct {
	Ends  []Finish `json:"ends,omitempty"`
	Error string   `json:"error,omitempty"`
}

// Bounds of what crosses the pipe.
const (
	maxRacers = 1024
	maxLine   = 1 << 20
)

// remoteCrew is the parent's end of a crew in another process.
type remoteCrew struct {
	to   *json.Encoder
	from *bufio.Scanner
}

// RemoteCrew gives racers that another process keeps, which runs [ServeCrew] on the
// other ends of these pipes. Closing to ends it.
func RemoteCrew(to io.Writer, from io.Reader) Crew {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	return &remoteCrew{json.NewEncoder(to), lines}
}

func (c *remoteCrew) Ready(_ context.Context, key string, first, racers int) error {
	_, err := c.ask(order{Key: key, First: first, Racers: racers})
	return err
}

func (c *remoteCrew) Go(context.Context) ([]Finish, error) { return c.ask(order{Go: true}) }

func (c *remoteCrew) ask(o order) ([]Finish, error) {
	if err := c.to.Encode(o); err != nil {
		return nil, fmt.Errorf("tell the other process of a race: %w", err)
	}
	if !c.from.Scan() {
		return nil, errors.Join(errors.New("the other process of a race has ended"), c.from.Err())
	}
	var a answer
	if err := json.Unmarshal(c.from.Bytes(), &a); err != nil {
		return nil, fmt.Errorf("hear from the other process of a race: %w", err)
	}
	if a.Error != "" {
		return nil, fmt.Errorf("the other process of a race: %s", a.Error)
	}
	return a.Ends, nil
}

// ServeCrew is the other end of a [RemoteCrew]: it races on s as it is told, until in
// ends.
func ServeCrew(ctx context.Context, s Store, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	crew := &localCrew{s: s}
	defer func() { cancel(); crew.wg.Wait() }()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	to := json.NewEncoder(out)
	for lines.Scan() {
		var o order
		var a answer
		err := json.Unmarshal(lines.Bytes(), &o)
		switch {
		case err != nil:
		case o.Go && crew.gate != nil:
			a.Ends, err = crew.Go(ctx)
			crew.gate = nil
		case o.Go || crew.gate != nil || o.Racers < 1 || o.Racers > maxRacers:
			err = fmt.Errorf("an order that makes no sense: %s", lines.Bytes())
		default:
			err = crew.Ready(ctx, o.Key, o.First, o.Racers)
		}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := to.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}
