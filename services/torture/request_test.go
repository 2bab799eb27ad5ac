package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	for _, c := range []struct{ method, path, body, wrote, name, stream string }{
		{"PUT", "/torture/fleet/data/c~t~0/00000000000000000001/X.tar", "", "", "shard.put", "c~t~0"},
		{"PUT", "/torture/fleet/data/c~t~0/00000000000000000001/X.tar.idx", "", "", "index.put", "c~t~0"},
		{"HEAD", "/torture/fleet/data/c~t~0/00000000000000000001/X.tar", "", "", "shard.head", "c~t~0"},
		{"PUT", "/torture/fleet/data/c~t~0/00000000000000000001/s.outcomes.json", "", "", "table.put", "c~t~0"},
		{"PUT", "/torture/fleet/_log/c~t~3/00000000000000000002", `{"v":1,"kind":"fence"}`, "", "fence.put", "c~t~3"},
		{"PUT", "/torture/fleet/_log/c~t~3/00000000000000000002", `{"v":1,"kind":"data"}`, "", "record.put", "c~t~3"},
		{"PUT", "/torture/fleet/_log/c~t~3/00000000000000000000", `{"v":1,"kind":"genesis"}`, "", "genesis.put", "c~t~3"},
		{"GET", "/torture/fleet/_log/c~t~3/00000000000000000002", "", "_log/c~t~3/00000000000000000001", "log.get", "c~t~3"},
		{"GET", "/torture/fleet/_log/c~t~3/00000000000000000002", "", "_log/c~t~3/00000000000000000002", "readback.get", "c~t~3"},
		{"HEAD", "/torture/fleet/_log/c~t~3/00000000000000000002", "", "", "log.head", "c~t~3"},
		{"PUT", "/torture/fleet/_hint/c~t~3", "", "", "hint.put", "c~t~3"},
		{"PUT", "/torture/fleet/_recipe/abc.json", "", "", "recipe.put", ""},
		{"PUT", "/torture/fleet/naive/1.tar", "", "", "tar.put", ""},
		{"HEAD", "/torture/", "", "", "bucket.head", ""},
	} {
		r, err := http.NewRequest(c.method, "http://store"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if q := describe(r, []byte(c.body), c.wrote); q.name != c.name || q.stream != c.stream {
			t.Errorf("%s %s is %s of stream %q, want %s of %q", c.method, c.path, q.name, q.stream, c.name, c.stream)
		}
	}
}

// Points are named after requests that describe can name.
func TestPointsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range append(append(append([]point{}, killPoints...), stallPoints...), naivePoints...) {
		if seen[p.String()] {
			t.Errorf("%s is there twice", p)
		}
		seen[p.String()] = true
	}
	if len(killPoints) < 24 {
		t.Errorf("%d points are fewer than the 24 of the plan", len(killPoints))
	}
}
