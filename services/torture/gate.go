package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxBody bounds what a gate holds of a request or a reply: shards here are small.
const maxBody = 64 << 20

// gate stands between one worker and the store. It keeps the Host header, so that
// signatures hold.
type gate struct {
	upstream string // host:port
	slot     *slot
	counts   *counts
	traps    *traps
	faults   *faults
	keys     *keys
	watch    *watch

	transport *http.Transport
	late      sync.WaitGroup // requests that still have to land

	mu    sync.Mutex
	wrote string // the key of the last create
}

// reply is a whole reply of the store.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	life := g.slot.process()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		cut(w)
		return
	}
	g.mu.Lock()
	q := describe(r, body, g.wrote)
	if q.conditional {
		g.wrote = q.key
	}
	g.mu.Unlock()
	g.counts.add(requests, q.name)
	if g.keys.refuses(r) {
		g.counts.add(logins, "refused")
		answer(w, r, http.StatusForbidden, "ExpiredToken")
		return
	}
	if t := g.traps.take(q.name); t != nil {
		g.spring(t, life, w, r, q, body)
		return
	}
	f, pause := g.faults.draw(r.Method, q)
	if f != noFault {
		g.counts.add(storeFaults, string(f))
	}
	g.suffer(f, pause, w, r, q, body)
}

// spring kills or stops the worker that sent a request, at the trap's moment of it.
func (g *gate) spring(t *trap, life *process, w http.ResponseWriter, r *http.Request, q request, body []byte) {
	defer close(t.sprung)
	switch t.when {
	case before:
		g.slot.kill(life, t.point)
	case landed:
		_, _ = g.forward(r, q, body)
		g.slot.kill(life, t.point)
	case late:
		g.slot.kill(life, t.point)
		g.landLater(t.pause, r, q, body)
	case replied:
		if rep, err := g.forward(r, q, body); err == nil {
			rep.write(w)
			_ = http.NewResponseController(w).Flush()
		}
		g.slot.kill(life, t.point)
		return
	case stallLanded, stallLate:
		g.sleep(t, life, w, r, q, body)
		return
	}
	cut(w)
}

// sleep stops the worker for a while; its request lands meanwhile, or at the end.
func (g *gate) sleep(t *trap, life *process, w http.ResponseWriter, r *http.Request, q request, body []byte) {
	var rep *reply
	var err error
	g.slot.stall(life, t.point.String(), t.pause, func(early bool) {
		if early == (t.when == stallLanded) {
			rep, err = g.forward(r, q, body)
		}
	})
	if rep == nil || err != nil {
		cut(w)
		return
	}
	rep.write(w)
}

// suffer handles a request with a fault, or with none.
func (g *gate) suffer(f fault, pause time.Duration, w http.ResponseWriter, r *http.Request, q request, body []byte) {
	switch f {
	case slowDown:
		answer(w, r, http.StatusServiceUnavailable, "SlowDown")
		return
	case failed:
		answer(w, r, http.StatusInternalServerError, "InternalError")
		return
	case conflict:
		answer(w, r, http.StatusConflict, "ConditionalRequestConflict")
		return
	case reset:
		cut(w)
		return
	case landsLate:
		g.landLater(pause, r, q, body)
		cut(w)
		return
	case slowRequest:
		time.Sleep(pause)
	}
	rep, err := g.forward(r, q, body)
	switch {
	case err != nil, f == resetAfter:
		cut(w)
	case f == failedAfter:
		answer(w, r, http.StatusInternalServerError, "InternalError")
	case f == truncated && len(rep.body) > 1:
		rep.header.Set("Content-Length", strconv.Itoa(len(rep.body)))
		rep.body = rep.body[:len(rep.body)/2]
		rep.write(w)
		_ = http.NewResponseController(w).Flush()
		cut(w)
	default:
		if f == slowResponse {
			time.Sleep(pause)
		}
		rep.write(w)
	}
}

// forward sends a request on and reads the whole reply.
func (g *gate) forward(r *http.Request, q request, body []byte) (*reply, error) {
	out, err := http.NewRequest(r.Method, "http://"+g.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Host, out.Header, out.ContentLength = r.Host, r.Header.Clone(), int64(len(body))
	if len(body) == 0 && r.Method != http.MethodPut {
		out.Body = http.NoBody
	}
	resp, err := g.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPut && resp.StatusCode == http.StatusOK {
		g.watch.note(g.slot, q)
	}
	return &reply{resp.StatusCode, resp.Header, data}, nil
}

// landLater sends a request whose sender has given up, or is dead.
func (g *gate) landLater(pause time.Duration, r *http.Request, q request, body []byte) {
	g.late.Go(func() {
		time.Sleep(pause)
		_, _ = g.forward(r, q, body)
	})
}

func (p *reply) write(w http.ResponseWriter) {
	for k, v := range p.header {
		w.Header()[k] = v
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body)
}

// answer is a fault in the store's own words.
func answer(w http.ResponseWriter, r *http.Request, status int, code string) {
	body := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>torture</Message><Resource>%s</Resource></Error>", code, r.URL.EscapedPath())
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body)
	}
}

// cut resets the connection. What was not flushed is not sent.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}
