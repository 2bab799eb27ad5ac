package mill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// Limits bound one job in a mill.
type Limits struct {
	// WallBase and WallFactor say how long the child may be waited for in all: the base,
	// so many times as long as the job's media last, and WallFrame for each picked frame
	// that came: large ones that are kept whole take longer than they last. Wall is the cap.
	WallBase   time.Duration `yaml:"wall_base"`
	WallFactor int           `yaml:"wall_factor"`
	WallFrame  time.Duration `yaml:"wall_frame"`
	Wall       time.Duration `yaml:"max_wall"`
	// Stall is how long it may go without reading a byte or giving a frame.
	Stall time.Duration `yaml:"max_stall"`
	// Output is how many bytes of samples it may give.
	Output int64 `yaml:"max_output"`
	// Memory is how many bytes the child may hold, in RAM and swap, without what it shares
	// with others. It is of no effect with confinement off.
	Memory int64 `yaml:"max_memory"`
}

// Config says how a pool of mills is run.
type Config struct {
	// Count is the number of children: one a core.
	Count int `yaml:"count"`
	// Jobs and Age retire a child, so that whatever leaks is bounded. Starting one costs
	// some 0.2 s of a core, as much as a hundred small stills.
	Jobs int           `yaml:"max_jobs"`
	Age  time.Duration `yaml:"max_age"`
	// Refusals retires a child as well: after so many refused media of which code in C has
	// seen a byte. What hostile bytes may have left behind in a decoder is nobody's
	// heritage, so it is 1, unless a new child for each of very many broken media costs too
	// much. Media that Go alone has looked at do not count.
	Refusals int `yaml:"max_refusals"`
	Limits   `yaml:",inline"`
	// Confinement is what to do where a child can not be confined in full.
	Confinement Confinement `yaml:"confinement"`

	// Argv starts a child; Env is its whole environment. Set by the program, not by people.
	Argv []string `yaml:"-"`
	Env  []string `yaml:"-"`
}

// DefaultConfig is a pool for count cores.
func DefaultConfig(count int) Config {
	return Config{
		Count: count, Jobs: 1000, Age: 10 * time.Minute, Refusals: 1, Confinement: Strict,
		Limits: Limits{WallBase: 30 * time.Second, WallFactor: 2, WallFrame: time.Second, Wall: time.Hour, Stall: 20 * time.Second, Output: 4 << 30, Memory: 3 << 30},
	}
}

// Validate refuses settings by name.
func (c Config) Validate() error {
	switch {
	case c.Count < 1 || c.Count > 1024:
		return fmt.Errorf("mill.count is %d; it needs 1 to 1024, best one a core", c.Count)
	case c.Jobs < 1:
		return fmt.Errorf("mill.max_jobs is %d; it needs 1 or more", c.Jobs)
	case c.Refusals < 1:
		return fmt.Errorf("mill.max_refusals is %d; it needs 1 or more", c.Refusals)
	case c.Age < time.Second:
		return fmt.Errorf("mill.max_age is %v; it needs 1s or more", c.Age)
	case c.Wall < time.Second || c.WallBase < time.Second || c.Stall < time.Second:
		return fmt.Errorf("mill.max_wall is %v, mill.wall_base %v and mill.max_stall %v; they need 1s or more", c.Wall, c.WallBase, c.Stall)
	case c.WallFrame < 0:
		return fmt.Errorf("mill.wall_frame is %v; it needs 0s or more", c.WallFrame)
	case c.WallFactor < 1:
		return fmt.Errorf("mill.wall_factor is %d; it needs 1 or more", c.WallFactor)
	case c.Output < 1<<20:
		return fmt.Errorf("mill.max_output is %d bytes; it needs 1 MiB or more", c.Output)
	case c.Memory < leastMemory || c.Memory > 1<<50:
		return fmt.Errorf("mill.max_memory is %d bytes; it needs 256 MiB or more", c.Memory)
	case c.Confinement != Strict && c.Confinement != BestEffort && c.Confinement != Off:
		return fmt.Errorf("mill.confinement is %q: say %s, %s or %s", c.Confinement, Strict, BestEffort, Off)
	}
	return nil
}

