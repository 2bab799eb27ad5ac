package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
)

// State is how far a dataset was verified without a fault: what a later Verify may go on
// from. It is JSON, for a file of the caller's.
type State struct {
	Version int                 `json:"v"`
	Deep    bool                `json:"deep"` // shards were read
	Streams map[string]Verified `json:"streams"`
	// Snapshots says which snapshots are right, up to one.
	Snapshots *VerifiedSnapshots `json:"snapshots,omitempty"`
}

// Verified is a position up to which a stream is right, and what was counted up to it.
type Verified struct {
	Position
	Counts StreamReport `json:"counts"`
}

// VerifiedSnapshots are the snapshots up to N, whose bytes have a digest.
type VerifiedSnapshots struct {
	N      int64  `json:"n"`
	SHA256 string `json:"sha256"`
}

// ParseState reads a state, as json.Marshal has written it.
func ParseState(data []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("it does not say how far a dataset was verified: %w", err)
	}
	if s.Version != Version {
		return nil, fmt.Errorf("it has format version %d; this program knows %d", s.Version, Version)
	}
	for path, at := range s.Streams {
		if _, err := ParseStream(path); err != nil {
			return nil, err
		}
		if at.Seq < 0 || at.Next < 0 || !isHex(at.SHA256, 32) || at.Counts.Stream != path || at.Counts.Records != at.Seq+1 {
			return nil, fmt.Errorf("what it says of stream %s is malformed", path)
		}
	}
	if at := s.Snapshots; at != nil && (at.N < 0 || !isHex(at.SHA256, 32)) {
		return nil, fmt.Errorf("what it says of snapshots is malformed")
	}
	return &s, nil
}

func (s *State) copy(deep bool) *State {
	c := &State{Version: Version, Deep: deep, Streams: maps.Clone(s.Streams)}
	if c.Streams == nil {
		c.Streams = map[string]Verified{}
	}
	if s.Snapshots != nil {
		at := *s.Snapshots
		c.Snapshots = &at
	}
	return c
}

// verified notes that a stream is right up to a position.
func (v *verifier) verified(stream Stream, at Verified) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at.Counts.Earlier = 0
	v.state.Streams[stream.Path()] = at
}

// forget notes that a stream is not what it was.
func (v *verifier) forget(stream Stream) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.state.Streams, stream.Path())
}

// save gives the state to whom it may concern.
func (v *verifier) save() error {
	if v.o.Save == nil {
		return nil
	}
	v.saving.Lock()
	defer v.saving.Unlock()
	v.mu.Lock()
	state := v.state.copy(v.o.Deep)
	v.mu.Unlock()
	if err := v.o.Save(state); err != nil {
		return fmt.Errorf("save how far the check is: %w", err)
	}
	return nil
}
