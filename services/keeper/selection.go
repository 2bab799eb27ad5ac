package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// Selection says which jobs are meant: those that any of it names.
type Selection struct {
	// Sources are URIs as records have them, without query and userinfo; one that ends in
	// "/" or "*" stands for all that begin so.
	Sources  []string
	Licences []string // as jobs' provenance has them
	IDs      []string // of jobs
}

func (s *Selection) validate() error {
	if len(s.Sources)+len(s.Licences)+len(s.IDs) == 0 {
		return errors.New("nothing is selected: name sources, licences or ids")
	}
	if slices.Contains(s.Sources, "") || slices.Contains(s.Sources, "*") || slices.Contains(s.Licences, "") || slices.Contains(s.IDs, "") {
		return errors.New("an empty source, licence or id is selected: that would mean everything, or nothing")
	}
	return nil
}

func (s *Selection) source(uri string) bool {
	return slices.ContainsFunc(s.Sources, func(want string) bool {
		prefix, all := strings.CutSuffix(want, "*")
		return uri == want || (all || strings.HasSuffix(want, "/")) && strings.HasPrefix(uri, prefix)
	})
}

// selected is a selection as it is found in a snapshot.
type selected struct {
	jobs     map[string]bool // by the hash in their samples' keys
	licences []string
	shards   map[string]bool // that may hold their samples; nil: any
}

// resolve looks the jobs up in the records' outcomes. A licence stands in the samples
// alone, so it leaves no choice but to look into every shard.
func (s *Selection) resolve(ctx context.Context, st store.Store, snap *ledger.Snapshot, dataset string) (*selected, error) {
	sel := &selected{jobs: map[string]bool{}, licences: s.Licences}
	if len(s.Licences) == 0 {
		sel.shards = map[string]bool{}
	}
	if len(s.Sources)+len(s.IDs) == 0 {
		return sel, nil
	}
	ids := make(map[string]bool, len(s.IDs))
	for _, id := range s.IDs {
		ids[id] = true
	}
	wanted := func(o *ledger.Outcome) bool {
		return o.Status == ledger.OK && o.Dataset == dataset &&
			(ids[o.ID] || slices.ContainsFunc(o.Sources, func(x ledger.Source) bool { return s.source(x.URI) }))
	}
	ls := store.Plain{Store: st}
	for item, err := range ledger.Records(ctx, ls, snap) {
		if err != nil {
			return nil, err
		}
		outcomes, err := ledger.Outcomes(ctx, ls, item.Record)
		if err != nil {
			return nil, err
		}
		for i := range outcomes {
			if wanted(&outcomes[i]) {
				sel.add(item.Record, &outcomes[i])
			}
		}
	}
	if sel.shards == nil {
		return sel, nil
	}
	return sel, sel.descend(ctx, st, snap)
}

func (s *selected) add(r *ledger.Record, o *ledger.Outcome) {
	s.jobs[hashOf(jobPrefix(o.Dataset, o.ID))] = true
	if s.shards == nil {
		return
	}
	for _, sh := range r.Shards {
		if sh.Dataset == o.Dataset && sh.From <= o.Offset && o.Offset < sh.To {
			s.shards[sh.Key] = true
		}
	}
}

// descend adds what the shards became in edits.
func (s *selected) descend(ctx context.Context, st store.Store, snap *ledger.Snapshot) error {
	for e, err := range ledger.Edits(ctx, store.Plain{Store: st}, snap) {
		if err != nil {
			return err
		}
		became, err := becomes(ctx, st, e, s.shards)
		if err != nil {
			return err
		}
		for _, key := range became {
			s.shards[key] = true
		}
	}
	return nil
}

// becomes gives what the shards of a set that an edit removes became: all that it adds, if
// its groups are not known.
func becomes(ctx context.Context, st store.Store, e *ledger.Edit, of map[string]bool) ([]string, error) {
	if !slices.ContainsFunc(e.Removes, func(k string) bool { return of[k] }) || len(e.Adds) == 0 {
		return nil, nil
	}
	c, err := readClaim(ctx, st, attemptOf(e.Adds[0].Key))
	if err != nil {
		return nil, fmt.Errorf("read what became what: %w", err)
	}
	if c == nil || len(c.Groups) == 0 {
		return keysOf(e.Adds), nil
	}
	var keys []string
	for _, g := range c.Groups {
		if slices.ContainsFunc(g.Removes, func(k string) bool { return of[k] }) {
			keys = append(keys, g.Adds...)
		}
	}
	return keys, nil
}

func (s *selected) mayHold(sh ledger.Shard) bool { return s.shards == nil || s.shards[sh.Key] }

func (s *selected) matches(i *sampleInfo) bool {
	return s.jobs[hashOf(i.Key)] || slices.Contains(s.licences, i.Provenance.Licence) && i.Provenance.Licence != ""
}

// matchesAny looks at a description: a sample's, or those of a sequence's members.
func (s *selected) matchesAny(description []byte, sequence bool) (bool, error) {
	if !sequence {
		i, err := parseInfo(description)
		return err == nil && s.matches(i), err
	}
	var seq pipeline.Sequence
	if err := json.Unmarshal(description, &seq); err != nil {
		return false, err
	}
	for _, raw := range seq.Members {
		i, err := parseInfo(raw)
		if err != nil {
			return false, err
		}
		if s.matches(i) {
			return true, nil
		}
	}
	return false, nil
}
