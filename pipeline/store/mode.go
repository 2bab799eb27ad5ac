package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// modeKey names the object in which the way of a store's creates is written down, so
// that not every worker of a fleet proves it at length.
const modeKey = "_probe/mode.json"

// The ways in which creates are decided.
const (
	Conditional = "conditional" // by the store
	Claims      = "claims"      // by a claim log
)

// Mode says how a store's creates are decided, and how that was proved.
type Mode struct {
	Version int    `json:"v"`
	Mode    string `json:"mode"` // Conditional or Claims
	ProbeReport
	Time   time.Time `json:"time"`
	Writer string    `json:"writer"` // the host and program that proved it
}

// ReadMode gives what is written down, or false where nothing is.
func ReadMode(ctx context.Context, s Store) (Mode, bool, error) {
	rc, _, err := s.Get(ctx, modeKey, 0, -1)
	if IsNotFound(err) {
		return Mode{}, false, nil
	}
	if err != nil {
		return Mode{}, false, err
	}
	defer func() { _ = rc.Close() }()
	data, err := io.ReadAll(io.LimitReader(rc, 64<<10))
	if err != nil {
		return Mode{}, false, err
	}
	var m Mode
	if err := json.Unmarshal(data, &m); err != nil || m.Version != 1 {
		return Mode{}, false, fmt.Errorf("%s can not be read by this program (version %d, %v): with every writer stopped, run `millrace doctor --switch-mode`", modeKey, m.Version, err)
	}
	return m, true, nil
}

// WriteMode writes it down.
func WriteMode(ctx context.Context, s Store, m Mode) error {
	m.Version = 1
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.Put(ctx, modeKey, BytesBody(data))
}

// ForgetMode removes what is written down.
func ForgetMode(ctx context.Context, s Store) error { return s.Delete(ctx, modeKey) }
