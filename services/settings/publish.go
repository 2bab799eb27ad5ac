package settings

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
)

// Publish says whether workers publish.
type Publish struct {
	// Every is how long a snapshot is to be the latest, about. All workers of a fleet may
	// have it: one of them publishes at a time. 0 leaves it to `millrace publish`.
	Every time.Duration `yaml:"every"`
}

// leastPublished keeps the number of snapshots, which stay for ever, within reason.
const leastPublished = time.Minute

// Validate refuses an interval that would make too many snapshots.
func (p Publish) Validate() error {
	if p.Every != 0 && p.Every < leastPublished {
		return fmt.Errorf("publish.every is %v: at least %v, or 0 for never", p.Every, leastPublished)
	}
	return nil
}

// start publishes until the end that it returns is called, which waits.
func (p Publish) start(ctx context.Context, s store.Store, log *slog.Logger) (end func()) {
	if p.Every == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&catalog.Publisher{Store: s, Every: p.Every, Log: log}).Run(ctx)
	}()
	return func() { cancel(); <-done }
}
