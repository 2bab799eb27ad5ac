package claim

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
)

// Memory is a Log that lives as long as the process, and fails on purpose where its
// rule says so. Use NewMemory.
type Memory struct {
	mu    sync.Mutex
	id    string
	parts [][]Record
	more  chan struct{} // closed and replaced at each append
	late  []lateRecord
	calls int
	rule  func(n int) Fate
}

type lateRecord struct {
	partition, due int
	Record
}

// Fate is what befalls the n-th append. The zero Fate does nothing.
type Fate struct {
	Lost  bool // the request never comes
	Reply bool // it is written, and the reply is lost
	Twice bool // it is written two times, as by a client that repeats
	// Late, above 0, has it written only at the Late-th append after it, although the
	// caller was told of a failure.
	Late int
}

// ErrFate is the cause of failures on purpose.
var ErrFate = errors.New("append failed on purpose")

// NewMemory makes an empty log. rule, which may be nil, is asked for the fate of each
// append, counted from 1; calls to it do not overlap.
func NewMemory(partitions int, rule func(n int) Fate) *Memory {
	if rule == nil {
		rule = func(int) Fate { return Fate{} }
	}
	return &Memory{id: rand.Text(), parts: make([][]Record, partitions), more: make(chan struct{}), rule: rule}
}

// Recreate empties the log, as if its topic were deleted and made anew.
func (m *Memory) Recreate() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.id, m.parts, m.late = rand.Text(), make([][]Record, len(m.parts)), nil
}

// Cut drops the last n records of a partition, as an unclean election would.
func (m *Memory) Cut(partition, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parts[partition]
	m.parts[partition] = p[:len(p)-n]
}

// Identity implements Log.
func (m *Memory) Identity(ctx context.Context) (Identity, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Identity{Topic: "memory", ID: m.id, Cluster: "memory", Partitions: len(m.parts)}, ctx.Err()
}

// Append implements Log.
func (m *Memory) Append(ctx context.Context, partition int, r Record) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.calls++
	m.settle(m.calls)
	fate := m.rule(m.calls)
	switch {
	case fate.Lost:
		return 0, ErrFate
	case fate.Late > 0:
		m.late = append(m.late, lateRecord{partition, m.calls + fate.Late, r})
		return 0, ErrFate
	}
	offset := int64(len(m.parts[partition]))
	m.write(partition, r)
	if fate.Twice {
		m.write(partition, r)
	}
	if fate.Reply {
		return 0, ErrFate
	}
	return offset, nil
}

func (m *Memory) write(partition int, r Record) {
	m.parts[partition] = append(m.parts[partition], r)
	close(m.more)
	m.more = make(chan struct{})
}

// settle writes what is due at a call.
func (m *Memory) settle(call int) {
	rest := m.late[:0]
	for _, l := range m.late {
		if l.due > call {
			rest = append(rest, l)
			continue
		}
		m.write(l.partition, l.Record)
	}
	m.late = rest
}

// End implements Log.
func (m *Memory) End(ctx context.Context, partition int) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.parts[partition])), ctx.Err()
}

// Read implements Log.
func (m *Memory) Read(partition int, from int64) Reader {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memoryReader{m: m, id: m.id, partition: partition, at: from}
}

type memoryReader struct {
	m         *Memory
	id        string
	partition int
	at        int64
}

// Next implements Reader.
func (r *memoryReader) Next(ctx context.Context) (Entry, error) {
	for {
		e, more, err := r.try()
		if err != nil || more == nil {
			return e, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		}
	}
}

// try gives the next entry, or a channel that closes when there may be one.
func (r *memoryReader) try() (Entry, <-chan struct{}, error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	log := r.m.parts[r.partition]
	switch {
	case r.m.id != r.id:
		return Entry{}, nil, lost("it was made anew while it was read")
	case r.at > int64(len(log)):
		return Entry{}, nil, lost("offset %d is wanted, and it ends at %d", r.at, len(log))
	case r.at == int64(len(log)):
		return Entry{}, r.m.more, nil
	}
	e := Entry{Record: log[r.at], Offset: r.at, Next: r.at + 1}
	e.Invalid = e.Validate()
	r.at++
	return e, nil, nil
}

// Close implements Reader.
func (*memoryReader) Close() {}
