package stream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
)

// AlarmConfig says when too many jobs are refused for it to be the jobs' fault: a wrong
// recipe, a key that has expired, a crawl of a site that blocks us.
type AlarmConfig struct {
	// Share of a dataset's last Window jobs that may be refused, above 0 and below 1;
	// 0 means any share.
	Share  float64 `yaml:"share"`
	Window int     `yaml:"window"`
}

// DefaultAlarm is off; its window is of some minutes.
func DefaultAlarm() AlarmConfig { return AlarmConfig{Window: 1000} }

// Validate refuses settings by name.
func (c AlarmConfig) Validate() error {
	switch {
	case c.Share < 0 || c.Share >= 1:
		return fmt.Errorf("alarm.share is %v; it needs 0 (off), or more than 0 and less than 1", c.Share)
	case c.Window < 10 || c.Window > 1_000_000:
		return fmt.Errorf("alarm.window is %d; it needs 10 to 1000000 jobs", c.Window)
	}
	return nil
}

// AlarmError says that too many jobs were refused.
type AlarmError struct {
	Dataset string
	Refused int
	Of      int            // jobs
	Codes   map[string]int // of those that were refused
}

// Error says which dataset, how many, why, and what to do.
func (e *AlarmError) Error() string {
	codes := slices.SortedFunc(maps.Keys(e.Codes), func(a, b string) int {
		if n := e.Codes[b] - e.Codes[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	var why []string
	for _, c := range codes {
		why = append(why, fmt.Sprintf("%d %s", e.Codes[c], c))
	}
	return fmt.Sprintf("%d of the last %d jobs of dataset %q were refused (%s), which is more than alarm.share allows: nothing new is taken; see millrace dlq list, mend the cause, start again, and send them again by millrace dlq replay",
		e.Refused, e.Of, e.Dataset, strings.Join(why, ", "))
}

// Alarm is an [Observer] that hands everything on, and raises the alarm once when a
// dataset's share of refused jobs is too high. Repeats do not count. What was refused by
// then is committed as ever: nothing is lost. Safe for concurrent use.
type Alarm struct {
	Observer
	cfg   AlarmConfig
	raise func(*AlarmError)

	mu       sync.Mutex
	datasets map[string]*recent
	raised   bool
}

// mostDatasets bounds what is kept: strangers may name any dataset in their messages.
const mostDatasets = 1000

// NewAlarm watches what o is told. raise is called at most once; it must not block.
func NewAlarm(o Observer, c AlarmConfig, raise func(*AlarmError)) *Alarm {
	return &Alarm{Observer: o, cfg: c, raise: raise, datasets: map[string]*recent{}}
}

// recent are the codes of a dataset's last jobs, "" where they ended as samples: a ring.
type recent struct {
	codes   []string
	at      int
	refused int
}

// Ended implements Observer.
func (a *Alarm) Ended(job *pipeline.Job, status ledger.Status, v pipeline.Verdict, bytes int64) {
	a.Observer.Ended(job, status, v, bytes)
	if a.cfg.Share == 0 || status != ledger.OK && status != ledger.Quarantined {
		return
	}
	code := ""
	if status == ledger.Quarantined {
		code = v.Fault.Code
	}
	if err := a.note(job.Dataset, code); err != nil {
		a.raise(err)
	}
}

func (a *Alarm) note(dataset, code string) *AlarmError {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.datasets[dataset]
	if r == nil {
		if len(a.datasets) >= mostDatasets {
			dataset = "" // those that came late share one count
		}
		if r = a.datasets[dataset]; r == nil {
			r = &recent{}
			a.datasets[dataset] = r
		}
	}
	r.add(code, a.cfg.Window)
	if a.raised || len(r.codes) < a.cfg.Window || float64(r.refused) <= a.cfg.Share*float64(len(r.codes)) {
		return nil
	}
	a.raised = true
	e := &AlarmError{Dataset: dataset, Refused: r.refused, Of: len(r.codes), Codes: map[string]int{}}
	for _, c := range r.codes {
		if c != "" {
			e.Codes[c]++
		}
	}
	return e
}

func (r *recent) add(code string, window int) {
	if code != "" {
		r.refused++
	}
	if len(r.codes) < window {
		r.codes = append(r.codes, code)
		return
	}
	if r.codes[r.at] != "" {
		r.refused--
	}
	r.codes[r.at] = code
	r.at = (r.at + 1) % window
}
