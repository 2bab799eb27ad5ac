package source

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// origins remembers which hosts and endpoints answer. Safe for concurrent use.
type origins struct {
	mu  sync.Mutex
	all map[string]*origin
}

// origin is a host, or the S3 endpoint.
type origin struct {
	seen    time.Time // when it was last asked
	served  time.Time // when it last gave an answer that shows that it works
	down    time.Time // since when it is known to be down; zero while it is up
	back    time.Time // when it last came back
	cause   string
	waiting int
	probing bool
}

// recent is how long an origin's state counts for that of the network.
const recent = 10 * time.Minute

// hostOf is a URL's host with its port, in one form.
func hostOf(u *url.URL) string { return strings.ToLower(u.Host) }

func newOrigins() *origins { return &origins{all: map[string]*origin{}} }

func (s *origins) get(name string) *origin {
	o := s.all[name]
	if o == nil {
		if len(s.all) >= maxHosts {
			s.forget()
		}
		o = &origin{}
		s.all[name] = o
	}
	o.seen = time.Now()
	return o
}

// forget makes room: it drops the half of the origins that were not asked for longest.
func (s *origins) forget() {
	times := make([]time.Time, 0, len(s.all))
	for _, o := range s.all {
		times = append(times, o.seen)
	}
	slices.SortFunc(times, time.Time.Compare)
	for name, o := range s.all {
		if !o.seen.After(times[len(times)/2]) && o.waiting == 0 {
			delete(s.all, name)
		}
	}
}

// works tells whether a status shows a server that works, whatever it thinks of us.
func works(status int) bool { return status > 0 && status < 500 }

func (s *origins) answered(name string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.get(name); works(status) {
		if !o.down.IsZero() {
			o.back = time.Now()
		}
		o.served, o.down, o.cause = time.Now(), time.Time{}, ""
	}
}

func (s *origins) failed(name, cause string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.get(name)
	if o.down.IsZero() {
		o.down = time.Now()
	}
	o.cause = cause
}

// servedSince tells whether an origin has worked after a time.
func (s *origins) servedSince(name string, t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.all[name]
	return o != nil && o.served.After(t)
}

// backSince tells whether an origin has come back after a time.
func (s *origins) backSince(name string, t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.all[name]
	return o != nil && o.back.After(t)
}

// downSince tells since when an origin is down; zero if it is not.
func (s *origins) downSince(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.all[name]; o != nil {
		return o.down
	}
	return time.Time{}
}

// mostDown tells whether more than half of the hosts that were asked of late are down:
// then it is not they that are broken, but the network or a thing that they share.
func (s *origins) mostDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var up, down int
	for name, o := range s.all {
		switch {
		case name == s3Origin, time.Since(o.seen) > recent:
		case !o.down.IsZero():
			down++
		case !o.served.IsZero():
			up++
		}
	}
	return down > up
}

// probes makes the caller the one that asks whether an origin is back.
func (s *origins) probes(name string) (mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.get(name)
	mine = !o.probing
	o.probing = true
	return mine
}

func (s *origins) probed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.get(name).probing = false
}

func (s *origins) wait(name string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.get(name).waiting += n
}

// Outage is an origin that fetches wait for.
type Outage struct {
	Origin  string    // host or host:port, or "s3" for the configured endpoint
	Since   time.Time // when it was found to be down
	Waiting int       // fetches
	Cause   string    // the last failure
}

// Outages lists what is waited for, longest first; none means that all is well.
func (f *Fetcher) Outages() []Outage {
	s := f.origins
	s.mu.Lock()
	defer s.mu.Unlock()
	var l []Outage
	for name, o := range s.all {
		if o.waiting > 0 {
			l = append(l, Outage{name, o.down, o.waiting, o.cause})
		}
	}
	slices.SortFunc(l, func(a, b Outage) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Origin, b.Origin))
	})
	return l
}
