package keeper

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// FuzzClaim: what stands in the place of a claim is one, or an error: never none, since gc
// would then give up an attempt that has claimed.
func FuzzClaim(f *testing.F) {
	f.Add([]byte(`{"v":1,"groups":[{"removes":["data/s/1/a.tar"],"adds":["edited/x/b.tar"]}]}`))
	f.Add([]byte(`{"v":1,"abandoned":true}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := store.NewMemory()
		if err := s.Create(t.Context(), ledger.EditedPrefix+"A/"+claimName, data); err != nil {
			t.Fatal(err)
		}
		c, err := readClaim(t.Context(), s, "A")
		if (c == nil) == (err == nil) || c != nil && c.Version != claimVersion {
			t.Fatalf("%q is the claim %+v, %v", data, c, err)
		}
	})
}

// FuzzAttemptOf: the attempt of an object is one whose prefix the object's key has.
func FuzzAttemptOf(f *testing.F) {
	f.Add("edited/01J00000000000000000000000/a.tar")
	f.Add("edited/01J00000000000000000000000")
	f.Add("edited//a.tar")
	f.Fuzz(func(t *testing.T, key string) {
		if id := attemptOf(key); id != "" && (!strings.HasPrefix(key, attempt{id: id}.prefix()) || strings.ContainsAny(id, "/.")) {
			t.Fatalf("%q is of the attempt %q", key, id)
		}
	})
}

// FuzzDeed: a takedown's record is of the takedown that its name says.
func FuzzDeed(f *testing.F) {
	f.Add("01J00000000000000000000000.json", []byte(`{"v":1,"id":"01J00000000000000000000000","dataset":"d","reason":"r","begun":"2026-11-24T12:00:00Z","base":3,"snapshot":-1}`))
	f.Add("x.done.json", []byte(`{"v":1,"id":"x","done":"2026-11-24T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		s := store.NewMemory()
		if s.Put(t.Context(), deedPrefix+name, store.BytesBody(data)) != nil {
			return // no key
		}
		d, err := readDeed(t.Context(), s, deedPrefix+name)
		if err == nil && (d.Version != deedVersion || !strings.HasPrefix(name, d.ID)) {
			t.Fatalf("%q in %q is %+v", data, name, d)
		}
	})
}

// FuzzFilter: a sequence that is read from a shard, without some of its members: those that
// stay are all there, and nothing is made up. Its arrays and its description may be anything.
func FuzzFilter(f *testing.F) {
	pack := &pipeline.Pack{Tokens: "vit", Budget: 1 << 12, Count: "patches", Window: 4, Multiple: 4, Mode: "first_fit_decreasing"}
	var members []*pipeline.Sample
	for i := range 3 {
		members = append(members, &pipeline.Sample{Key: fmt.Sprint("k", i, "-0"), Fields: []pipeline.Field{
			{Name: "json", Data: fmt.Appendf(nil, `{"key":"k%d-0","tokens":{"vit":{"count":2}}}`, i)},
			{Name: "vit.patches.npy", Data: patch.AppendNPY(nil, patch.Array{DType: "uint8", Shape: []int{2, 3}, Data: bytes.Repeat([]byte{byte(i)}, 6)})},
			{Name: "vit.grid.npy", Data: patch.AppendNPY(nil, patch.Array{DType: "int64", Shape: []int{2}, Data: append([]byte{2, 0, 0, 0, 0, 0, 0, 0}, 1, 0, 0, 0, 0, 0, 0, 0)})},
		}})
	}
	seq, err := pack.Join("d", "r", members, []int{2, 2, 2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fieldOf(seq, "json"), fieldOf(seq, "vit.patches.npy"), fieldOf(seq, "vit.grid.npy"), fieldOf(seq, "cu_seqlens.npy"), fieldOf(seq, "cu_seqlens_padded.npy"))
	f.Add(fieldOf(seq, "json"), fieldOf(seq, "vit.patches.npy"), fieldOf(seq, "vit.grid.npy"), fieldOf(seq, "cu_seqlens.npy"), []byte{})
	f.Fuzz(func(t *testing.T, description, patches, grid, borders, padded []byte) {
		s := &pipeline.Sample{Key: "s", Fields: []pipeline.Field{{Name: "json", Data: description}, {Name: "vit.patches.npy", Data: patches},
			{Name: "vit.grid.npy", Data: grid}, {Name: "cu_seqlens.npy", Data: borders}}}
		if len(padded) > 0 {
			s.Fields = append(s.Fields, pipeline.Field{Name: "cu_seqlens_padded.npy", Data: padded})
		}
		r := &repacker{pack: pack, dataset: "d", recipe: "r", gone: func(i *sampleInfo) bool { return strings.HasPrefix(i.Key, "k1") }}
		out, err := r.filter(s)
		if err != nil {
			return
		}
		var before, after pipeline.Sequence
		if err := json.Unmarshal(description, &before); err != nil {
			t.Fatal(err)
		}
		if out != nil {
			if err := json.Unmarshal(fieldOf(out, "json"), &after); err != nil {
				t.Fatal(err)
			}
		}
		if int64(len(after.Members))+r.members+r.lost != int64(len(before.Members)) {
			t.Fatalf("of %d members %d are left, %d gone and %d lost", len(before.Members), len(after.Members), r.members, r.lost)
		}
		for _, raw := range after.Members {
			if i, err := parseInfo(raw); err != nil || strings.HasPrefix(i.Key, "k1") {
				t.Fatalf("%s is still there, %v", raw, err)
			}
		}
	})
}
