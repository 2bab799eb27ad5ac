package source

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace/millrace/pipeline"
)

// PerHost is how much of one host is asked. It covers redirects to the host too.
type PerHost struct {
	// Concurrent is how many requests may be under way, bodies included.
	Concurrent int `yaml:"concurrent"`
	// PerSecond is how many may begin in a second; as many as Concurrent may begin at
	// once. 0 sets no rate.
	PerSecond float64 `yaml:"per_second"`
}

// maxHosts bounds what is remembered of hosts: their names come from messages.
const maxHosts = 4096

// hosts keeps what each host is owed: no more than so many requests at a time and in a
// second, and peace when it asks for it. A wait that one request was told of holds for
// all. Safe for concurrent use.
type hosts struct {
	rules PerHost
	most  time.Duration // the longest wait that is worth it

	mu  sync.Mutex
	all map[string]*host
}

type host struct {
	places chan struct{}
	rate   *rate.Limiter
	users  int       // by hosts.mu, as is quiet
	quiet  time.Time // until when nothing is asked
}

func newHosts(rules PerHost, most time.Duration) *hosts {
	return &hosts{rules: rules, most: most, all: map[string]*host{}}
}

func (s *hosts) use(name string) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.all[name]
	if h == nil {
		if len(s.all) >= maxHosts {
			s.forget()
		}
		limit := rate.Inf
		if s.rules.PerSecond > 0 {
			limit = rate.Limit(s.rules.PerSecond)
		}
		h = &host{places: make(chan struct{}, s.rules.Concurrent), rate: rate.NewLimiter(limit, s.rules.Concurrent)}
		s.all[name] = h
	}
	h.users++
	return h
}

// forget drops the hosts that nobody uses, those that asked for peace last.
func (s *hosts) forget() {
	now := time.Now()
	for _, quiet := range []bool{false, true} {
		for name, h := range s.all {
			if h.users == 0 && h.quiet.After(now) == quiet {
				delete(s.all, name)
			}
		}
		if len(s.all) < maxHosts {
			return
		}
	}
}

func (s *hosts) unuse(h *host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.users--
}

// hush leaves a host in peace for a while.
func (s *hosts) hush(name string, wait time.Duration) {
	h := s.use(name)
	defer s.unuse(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := time.Now().Add(wait); until.After(h.quiet) {
		h.quiet = until
	}
}

func (s *hosts) peace(h *host) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(h.quiet)
}

// enter waits until a host may be asked. leave, once called, lets the next in; it may
// be called twice. A host that wants more peace than is worth waiting for is not asked.
func (s *hosts) enter(ctx context.Context, name string) (leave func(), err error) {
	h := s.use(name)
	for {
		if wait := s.peace(h); wait > s.most {
			s.unuse(h)
			return nil, &laterError{refuse(pipeline.CodeSourceTransient, "the host wants to be left in peace for %v", wait.Round(time.Second)), wait}
		} else if err = sleep(ctx, wait); err != nil {
			break
		}
		select {
		case h.places <- struct{}{}:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			break
		}
		if err = h.rate.Wait(ctx); err == nil && s.peace(h) <= 0 {
			return sync.OnceFunc(func() { <-h.places; s.unuse(h) }), nil
		}
		<-h.places
		if err != nil {
			break
		}
	}
	s.unuse(h)
	return nil, err
}

// sleep waits, or returns the cause of ctx's end.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// polite sends requests under the hosts' rules, and notes which hosts answer. Waiting
// for a host's turn is not counted against a medium's time.
type polite struct {
	next    http.RoundTripper
	hosts   *hosts
	origins *origins
	backoff time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (p *polite) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, name := req.Context(), hostOf(req.URL)
	w := watchOf(ctx)
	w.asks(req.URL)
	w.hold()
	leave, err := p.hosts.enter(ctx, name)
	w.resume()
	if err != nil {
		return nil, err
	}
	resp, err := p.next.RoundTrip(req)
	if err != nil {
		leave()
		return nil, err
	}
	w.answered(resp.StatusCode)
	p.origins.answered(name, resp.StatusCode)
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		wait, asked := retryAfter(resp.Header.Get("Retry-After"), time.Now())
		if !asked && resp.StatusCode == http.StatusTooManyRequests {
			wait = p.backoff
		}
		p.hosts.hush(name, wait)
	}
	resp.Body = &leaving{resp.Body, leave}
	return resp, nil
}

// leaving frees a host's place with the body.
type leaving struct {
	io.ReadCloser
	leave func()
}

func (l *leaving) Close() error {
	defer l.leave()
	return l.ReadCloser.Close()
}
