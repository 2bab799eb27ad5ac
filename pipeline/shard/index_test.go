package shard_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/shard"
)

func TestIndexes(t *testing.T) {
	var list, wids bytes.Buffer
	if err := shard.WriteShardList(&list, []string{"s3://b/data/01A.tar", "../data/t-0/1/01B.tar"}); err != nil {
		t.Fatal(err)
	}
	if list.String() != "s3://b/data/01A.tar\n../data/t-0/1/01B.tar\n" {
		t.Errorf("shard list %q", list.String())
	}
	if err := shard.WriteWids(&wids, "clips", []shard.Info{{URL: "https://h/a.tar?x=1&y=2", Samples: 3, Bytes: 4096}}); err != nil {
		t.Fatal(err)
	}
	const want = `{
 "__kind__": "wids-shard-index-v1",
 "wids_version": 1,
 "name": "clips",
 "shardlist": [
  {
   "url": "https://h/a.tar?x=1&y=2",
   "nsamples": 3,
   "filesize": 4096
  }
 ]
}
`
	if wids.String() != want {
		t.Errorf("wids index %s", wids.String())
	}
}

func TestURLsThatLoadersMistake(t *testing.T) {
	for why, urls := range map[string][]string{
		"no shards":         {},
		"names no file":     {"s3://b/data/"},
		"run it as a comma": {"pipe:cat a.tar"},
		`has ' '`:           {"a b.tar"},
		`has '\''`:          {"https://h/a.tar'; rm -rf '"},
		`has '{'`:           {"{000..009}.tar"},
		`has '\n'`:          {"a.tar\nb.tar"},
		"comes twice":       {"x/a.tar", "y/a.tar"},
	} {
		err := shard.WriteShardList(new(bytes.Buffer), urls)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", urls, err)
		}
	}
	for _, s := range []shard.Info{{URL: "a.tar", Bytes: 1}, {URL: "a.tar", Samples: 1}} {
		if err := shard.WriteWids(new(bytes.Buffer), "x", []shard.Info{s}); err == nil {
			t.Errorf("%+v was written", s)
		}
	}
}

// The byte vector is what megatron-energon 7.4.1's prepare writes for such a tar.
func TestEnergonFiles(t *testing.T) {
	w := create(t, "x")
	add(t, w, small()...)
	side := seal(t, w).Sidecars()
	if want := "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0e\x00\x00\x00\x00\x00\x00\x00\x1a\x00\x00\x00\x00\x00\x00"; len(side) != 1 || side[0].Suffix != ".idx" || string(side[0].Data) != want {
		t.Errorf("beside the shard is %q", side)
	}
	shards := []shard.Info{{URL: "../a.tar", Samples: 3, Bytes: 1}, {URL: "../b.tar", Samples: 1, Bytes: 1}}
	var info, split bytes.Buffer
	if err := errors.Join(shard.EnergonInfo(&info, shards), shard.EnergonSplit(&split, shards)); err != nil {
		t.Fatal(err)
	}
	squeeze := strings.NewReplacer(" ", "", "\n", "")
	if got := squeeze.Replace(info.String()); got != `{"energon_version":"7.4.1","shard_counts":{"../a.tar":3,"../b.tar":1}}` {
		t.Errorf("info %s", got)
	}
	if got := squeeze.Replace(split.String()); got != `{"exclude":[],"split_parts":{"test":[],"train":["../a.tar","../b.tar"],"val":[]}}` {
		t.Errorf("split %s", got)
	}
	if err := shard.EnergonInfo(&info, []shard.Info{{URL: "{a,b}.tar"}}); err == nil {
		t.Error("braces, which Energon expands, were written")
	}
}
