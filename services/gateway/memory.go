package gateway

import (
	"container/list"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// memory remembers what requests with an Idempotency-Key came to, for a time, up to a
// number of keys and of bytes; what is over goes, oldest first. It is one tenant's, so that
// nobody makes others' be forgotten, and this process's own: for the rest there is the
// job's id, which derives from the key.
type memory struct {
	window time.Duration
	most   int
	room   int // for the answers, in bytes

	mu    sync.Mutex
	byKey map[string]*list.Element // of *remembered
	order *list.List               // oldest first
	bytes int
}

// memoryBytes bounds the answers that are kept, of all tenants.
const memoryBytes = 64 << 20

type remembered struct {
	key    string
	print  [sha256.Size]byte
	at     time.Time
	status int // 0: under way
	body   []byte
}

func newMemory(window time.Duration, most, room int) *memory {
	return &memory{window: window, most: most, room: room, byKey: map[string]*list.Element{}, order: list.New()}
}

// begin claims a key for a request with the given fingerprint. It returns the answer of
// an earlier one, if there was the same, or a problem; with neither the caller owns the
// key, and ends with keep or forget.
func (m *memory) begin(key string, print [sha256.Size]byte) (*remembered, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	if e, ok := m.byKey[key]; ok {
		r := e.Value.(*remembered)
		switch {
		case r.print != print:
			return nil, &problem{status: http.StatusUnprocessableEntity, code: codeKeyReused, detail: "this Idempotency-Key was used with another request; use a new key for a new request"}
		case r.status == 0:
			return nil, &problem{status: http.StatusConflict, code: codeKeyUnderway, wait: time.Second, detail: "the first request with this Idempotency-Key has not ended; ask again"}
		}
		return r, nil
	}
	m.byKey[key] = m.order.PushBack(&remembered{key: key, print: print, at: time.Now()})
	return nil, nil
}

// keep remembers an answer.
func (m *memory) keep(key string, status int, body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byKey[key]; ok {
		r := e.Value.(*remembered)
		r.status, r.body = status, body
		m.bytes += len(body)
	}
	m.expire()
}

// forget gives a key up whose request failed, so that it can be tried again.
func (m *memory) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byKey[key]; ok && e.Value.(*remembered).status == 0 {
		m.drop(e)
	}
}

func (m *memory) expire() {
	for e := m.order.Front(); e != nil; e = m.order.Front() {
		if m.order.Len() <= m.most && m.bytes <= m.room && time.Since(e.Value.(*remembered).at) < m.window {
			return
		}
		m.drop(e)
	}
}

func (m *memory) drop(e *list.Element) {
	r := m.order.Remove(e).(*remembered)
	delete(m.byKey, r.key)
	m.bytes -= len(r.body)
}
