package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Store that lives as long as the process. Use NewMemory.
type Memory struct {
	mu      sync.Mutex
	objects map[string]memObject
	writes  int64
}

type memObject struct {
	data []byte // never changed once stored
	info Info
}

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{objects: map[string]memObject{}} }

// String names the store.
func (m *Memory) String() string { return "memory:" }

// Put implements Store.
func (m *Memory) Put(ctx context.Context, key string, body Body) error {
	if err := begin(ctx, "put", key); err != nil {
		return err
	}
	data, err := body.bytes()
	if err != nil {
		return fail(ctx, "put", key, ErrCorrupt, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(key, data)
	return nil
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, key string, data []byte) error {
	if err := begin(ctx, "create", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return &Error{Op: "create", Key: key, Kind: ErrExists}
	}
	m.set(key, bytes.Clone(data))
	return nil
}

func (m *Memory) set(key string, data []byte) {
	m.writes++
	sum := sha256.Sum256(data)
	m.objects[key] = memObject{data: data, info: Info{
		Key: key, Size: int64(len(data)), ETag: fmt.Sprintf("%x-%d", sum[:8], m.writes), Modified: time.Now(),
		SHA256: sum[:], CRC32C: crcBytes(crc32.Checksum(data, castagnoli)),
	}}
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	if err := begin(ctx, "get", key); err != nil {
		return nil, Info{}, err
	}
	m.mu.Lock()
	o, ok := m.objects[key]
	m.mu.Unlock()
	if !ok {
		return nil, Info{}, &Error{Op: "get", Key: key, Kind: ErrNotFound}
	}
	length, err := span(o.info.Size, offset, length)
	if err != nil {
		return nil, Info{}, &Error{Op: "get", Key: key, Kind: ErrRange, Err: err}
	}
	return io.NopCloser(readerOf(ctx, bytes.NewReader(o.data[offset:offset+length]))), o.info, nil
}

// Stat implements Store.
func (m *Memory) Stat(ctx context.Context, key string) (Info, error) {
	if err := begin(ctx, "stat", key); err != nil {
		return Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return Info{}, &Error{Op: "stat", Key: key, Kind: ErrNotFound}
	}
	return o.info, nil
}

// List implements Store. It lists what was there when it began.
func (m *Memory) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Info{}, &Error{Op: "list", Key: prefix, Kind: ErrInvalid, Err: err})
			return
		}
		for _, info := range m.after(prefix, startAfter) {
			if err := ctx.Err(); err != nil {
				yield(Info{}, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Info{}, err)
		}
	}
}

func (m *Memory) after(prefix, startAfter string) []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []Info
	for key, o := range m.objects {
		if key > startAfter && strings.HasPrefix(key, prefix) {
			info := o.info
			info.SHA256, info.CRC32C = nil, nil
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
	return infos
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := begin(ctx, "delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

// span resolves a length below zero and refuses a range outside the object.
func span(size, offset, length int64) (int64, error) {
	if length < 0 {
		length = size - offset
	}
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return 0, fmt.Errorf("%d bytes from %d on were asked for; the object has %d", length, offset, size)
	}
	return length, nil
}
