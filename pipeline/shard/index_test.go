package shard_test

import (
	"bytes"
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
