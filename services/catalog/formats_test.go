package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

func all(dataset string) []want {
	return []want{{dataset, shard.WebDataset, ""}, {dataset, shard.MDS, ""}, {dataset, shard.Parquet, shard.Zstd}}
}

// Every format has its indexes, whose URLs lead to shards; and a snapshot's stay as they
// are whatever is committed and published after it.
func TestPublishFormats(t *testing.T) {
	s := store.NewMemory()
	commit(t, s, "one", true, all("cats")...)
	first := publish(t, s)
	before := map[string]string{}
	for _, i := range first.Indexes {
		for _, key := range []string{i.List, i.Wids, i.MDS, i.MDSLocal} {
			if key != "" {
				before[key] = text(t, s, key)
			}
		}
	}
	if len(before) != 6 {
		t.Errorf("the indexes are %v", before)
	}
	commit(t, s, "one", true, all("cats")...)
	commit(t, s, "two", false, all("cats")...) // a writer that knows no sidecars
	for _, i := range publish(t, s).Indexes {
		if i.Shards != 3 || i.Samples != 6 {
			t.Errorf("the second snapshot has %+v", i)
		}
		for _, line := range strings.Fields(text(t, s, i.List)) {
			there(t, s, path.Join(path.Dir(i.List), line))
		}
		switch i.Format {
		case shard.WebDataset:
			checkEnergon(t, s, i.Energon)
		case shard.MDS:
			for _, e := range append(entries(t, s, i.MDS), entries(t, s, i.MDSLocal)...) {
				base := e.RawData.Basename
				if strings.HasPrefix(base, "../") {
					base = path.Join(path.Dir(i.MDSLocal), base)
				}
				if info := there(t, s, base); info.Size != e.RawData.Bytes || e.Samples != 2 || len(e.RawData.Hashes["sha256"]) != 64 {
					t.Errorf("the entry is %+v, the object %+v", e, info)
				}
			}
		}
	}
	for key, was := range before {
		if text(t, s, key) != was {
			t.Errorf("%s has changed", key)
		}
	}
}

func publish(t *testing.T, s store.Store) *Published {
	t.Helper()
	p, err := Publish(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func there(t *testing.T, s store.Store, key string) store.Info {
	t.Helper()
	info, err := s.Stat(t.Context(), key)
	if err != nil {
		t.Error(err)
	}
	return info
}

func entries(t *testing.T, s store.Store, key string) []*shard.MDSEntry {
	t.Helper()
	es, err := shard.ReadMDSIndex(strings.NewReader(text(t, s, key)))
	if err != nil || len(es) != 3 {
		t.Fatalf("%s: %d entries, %v", key, len(es), err)
	}
	return es
}

func checkEnergon(t *testing.T, s store.Store, folder string) {
	t.Helper()
	var info struct {
		Counts map[string]int64 `json:"shard_counts"`
	}
	var split struct {
		Parts map[string][]string `json:"split_parts"`
	}
	for name, doc := range map[string]any{".info.json": &info, "split.yaml": &split} {
		if err := json.Unmarshal([]byte(text(t, s, folder+"/.nv-meta/"+name)), doc); err != nil {
			t.Fatal(err)
		}
	}
	if len(info.Counts) != 3 || len(split.Parts["train"]) != 3 {
		t.Errorf("the info is %v, the split %v", info, split)
	}
	for _, url := range split.Parts["train"] {
		key := path.Join(folder, url)
		size := there(t, s, key).Size
		// Two samples and the end, which the two zero blocks of the tar follow.
		index := []byte(text(t, s, key+shard.TarIndexSuffix))
		if info.Counts[url] != 2 || len(index) != 24 || !bytes.Equal(index[:8], make([]byte, 8)) || int64(index[16])|int64(index[17])<<8 != size-1024 {
			t.Errorf("%s (%d bytes): count %d, index %x", key, size, info.Counts[url], index)
		}
	}
}

// Compressed shards are listed by both of their names, and have no index to be read in
// place.
func TestPublishZstd(t *testing.T) {
	s := store.NewMemory()
	commit(t, s, "one", true, want{"cats", shard.MDS, shard.Zstd})
	i := publish(t, s).Indexes[0]
	es, err := shard.ReadMDSIndex(strings.NewReader(text(t, s, i.MDS)))
	if err != nil || len(es) != 1 || i.MDSLocal != "" {
		t.Fatalf("%+v, %v", i, err)
	}
	e := es[0]
	if info := there(t, s, e.ZipData.Basename); e.ZipData.Bytes != info.Size || e.ZipData.Basename != e.RawData.Basename+".zstd" || e.RawData.Bytes <= 0 || *e.Compression != "zstd" {
		t.Errorf("the entry is %+v", e)
	}
}

// A shard that is not what its record says is found out before it is listed.
func TestPublishSeesDamage(t *testing.T) {
	s := store.NewMemory()
	commit(t, s, "one", true, want{"cats", shard.MDS, ""})
	for info, err := range s.List(t.Context(), "data/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), info.Key, store.BytesBody(make([]byte, info.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Publish(t.Context(), s); err == nil || !strings.Contains(err.Error(), "mds: ") {
		t.Errorf("publishing zeros: %v", err)
	}
}

// Whoever indexes second changes nothing; an outcome that is unknown is asked for again.
func TestCreateOnce(t *testing.T) {
	s := &unsure{Store: store.NewMemory(), left: 2}
	for range 2 {
		if err := create(t.Context(), s, "a", []byte("first")); err != nil {
			t.Fatal(err)
		}
	}
	if err := create(t.Context(), s, "a", []byte("second")); err != nil || text(t, s, "a") != "first" {
		t.Errorf("it holds %q, %v", text(t, s, "a"), err)
	}
	s.left = attempts
	if err := create(t.Context(), s, "b", nil); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("never an outcome: %v", err)
	}
}

// unsure does not know the outcome of the next creates.
type unsure struct {
	store.Store
	left int
}

func (u *unsure) Create(ctx context.Context, key string, data []byte) error {
	if u.left > 0 {
		u.left--
		return &store.Error{Op: "create", Key: key, Kind: store.ErrUnknown}
	}
	return u.Store.Create(ctx, key, data)
}
