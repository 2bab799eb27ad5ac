package queue

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	keepAlive   = 15 * time.Second // notices a broker that vanished without a word
)

var errDialerClosed = errors.New("the client is closed")

// dialer opens connections and can cut them all at once. kafka-go has calls that
// take no context and read until a deadline far away; cutting the connection is
// what makes closing take a bounded time.
type dialer struct {
	net.Dialer
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func newDialer() *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}, conns: map[net.Conn]struct{}{}}
}

// DialContext opens a connection that cut reaches.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = c.Close()
		return nil, errDialerClosed
	}
	d.conns[c] = struct{}{}
	return &cuttable{Conn: c, d: d}, nil
}

// cut closes what is open, and what is opened later.
func (d *dialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for c := range d.conns {
		_ = c.Close()
	}
	clear(d.conns)
}

type cuttable struct {
	net.Conn
	d *dialer
}

func (c *cuttable) Close() error {
	c.d.mu.Lock()
	delete(c.d.conns, c.Conn)
	c.d.mu.Unlock()
	return c.Conn.Close()
}
