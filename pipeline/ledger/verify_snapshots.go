package ledger

import (
	"cmp"
	"errors"
	"slices"
	"sync"
)

// snapshots checks the snapshots against the records, and their edits.
func (v *verifier) snapshots() error {
	last, err := lastNumber(v.ctx, v.s, SnapshotKey, -1)
	if err != nil {
		return err
	}
	first, before, previous, err := v.resumeSnapshots()
	if err != nil {
		return err
	}
	v.report.Snapshots = first
	bad := false
	for n := first; n <= last; n++ {
		snap, data, err := loadSnapshot(v.ctx, v.s, n)
		if err != nil {
			if err := v.unreadable(SnapshotKey(n), err); err != nil {
				return err
			}
			before, previous, bad = nil, "", true
			continue
		}
		faults := v.now.Faults
		if n > 0 && previous != "" && snap.Previous != previous {
			v.fault(snap.Key(), "it follows a snapshot of SHA-256 %s, but the one before has %s", snap.Previous, previous)
		}
		v.report.Snapshots++
		if err := v.against(snap, before); err != nil {
			return err
		}
		before, previous = snap, digest(data)
		if bad = bad || v.now.Faults > faults; !bad {
			v.state.Snapshots = &VerifiedSnapshots{N: n, SHA256: previous}
		}
	}
	return v.checkEdits(before)
}

// resumeSnapshots finds where an earlier check has left off: the first snapshot to check,
// and the one before it with its digest.
func (v *verifier) resumeSnapshots() (int64, *Snapshot, string, error) {
	at := v.from.Snapshots
	if at == nil {
		return 0, nil, "", nil
	}
	snap, data, err := loadSnapshot(v.ctx, v.s, at.N)
	if err == nil && digest(data) == at.SHA256 {
		return at.N + 1, snap, at.SHA256, nil
	}
	v.state.Snapshots = nil
	if err != nil {
		return 0, nil, "", v.unreadable(SnapshotKey(at.N), err)
	}
	v.fault(SnapshotKey(at.N), "it has SHA-256 %s; when it was verified before, it had %s: it was changed", digest(data), at.SHA256)
	return 0, nil, "", nil
}

// against holds a snapshot against the one before: positions that it has too were looked
// at with it, streams do not go back, and edits stay.
func (v *verifier) against(snap, before *Snapshot) error {
	for _, p := range snap.Streams {
		stream, err := ParseStream(p.Stream)
		if err != nil {
			v.fault(snap.Key(), "%v", err)
			continue
		}
		if before != nil {
			at, there := before.At(stream)
			if there && at == p.Position {
				continue
			}
			if there && at.Seq > p.Seq {
				v.fault(snap.Key(), "it names record %d of stream %s, and the snapshot before record %d", p.Seq, stream, at.Seq)
			}
		}
		if err := v.pinned(snap, stream, p); err != nil {
			return err
		}
	}
	if before != nil && (len(snap.Edits) < len(before.Edits) || !slices.Equal(snap.Edits[:len(before.Edits)], before.Edits)) {
		v.fault(snap.Key(), "the edits of the snapshot before are not all in it, in their order")
	}
	return nil
}

func (v *verifier) pinned(snap *Snapshot, stream Stream, p Pinned) error {
	data, err := load(v.ctx, v.s, RecordKey(stream, p.Seq), MaxRecord)
	switch {
	case notFound(err):
		v.fault(snap.Key(), "it names record %d of stream %s, which is not there", p.Seq, stream)
	case err != nil:
		return err
	case digest(data) != p.SHA256:
		v.fault(snap.Key(), "it names record %d of stream %s by SHA-256 %s, but that has %s", p.Seq, stream, p.SHA256, digest(data))
	}
	return nil
}

// editCheck counts the samples of shards that edits remove, while the records that name
// them pass by. It keeps about 40 bytes for each.
type editCheck struct {
	mu      sync.Mutex
	removes table // digests of keys, to the edit; with seenBit once it was met
	counts  []map[string]int64
}

const seenBit = 1 << 40

// loadEdits reads what the edits of the latest snapshot remove. What is wrong with them
// is for checkEdits to say.
func (v *verifier) loadEdits() error {
	snap, err := Latest(v.ctx, v.s)
	if err != nil {
		if errors.Is(err, ErrNoSnapshot) {
			return nil
		}
		var storeErr interface{ Permanent() bool }
		if errors.As(err, &storeErr) && !notFound(err) {
			return err
		}
		return nil // malformed: the check of snapshots finds it
	}
	for i, r := range snap.Edits {
		v.edits.counts = append(v.edits.counts, map[string]int64{})
		e, err := loadEdit(v.ctx, v.s, r)
		if err != nil {
			if err := v.unreadable(r.Key, err); err != nil {
				return err
			}
			continue
		}
		for _, key := range e.Removes {
			h := hashID("", key)
			if _, twice := v.edits.removes.get(h); twice {
				v.fault(r.Key, "it removes the shard %s, which an edit before it has removed", key)
			}
			v.edits.removes.put(h, int64(i))
		}
		v.report.Edits++
	}
	return nil
}

// met counts a shard that a record or an edit names, if it is one that was removed.
func (e *editCheck) met(h idHash, s Shard) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i, removed := e.removes.get(h)
	if !removed || i >= seenBit {
		return
	}
	e.removes.put(h, i|seenBit)
	e.counts[i][s.Format] += cmp.Or(s.Members, s.Samples)
}

// removed says that the latest snapshot does without a shard.
func (e *editCheck) removed(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, removed := e.removes.get(hashID("", key))
	return removed
}

// checkEdits checks the shards that the edits of a snapshot add, and that there are as
// many samples in them as in those that they stand for; fewer where some are taken down.
// Where an earlier check has seen a part of the records, samples are not counted.
func (v *verifier) checkEdits(snap *Snapshot) error {
	if snap == nil || len(snap.Edits) != len(v.edits.counts) {
		return nil
	}
	var shards sync.WaitGroup
	defer shards.Wait()
	resumed := len(v.from.Streams) > 0
	for i, r := range snap.Edits {
		e, err := loadEdit(v.ctx, v.s, r)
		if err != nil {
			continue // loadEdits has told
		}
		held := map[string]int64{}
		for _, s := range e.Adds {
			held[s.Format] += cmp.Or(s.Members, s.Samples)
			v.edits.met(hashID("", s.Key), s)
			if err := v.look(&shards, s, v.fault); err != nil {
				return err
			}
		}
		if !resumed {
			v.balance(r, e, v.edits.counts[i], held)
		}
	}
	shards.Wait()
	return v.ctx.Err()
}

// balance compares what an edit removes with what it adds.
func (v *verifier) balance(r EditRef, e *Edit, removed, added map[string]int64) {
	for _, key := range e.Removes {
		if i, _ := v.edits.removes.get(hashID("", key)); i < seenBit {
			v.fault(r.Key, "it removes the shard %s, which no record names and no edit before it adds", key)
			return
		}
	}
	for format, n := range added {
		if n > removed[format] {
			v.fault(r.Key, "it adds %d samples in %s, in place of %d", n, format, removed[format])
		}
	}
	for format, n := range removed {
		if e.Kind == Compact && added[format] < n {
			v.fault(r.Key, "it is to keep all samples, but adds %d in %s, in place of %d", added[format], format, n)
		}
	}
}
