package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/services/catalog"
)

// reading is one way in which a real library reads a published dataset: a script of
// testdata/readers and its arguments, or nil where the snapshot has nothing for it.
type reading struct {
	name   string
	script string
	args   func(root string, x catalog.Index) []string
}

//nolint:gochecknoglobals // a constant
var readings = []reading{
	{"webdataset", "read_webdataset.py", listOf(shard.WebDataset)},
	{"wids", "read_wids.py", func(root string, x catalog.Index) []string { return at(root, x.Wids) }},
	{"megatron-energon", "read_energon.py", func(root string, x catalog.Index) []string { return at(root, x.Energon) }},
	{"mosaicml-streaming", "read_mds.py", func(root string, x catalog.Index) []string {
		if x.MDS == "" {
			return nil
		}
		return []string{filepath.Join(root, x.MDS), "--remote", root}
	}},
	{"pyarrow", "read_parquet.py", listOf(shard.Parquet)},
	{"datasets", "read_datasets.py", listOf(shard.Parquet)},
}

// inPlace reads MDS where it is. It is for shards that are not compressed: the library
// would unpack others into the store.
//
//nolint:gochecknoglobals // a constant
var inPlace = reading{"mosaicml-streaming, in place", "read_mds.py", func(root string, x catalog.Index) []string { return at(root, x.MDSLocal) }}

func at(root, key string) []string {
	if key == "" {
		return nil
	}
	return []string{filepath.Join(root, key)}
}

func listOf(format string) func(string, catalog.Index) []string {
	return func(root string, x catalog.Index) []string {
		if x.Format != format {
			return nil
		}
		return at(root, x.List)
	}
}

// run has a library read, and gives what it saw and the faults that it or the script
// found.
func (r reading) run(t testing.TB, args []string) (facts, []string, error) {
	venv := os.Getenv("MILLRACE_READERS")
	if venv == "" {
		venv = "../../.cache/readers"
	}
	dump := filepath.Join(t.TempDir(), "dump")
	cmd := exec.Command(filepath.Join(venv, "bin", "python"), slices.Concat([]string{"-B", filepath.Join("../../testdata/readers", r.script)}, args, []string{"--dump", dump})...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var summary struct{ Faults []string }
	if jsonErr := json.Unmarshal(out, &summary); jsonErr != nil || (err != nil) != (len(summary.Faults) > 0) {
		return nil, nil, fmt.Errorf("%s: %w (is it installed? make tools)\n%s%s", r.name, errors.Join(err, jsonErr), out, stderr.String())
	}
	saw, err := readDump(dump)
	return saw, summary.Faults, err
}

func readDump(path string) (facts, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all := facts{}
	for line := range bytes.Lines(data) {
		var sample struct {
			Key    string
			Fields map[string]fact
		}
		if err := json.Unmarshal(line, &sample); err != nil {
			return nil, err
		}
		all[sample.Key] = sample.Fields
	}
	return all, nil
}

// published is a snapshot with what a test must know of it.
type published struct {
	place
	indexes []catalog.Index
	snap    *ledger.Snapshot
}

func publish(t testing.TB, p place) published {
	t.Helper()
	var said catalog.Published
	out := output(t, exitDone, nil, "--json", "publish", p.url)
	if err := json.Unmarshal([]byte(out), &said); err != nil || len(said.Indexes) != len(shard.Formats()) {
		t.Fatalf("publish says %s, %v; want an index for each format", out, err)
	}
	return published{p, said.Indexes, said.Snapshot}
}

// own is what package shard reads of the snapshot in each format; all must agree.
func (p published) own(t testing.TB) facts {
	t.Helper()
	shards, err := catalog.Shards(t.Context(), p, p.snap, "")
	if err != nil {
		t.Fatal(err)
	}
	byFormat := map[string]facts{}
	for _, format := range shard.Formats() {
		byFormat[format] = facts{}
		these := slices.DeleteFunc(slices.Clone(shards), func(s ledger.Shard) bool { return s.Format != format })
		for _, s := range readSamples(t, p.place, these) {
			byFormat[format].add(t, &s)
		}
		agree(t, format+" by package shard", byFormat[format], byFormat[shard.Formats()[0]])
	}
	return byFormat[shard.Formats()[0]]
}

// each runs every reading of the snapshot, two at a time.
func (p published) each(t testing.TB, also []reading, check func(name string, saw facts, faults []string)) {
	t.Helper()
	all := slices.Concat(readings, also)
	saw, faults := make([]facts, len(all)), make([][]string, len(all))
	var g errgroup.Group
	g.SetLimit(2)
	for i, r := range all {
		args := p.args(r)
		if args == nil {
			t.Errorf("%s: the snapshot has nothing for it", r.name)
			continue
		}
		g.Go(func() (err error) {
			saw[i], faults[i], err = r.run(t, args)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, r := range all {
		check(r.name, saw[i], faults[i])
	}
}

// args are those for the only index that the reading takes, or nil.
func (p published) args(r reading) []string {
	for _, x := range p.indexes {
		if args := r.args(p.url, x); args != nil {
			return args
		}
	}
	return nil
}

// readByAll has every library read the snapshot: without a fault, and with the samples
// that are wanted.
func (p published) readByAll(t testing.TB, want facts, also ...reading) {
	t.Helper()
	p.each(t, also, func(name string, saw facts, faults []string) {
		if len(faults) > 0 {
			t.Errorf("%s: %d faults: %s", name, len(faults), strings.Join(faults, "\n"))
		}
		agree(t, name, saw, want)
	})
}
