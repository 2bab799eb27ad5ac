package claim

import (
	"context"
	"fmt"
	"sync"

	"github.com/millrace/millrace/pipeline/store"
)

// Guard is a store whose creates are its own, and that looks before the first whether a
// claim log decides them: a writer that knows nothing of it would go past all others.
type Guard struct {
	store.Store
	mu   sync.Mutex
	free bool // known to be bound to no log
}

// NewGuard wraps a store.
func NewGuard(s store.Store) *Guard { return &Guard{Store: s} }

// Unwrap returns the store that is wrapped.
func (g *Guard) Unwrap() store.Store { return g.Store }

// Create implements store.Store.
func (g *Guard) Create(ctx context.Context, key string, data []byte) error {
	if err := g.look(ctx); err != nil {
		return &store.Error{Op: "create", Key: key, Kind: before(err), Err: err}
	}
	return g.Store.Create(ctx, key, data)
}

func (g *Guard) look(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free {
		return nil
	}
	b, bound, err := Bound(ctx, g.Store)
	switch {
	case err != nil:
		return err
	case bound:
		return &boundError{b}
	}
	g.free = true
	return nil
}

// boundError says that a claim log decides.
type boundError struct{ b Binding }

func (e *boundError) Error() string {
	return fmt.Sprintf("what is created in this store is decided by the claim log %s of cluster %s: set store.claim_log.topic, and queue.brokers to reach it", e.b.Topic, e.b.Cluster)
}

// Permanent says that trying again is of no use.
func (*boundError) Permanent() bool { return true }
