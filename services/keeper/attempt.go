package keeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// ErrAbandoned: a sweep took the attempt for one whose process had died. Nothing was
// changed; make it again.
var ErrAbandoned = errors.New("a sweep has given this attempt up, since it took longer than the sweep's least age")

// attempt is one try at an edit. What it uploads is named edited/<attempt>/..., and the
// object claim.json there decides, by being created once, whether its edit may still come:
// it is either the attempt's own, which says what the edit removes, or a sweep's.
//
// So a sweep needs no clock to be safe. What lies there without a claim is given up by
// putting the sweep's claim there first. With the attempt's claim its edit may come, but
// only while all that it removes is still there: what was removed once never comes back.
// Claims are kept: without it a process that slept could create it anew.
type attempt struct {
	s  store.Store
	id string
}

// group is what some shards became.
type group struct {
	Removes []string `json:"removes"`
	Adds    []string `json:"adds,omitempty"`
}

// claim is an attempt's, or, if Abandoned is set, a sweep's.
type claim struct {
	Version   int     `json:"v"`
	Abandoned bool    `json:"abandoned,omitempty"`
	Groups    []group `json:"groups,omitempty"`
}

const (
	claimName    = "claim.json"
	claimVersion = 1
)

func newAttempt(s store.Store) attempt { return attempt{s, ulid.Make().String()} }

// attemptOf tells which attempt an object is of, by its key; "" if of none.
func attemptOf(key string) string {
	rest, ours := strings.CutPrefix(key, ledger.EditedPrefix)
	id, _, inside := strings.Cut(rest, "/")
	if _, err := ulid.ParseStrict(id); !ours || !inside || err != nil {
		return ""
	}
	return id
}

func (a attempt) prefix() string { return ledger.EditedPrefix + a.id + "/" }

// commit publishes an edit, whose groups say what became what.
func (a attempt) commit(ctx context.Context, e ledger.Edit, groups []group) (*ledger.Snapshot, error) {
	if err := a.claim(ctx, claim{Version: claimVersion, Groups: groups}); err != nil {
		return nil, err
	}
	return ledger.PublishEdits(ctx, store.Plain{Store: a.s}, e)
}

// claimTries bounds how often a create without an outcome is sent, and claimPause is
// between them.
const (
	claimTries = 6
	claimPause = 200 * time.Millisecond
)

// claim creates the claim, or fails with ErrAbandoned if there is another.
func (a attempt) claim(ctx context.Context, c claim) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	key := a.prefix() + claimName
	for range claimTries {
		err = a.s.Create(ctx, key, data)
		if err == nil {
			return nil
		}
		if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrUnknown) {
			there, readErr := readSmall(ctx, a.s, key)
			switch {
			case readErr == nil && bytes.Equal(there, data):
				return nil // an earlier try of ours, whose answer was lost
			case readErr == nil:
				return fmt.Errorf("claim %s: %w", key, ErrAbandoned)
			case !store.IsNotFound(readErr):
				return errors.Join(err, readErr)
			}
		} else if !errors.Is(err, store.ErrConflict) {
			return err
		}
		select {
		case <-time.After(claimPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// readClaim gives an attempt's claim; nil if there is none.
func readClaim(ctx context.Context, s store.Store, id string) (*claim, error) {
	key := attempt{s, id}.prefix() + claimName
	data, err := readSmall(ctx, s, key)
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c claim
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("%s is no claim: %w", key, err)
	}
	if c.Version != claimVersion {
		return nil, fmt.Errorf("%s has format version %d; this program knows %d: use a newer one", key, c.Version, claimVersion)
	}
	return &c, nil
}

// readSmall reads an object of at most [ledger.MaxEdit] bytes.
func readSmall(ctx context.Context, s store.Store, key string) ([]byte, error) {
	rc, info, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if info.Size > ledger.MaxEdit {
		return nil, fmt.Errorf("%s has %d bytes; the limit is %d", key, info.Size, ledger.MaxEdit)
	}
	return io.ReadAll(rc)
}
