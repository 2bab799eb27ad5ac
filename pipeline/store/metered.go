package store

import (
	"context"
	"io"
	"iter"
	"time"
)

// Metered is a Store that tells of each operation when it is over.
type Metered struct {
	store   Store
	observe func(Event)
}

// Event is one finished operation.
type Event struct {
	Op    string // put, create, get, stat, list, delete
	Bytes int64  // sent or received; objects, for a list
	Took  time.Duration
	Err   error // nil, or why it failed
}

// NewMetered wraps a store. observe is called from any goroutine.
func NewMetered(s Store, observe func(Event)) *Metered { return &Metered{store: s, observe: observe} }

// Unwrap returns the store that is wrapped.
func (m *Metered) Unwrap() Store { return m.store }

func (m *Metered) done(op string, start time.Time, n int64, err error) {
	m.observe(Event{Op: op, Bytes: n, Took: time.Since(start), Err: err})
}

// Put implements Store.
func (m *Metered) Put(ctx context.Context, key string, body Body) error {
	start := time.Now()
	err := m.store.Put(ctx, key, body)
	m.done("put", start, body.Size, err)
	return err
}

// Create implements Store.
func (m *Metered) Create(ctx context.Context, key string, data []byte) error {
	start := time.Now()
	err := m.store.Create(ctx, key, data)
	m.done("create", start, int64(len(data)), err)
	return err
}

// Stat implements Store.
func (m *Metered) Stat(ctx context.Context, key string) (Info, error) {
	start := time.Now()
	info, err := m.store.Stat(ctx, key)
	m.done("stat", start, 0, err)
	return info, err
}

// Delete implements Store.
func (m *Metered) Delete(ctx context.Context, key string) error {
	start := time.Now()
	err := m.store.Delete(ctx, key)
	m.done("delete", start, 0, err)
	return err
}

// Get implements Store. The operation is over when its reader is closed.
func (m *Metered) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	start := time.Now()
	rc, info, err := m.store.Get(ctx, key, offset, length)
	if err != nil {
		m.done("get", start, 0, err)
		return nil, Info{}, err
	}
	return &meteredReader{m: m, rc: rc, start: start}, info, nil
}

// List implements Store.
func (m *Metered) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		start, n := time.Now(), int64(0)
		var failed error
		defer func() { m.done("list", start, n, failed) }()
		for info, err := range m.store.List(ctx, prefix, startAfter) {
			n++
			if err != nil {
				n--
				failed = err
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

type meteredReader struct {
	m     *Metered
	rc    io.ReadCloser
	start time.Time
	n     int64
	err   error
	over  bool
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.rc.Read(p)
	r.n += int64(n)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func (r *meteredReader) Close() error {
	err := r.rc.Close()
	if !r.over {
		r.over = true
		r.m.done("get", r.start, r.n, r.err)
	}
	return err
}
