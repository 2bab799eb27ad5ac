package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
)

// lookInto notes in each shard the samples that are wanted: all, or the first alone. One
// that was replaced is passed over, since what it became is in the list as well. A shard that can not be read is noted too: it is a fault of the shard's, and the rest of
// the answer stands.
func (e *explainer) lookInto(shards []Shard, wanted func(key string) bool, first bool) error {
	for i := range shards {
		sh := &shards[i]
		if sh.Gone != nil {
			continue
		}
		sh.Read = true
		err := e.walk(e.ctx, sh.Shard, func(r shard.Reader, x *shard.Entry) (bool, error) {
			held, err := e.held(sh.Members > 0, r, x, wanted)
			sh.Holds = append(sh.Holds, held...)
			return first && len(sh.Holds) > 0, err
		})
		if e.ctx.Err() != nil {
			return e.ctx.Err()
		}
		if err != nil {
			sh.Fault = err.Error()
		}
	}
	return nil
}

// held gives what one entry of a shard holds of the wanted: itself, or members of it.
func (e *explainer) held(sequence bool, r shard.Reader, x *shard.Entry, wanted func(string) bool) ([]Sample, error) {
	if !sequence {
		if !wanted(x.Key) {
			return nil, nil
		}
		return []Sample{{Key: x.Key, Fields: fields(x)}}, nil
	}
	members, err := readMembers(r, x)
	if err != nil {
		return nil, err
	}
	var held []Sample
	for i, m := range members {
		if wanted(m.Key) {
			held = append(held, Sample{Key: m.Key, Sequence: x.Key, Place: i, Fields: fields(x)})
		}
	}
	return held, nil
}

func fields(x *shard.Entry) []Field {
	list := make([]Field, len(x.Fields))
	for i, f := range x.Fields {
		list[i] = Field{f.Name, f.Size}
	}
	return list
}

// walk calls visit for each entry of a shard, until it says that it is done.
func (e *explainer) walk(ctx context.Context, sh ledger.Shard, visit func(shard.Reader, *shard.Entry) (done bool, err error)) error {
	r, err := e.o.Open(ctx, sh)
	if err != nil {
		return err
	}
	for {
		x, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if done, err := visit(r, x); done || err != nil {
			return err
		}
	}
}

// member is what is asked of a packed sample's description.
type member struct {
	Key     string `json:"key"`
	Dataset string `json:"dataset"`
	ID      string `json:"id"`
}

// membersOf gives the members of a sequence, or nil if the shard does not hold it.
func (e *explainer) membersOf(ctx context.Context, sh ledger.Shard, key string) (members []member, err error) {
	err = e.walk(ctx, sh, func(r shard.Reader, x *shard.Entry) (bool, error) {
		if x.Key != key {
			return false, nil
		}
		members, err = readMembers(r, x)
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", sh.Key, err)
	}
	return members, nil
}

// mostJSON bounds the description of a sequence.
const mostJSON = 256 << 20

func readMembers(r shard.Reader, x *shard.Entry) ([]member, error) {
	i := slices.IndexFunc(x.Fields, func(f shard.FieldEntry) bool { return f.Name == "json" })
	if i < 0 {
		return nil, fmt.Errorf("sequence %s has no field json", x.Key)
	}
	data, err := shard.ReadField(r, x, i, nil, shard.Limits{MaxSampleBytes: mostJSON})
	if err != nil {
		return nil, err
	}
	var seq pipeline.Sequence
	if err := json.Unmarshal(data, &seq); err != nil {
		return nil, fmt.Errorf("the description of sequence %s: %w", x.Key, err)
	}
	members := make([]member, len(seq.Members))
	for i, raw := range seq.Members {
		if err := json.Unmarshal(raw, &members[i]); err != nil {
			return nil, fmt.Errorf("the description of sequence %s, member %d: %w", x.Key, i, err)
		}
	}
	return members, nil
}
