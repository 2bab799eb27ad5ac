package simulation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/millrace/millrace/pipeline/store"
)

// handle is the store as one process reaches it.
type handle struct {
	p *process
}

var _ store.Store = handle{}

// call sends a request. do is what the store does when it arrives, and says what came of
// it; it is done under the world's lock, perhaps when nobody waits any more, perhaps
// twice, perhaps never. The reply is its error, or the fault's.
func (h handle) call(ctx context.Context, op, key string, content []byte, do func(half bool) error) error {
	w := h.p.world
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := store.CheckKey(key); op != "list" && err != nil {
		return &store.Error{Op: op, Key: key, Kind: store.ErrInvalid, Err: err}
	}
	wake := w.dice(h.p.name, "wake "+op, w.name(key, content))
	// A call whose caller gives up at once was never sent, however goroutines are scheduled.
	if err := h.p.wait(ctx, wake.lasting(1, time.Microsecond), wake); err != nil {
		return err
	}
	object := w.named(key)
	wake = w.dice(h.p.name, "wake "+op, object)
	f := w.fault(h.p.name, op, object)
	w.count(f.kind)
	replied := make(chan error, 1)
	apply := func(time string, reply bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		var err error
		if reply || op != "get" && op != "stat" && op != "list" { // whose answer would come twice
			err = do(f.half)
		}
		w.trace.add(h.p.name, op+time, object, outcome(err)+" "+f.kind)
		if reply {
			replied <- err
		}
	}
	if !f.never {
		time.AfterFunc(f.there+f.late, func() { apply("", !f.second) })
	}
	if f.again > 0 {
		time.AfterFunc(f.there+f.again, func() { apply("+", f.second) })
	}
	wait := f.there + f.back
	if f.second {
		wait += f.again
	}
	if err := h.p.wait(ctx, wait, wake); err != nil {
		if op == "create" && !errors.Is(err, errDead) {
			return &store.Error{Op: op, Key: key, Kind: store.ErrUnknown, Err: err}
		}
		return err
	}
	err := f.err
	if err == nil {
		err = <-replied
	}
	w.mu.Lock()
	w.trace.add(h.p.name, op+"=", object, outcome(err))
	w.mu.Unlock()
	return err
}

// outcome is an error's kind, without what differs from run to run.
func outcome(err error) string {
	var e *store.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e) && e.Kind != nil:
		return e.Kind.Error()
	}
	return "failed"
}

// Put implements store.Store.
func (h handle) Put(ctx context.Context, key string, body store.Body) error {
	data := make([]byte, body.Size)
	if _, err := io.ReadFull(body.Open(), data); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if sha256.Sum256(data) != body.SHA256 {
		return &store.Error{Op: "put", Key: key, Kind: store.ErrCorrupt}
	}
	return h.call(ctx, "put", key, data, func(half bool) error {
		if half {
			data = short(data)
		}
		h.p.world.bucket.put(key, data)
		return nil
	})
}

// Create implements store.Store.
func (h handle) Create(ctx context.Context, key string, data []byte) error {
	data = bytes.Clone(data)
	return h.call(ctx, "create", key, nil, func(bool) error {
		if !h.p.world.bucket.create(key, data) {
			return &store.Error{Op: "create", Key: key, Kind: store.ErrExists}
		}
		h.p.world.created(key, data)
		return nil
	})
}

// Get implements store.Store.
func (h handle) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, store.Info, error) {
	var o stored
	var cut bool
	err := h.call(ctx, "get", key, nil, func(half bool) error {
		var ok bool
		if o, ok = h.p.world.bucket.objects[key]; !ok {
			return &store.Error{Op: "get", Key: key, Kind: store.ErrNotFound}
		}
		cut = half
		return nil
	})
	if err != nil {
		return nil, store.Info{}, err
	}
	if length < 0 {
		length = o.info.Size - offset
	}
	if offset < 0 || length < 0 || offset+length > o.info.Size {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Kind: store.ErrRange}
	}
	data := o.data[offset : offset+length]
	if cut {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data[:len(data)/2]), broken{key})), o.info, nil
	}
	return io.NopCloser(bytes.NewReader(data)), o.info, nil
}

// broken is a download's end that came too early.
type broken struct{ key string }

func (b broken) Read([]byte) (int, error) {
	return 0, &store.Error{Op: "get", Key: b.key, Err: io.ErrUnexpectedEOF}
}

// Stat implements store.Store.
func (h handle) Stat(ctx context.Context, key string) (store.Info, error) {
	var info store.Info
	err := h.call(ctx, "stat", key, nil, func(bool) error {
		o, ok := h.p.world.bucket.objects[key]
		if !ok {
			return &store.Error{Op: "stat", Key: key, Kind: store.ErrNotFound}
		}
		info = o.info
		return nil
	})
	if err != nil {
		return store.Info{}, err
	}
	return info, nil
}

// List implements store.Store.
func (h handle) List(ctx context.Context, prefix, startAfter string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		var infos []store.Info
		var cut bool
		err := h.call(ctx, "list", prefix, nil, func(half bool) error {
			infos, cut = h.p.world.bucket.list(prefix, startAfter), half
			return nil
		})
		if err != nil {
			yield(store.Info{}, err) // what was listed may still be on its way
			return
		}
		if cut {
			infos, err = infos[:len(infos)/2], &store.Error{Op: "list", Key: prefix, Err: io.ErrUnexpectedEOF}
		}
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(store.Info{}, err)
		}
	}
}

// Delete implements store.Store.
func (h handle) Delete(ctx context.Context, key string) error {
	return h.call(ctx, "delete", key, nil, func(bool) error {
		delete(h.p.world.bucket.objects, key)
		return nil
	})
}