// leastMemory is below what a decoder of one large picture needs.
const leastMemory = 256 << 20

// Sink takes a job's samples. Reset takes back all that were added: the job begins
// again after its mill died.
type Sink interface {
	Add(*pipeline.Sample) error
	Reset() error
}

// Pool runs jobs in child processes, Count at a time. Safe for concurrent use.
type Pool struct {
	cfg   Config
	slots chan *child // nil stands for a child that is not started
	from  *starter
	end   sync.Once
}

// NewPool makes a pool; children start when jobs come.
func NewPool(cfg Config) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg, slots: make(chan *child, cfg.Count), from: newStarter()}
	for range cfg.Count {
		p.slots <- nil
	}
	return p, nil
}

// Check starts a child, unless one is there already, and says how it is confined. The
// error is that of a child that does not come up, or is not confined as it should be.
func (p *Pool) Check(ctx context.Context) (Report, error) {
	var c *child
	select {
	case c = <-p.slots:
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
	defer func() { p.slots <- c }()
	if c == nil {
		var err error
		if c, err = p.from.start(p.cfg); err != nil {
			return Report{}, err
		}
	}
	return c.report, nil
}

// Do runs one job in one of the pool's children and hands its samples to sink. A
// child that dies is replaced and the job tried once more; dying again is the
// verdict. The error is for what is not the medium's fault.
func (p *Pool) Do(ctx context.Context, a *Assignment, sink Sink) (pipeline.Verdict, error) {
	var c *child
	select {
	case c = <-p.slots:
	case <-ctx.Done():
		return pipeline.Verdict{}, ctx.Err()
	}
	defer func() { p.slots <- c }()
	for attempt := 1; ; attempt++ {
		if c = p.fresh(c); c == nil {
			var err error
			if c, err = p.from.start(p.cfg); err != nil {
				return pipeline.Verdict{}, err
			}
		}
		v, err := c.do(ctx, a, p.cfg.Limits, sink.Add)
		if f := v.Fault; err == nil && f != nil && f.Code == string(pipeline.CodeOOM) {
			// It found so itself and lives, but where memory was short for it another may
			// have more.
			err = codecs.Errorf(pipeline.CodeOOM, codecs.Stage(f.Stage), "%s", f.Detail)
		}
		if err == nil {
			if v.Fault == nil {
				return v, nil
			}
			if v.Fault.Code == string(pipeline.CodeCrash) || c.spoilt >= p.cfg.Refusals {
				c.kill()
				c = nil
			}
			v.Fault.Attempts = tried(attempt) // the child does not know
			return v, sink.Reset()
		}
		c.kill()
		c = nil
		if ctx.Err() != nil {
			return pipeline.Verdict{}, ctx.Err()
		}
		var own emitError
		e := codecs.AsError(err)
		if e == nil || errors.As(err, &own) {
			return pipeline.Verdict{}, err
		}
		if err := sink.Reset(); err != nil {
			return pipeline.Verdict{}, err
		}
		if attempt == 2 || !mayPass(e.Code) {
			f := pipeline.FaultOf(e)
			f.Attempts = tried(attempt)
			return pipeline.Verdict{Fault: f}, nil
		}
	}
}

// tried is what a fault says of n attempts: of one, nothing.
func tried(n int) int {
	if n == 1 {
		return 0
	}
	return n
}

// mayPass tells the deaths that can be somebody else's doing.
func mayPass(c codecs.Code) bool { return c == pipeline.CodeCrash || c == pipeline.CodeOOM }

// fresh returns c, or nil after retiring it.
func (p *Pool) fresh(c *child) *child {
	if c == nil || c.jobs < p.cfg.Jobs && time.Since(c.born) < p.cfg.Age {
		return c
	}
	c.kill()
	return nil
}

// Close waits for jobs under way and ends the children. It may be called twice.
func (p *Pool) Close() {
	p.end.Do(func() {
		for range p.cfg.Count {
			if c := <-p.slots; c != nil {
				c.kill()
			}
		}
		p.from.close()
	})
}
