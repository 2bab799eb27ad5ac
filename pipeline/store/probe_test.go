package store_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/pipeline/store"
)

// careless creates as some servers did or do.
type careless struct {
	*store.Memory
	create func(m *store.Memory, ctx context.Context, key string, data []byte) error
}

func (c *careless) Create(ctx context.Context, key string, data []byte) error {
	return c.create(c.Memory, ctx, key, data)
}

func TestProbeNotices(t *testing.T) {
	put := func(m *store.Memory, ctx context.Context, key string, data []byte) error {
		return m.Put(ctx, key, store.BytesBody(data))
	}
	var turn, ill atomic.Int64
	for _, c := range []struct {
		name   string
		create func(m *store.Memory, ctx context.Context, key string, data []byte) error
		want   string
		unsure int
	}{
		{"ignores the header", put, "ignores If-None-Match", 0},
		{"checks, then writes", func(m *store.Memory, ctx context.Context, key string, data []byte) error {
			if strings.Contains(key, "/twice") {
				return m.Create(ctx, key, data)
			}
			return put(m, ctx, key, data)
		}, "conditional writes are not exclusive", 0},
		{"refuses, yet writes", func(m *store.Memory, ctx context.Context, key string, data []byte) error {
			err := m.Create(ctx, key, data)
			_ = put(m, ctx, key, data)
			return err
		}, "changed the object all the same", 0},
		{"one is told to have won, another is there", func(m *store.Memory, ctx context.Context, key string, data []byte) error {
			err := m.Create(ctx, key, data)
			if err == nil && !strings.Contains(key, "/twice") {
				return put(m, ctx, key, []byte("another"))
			}
			return err
		}, "the object is another's", 0},
		{"nobody wins", func(m *store.Memory, ctx context.Context, key string, data []byte) error {
			if strings.Contains(key, "/twice") {
				return m.Create(ctx, key, data)
			}
			return &store.Error{Op: "create", Key: key, Kind: store.ErrConflict}
		}, "none of 8 concurrent creates", 0},
		{"all are refused, one is there", func(m *store.Memory, ctx context.Context, key string, data []byte) error {
			err := m.Create(ctx, key, data)
			if err == nil && !strings.Contains(key, "/twice") {
				return &store.Error{Op: "create", Key: key, Kind: store.ErrExists}
			}
			return err
		}, "were all refused, yet one is there", 0},
		{"says something else", func(m *store.Memory, ctx context.Context, key string, data []byte) error {
			if err := m.Create(ctx, key, data); err != nil {
				return errors.New("internal error")
			}
			return nil
		}, "try again when the store is well", 0},
		{"may not write", func(_ *store.Memory, _ context.Context, key string, _ []byte) error {
			return &store.Error{Op: "create", Key: key, Kind: store.ErrDenied}
		}, "credentials may write", 0},
		{"is ill at first", func(m *store.Memory, ctx context.Context, key string, data []byte) error {
			switch ill.Add(1) {
			case 1, 3:
				return &store.Error{Op: "create", Key: key, Kind: store.ErrConflict}
			case 2:
				_ = m.Create(ctx, key, data)
				return &store.Error{Op: "create", Key: key, Kind: store.ErrUnknown}
			}
			return m.Create(ctx, key, data)
		}, "", 0},
		{"loses the winner's reply", func(m *store.Memory, ctx context.Context, key string, data []byte) error {
			err := m.Create(ctx, key, data)
			if err == nil && !strings.Contains(key, "/twice") && turn.Add(1)%2 == 0 {
				return &store.Error{Op: "create", Key: key, Kind: store.ErrUnknown}
			}
			return err
		}, "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &careless{store.NewMemory(), c.create}
			report, err := store.Probe(t.Context(), s, 4, 8)
			if c.want == "" {
				if err != nil || report.Rounds != 4 || report.Unsure != c.unsure {
					t.Errorf("got %+v, %v", report, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want one with %q", err, c.want)
			}
			for info := range s.List(t.Context(), "", "") {
				t.Errorf("it left %s", info.Key)
			}
		})
	}
}
