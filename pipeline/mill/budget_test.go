package mill

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

func TestWall(t *testing.T) {
	for _, c := range []struct {
		name            string
		base, cap, last time.Duration
		want            time.Duration
	}{
		{"nothing is known", 30 * time.Second, time.Hour, 0, 30 * time.Second},
		{"a short clip", 30 * time.Second, time.Hour, 10 * time.Second, 50 * time.Second},
		{"a film", 30 * time.Second, time.Hour, 2 * time.Hour, time.Hour},
		{"a lie", 30 * time.Second, time.Hour, math.MaxInt64, time.Hour},
		{"a cap below the base", 30 * time.Second, 10 * time.Second, time.Second, 10 * time.Second},
		{"no room above the base", 30 * time.Second, 30 * time.Second, time.Second, 30 * time.Second},
	} {
		b := budget{lim: Limits{WallBase: c.base, WallFactor: 2, Wall: c.cap}, pace: pace{media: c.last}}
		if got := b.wall(); got != c.want {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
}

// Each picked frame that came earns its time, whichever medium it was of.
func TestWallOfFrames(t *testing.T) {
	b := budget{lim: DefaultConfig(1).Limits}
	for _, s := range []struct {
		at   pace
		want time.Duration
	}{
		{pace{media: 10 * time.Second}, 50 * time.Second},
		{pace{media: 10 * time.Second, picks: 5, of: 600}, 55 * time.Second},
		{pace{media: 10 * time.Second, picks: 600, of: 600}, 650 * time.Second},
		{pace{media: 20 * time.Second, picks: 1, of: 600}, 671 * time.Second},
		{pace{media: 20 * time.Second, picks: 1 << 63, of: 1 << 63}, time.Hour},
	} {
		if e := b.note(s.at); e != nil {
			t.Fatal(e)
		}
		if got := b.wall(); got != s.want {
			t.Errorf("%+v: %v; want %v", s.at, got, s.want)
		}
	}
}

func TestHopeless(t *testing.T) {
	at := func(minutes float64, picks, of uint64) budget {
		return budget{used: time.Duration(minutes * float64(time.Minute)), pace: pace{picks: picks, of: of}}
	}
	for _, c := range []struct {
		name  string
		steps []budget // what was used when the child said what
		want  bool
	}{
		{"in time", []budget{at(1, 1, 1000), at(3, 100, 1000)}, false},
		{"a little late is not judged", []budget{at(1, 1, 1000), at(11, 100, 1000)}, false},
		{"twice the cap by far", []budget{at(1, 1, 1000), at(31, 100, 1000)}, true},
		{"too early to say", []budget{at(1, 1, 1000), at(1.9, 2, 1000)}, false},
		{"the first came late", []budget{at(50, 1, 1000), at(52, 100, 1000)}, false},
		{"nothing came", []budget{at(50, 0, 1000), at(55, 0, 1000)}, false},
		{"another medium begins anew", []budget{at(1, 1, 1000), at(40, 900, 1000), at(41, 1, 10), at(43, 2, 10)}, false},
		{"a medium of as many begins anew", []budget{at(1, 1, 1000), at(50, 900, 1000), at(51, 1, 1000), at(51.5, 2, 1000)}, false},
	} {
		b := budget{lim: DefaultConfig(1).Limits}
		var e *codecs.Error
		for _, s := range c.steps {
			b.used = s.used
			if e = b.note(s.pace); e != nil {
				break
			}
		}
		if (e != nil) != c.want || e != nil && (e.Code != pipeline.CodeLimitTime || !strings.Contains(e.Detail, "mill.max_wall")) {
			t.Errorf("%s: %v; want a fault: %t", c.name, e, c.want)
		}
	}
}

func TestPaceThatLies(t *testing.T) {
	good := pace{media: time.Hour, picks: 3, of: 4}
	if got, err := parsePace(good.encode()); err != nil || got != good {
		t.Errorf("%+v becomes %+v, %v", good, got, err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "too short": good.encode()[1:], "too long": append(good.encode(), 0),
		"less than no time": pace{media: -1}.encode(), "more than all": pace{picks: 2, of: 1}.encode(),
	} {
		if p, err := parsePace(b); err == nil {
			t.Errorf("%s is read as %+v", name, p)
		}
	}
}

// slowSink is a sink on a slow disk.
type slowSink struct{ collected }

func (s *slowSink) Add(sm *pipeline.Sample) error {
	time.Sleep(1500 * time.Millisecond)
	return s.collected.Add(sm)
}

// How long a child may take goes by how long its media last.
func TestWallByDuration(t *testing.T) {
	limits := func(base, cap time.Duration) func(*Config) {
		return func(c *Config) { c.WallBase, c.WallFactor, c.Wall, c.Stall = base, 1, cap, 5*time.Second }
	}
	for _, c := range []struct {
		name     string
		limits   func(*Config)
		programs []string // two seconds each, where they are busy
		sink     interface {
			Sink
			count() int
		}
		code    codecs.Code
		samples int
		at      time.Duration // not later than this, and a second
	}{
		{"no duration", limits(2*time.Second, 20*time.Second), []string{"busy busy"}, &collected{}, pipeline.CodeTimeout, 0, 2 * time.Second},
		{"a duration", limits(2*time.Second, 20*time.Second), []string{"lasts 4 busy busy"}, &collected{}, "", 2, 20 * time.Second},
		{"one too short", limits(2*time.Second, 20*time.Second), []string{"lasts 2 busy busy busy"}, &collected{}, pipeline.CodeTimeout, 0, 4 * time.Second},
		{"they add up", limits(2*time.Second, 20*time.Second), []string{"lasts 2 busy", "lasts 4 busy busy"}, &collected{}, "", 3, 20 * time.Second},
		{"a later one corrects", limits(2*time.Second, 20*time.Second), []string{"lasts 100 lasts 1 slow"}, &collected{}, pipeline.CodeTimeout, 0, 3 * time.Second},
		{"a lie gains the cap", limits(2*time.Second, 3*time.Second), []string{"lasts 9000000000000000000 slow"}, &collected{}, pipeline.CodeTimeout, 0, 3 * time.Second},
		{"the parent's time", limits(time.Second, 20*time.Second), []string{"frame frame frame"}, &slowSink{}, "", 3, 20 * time.Second},
		{"hopeless", limits(2*time.Second, 4*time.Second), []string{"lasts 100 " + strings.Repeat("slowly ", 1000)}, &collected{}, pipeline.CodeLimitTime, 0, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := assignment(t, c.programs[0])
			for _, p := range c.programs[1:] {
				b := assignment(t, p)
				a.Job.Media, a.Sources, a.Files = append(a.Job.Media, b.Job.Media...), append(a.Sources, b.Sources...), append(a.Files, b.Files...)
			}
			p := testPool(t, 1, c.limits)
			if _, err := p.Check(t.Context()); err != nil { // a start is not the job's
				t.Fatal(err)
			}
			start := time.Now()
			v, err := p.Do(t.Context(), a, c.sink)
			took := time.Since(start)
			if err != nil || codeOf(v) != c.code || c.sink.count() != c.samples {
				t.Errorf("it gives %v, %v and %d samples; want %q and %d", v.Fault, err, c.sink.count(), c.code, c.samples)
			}
			if took > c.at+2*time.Second {
				t.Errorf("it took %v; want some %v", took, c.at)
			}
		})
	}
}
