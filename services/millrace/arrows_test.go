package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/millrace/millrace/"

// arrows are the imports between packages of ours that the architecture allows. A
// package that is not listed may import none. Tests are not bound by them.
var arrows = map[string][]string{
	"codecs":       {},
	"codecs/video": {"codecs", "codecs/internal/ffmpeg"},
	"codecs/audio": {"codecs", "codecs/internal/ffmpeg"},
	"codecs/mel":   {},
	"codecs/still": {"codecs"},
	"codecs/patch": {"codecs"},

	"codecs/internal/ffmpeg": {"codecs"},

	"codecs/packing":   {"codecs"},
	"pipeline":         {"codecs", "codecs/mel", "codecs/packing", "codecs/patch"},
	"pipeline/message": {"pipeline", "codecs"},
	"pipeline/recipe":  {"pipeline", "codecs", "codecs/patch"},
	"pipeline/s3":      {"pipeline"},
	"pipeline/source":  {"pipeline", "pipeline/s3", "codecs"},
	"pipeline/queue":   {"pipeline", "codecs"},
	"pipeline/store":   {"pipeline", "pipeline/s3", "codecs"},
	"pipeline/ledger":  {"pipeline", "codecs"},
	"pipeline/claim":   {"pipeline/queue", "pipeline/store"},
	"pipeline/shard":   {"pipeline", "codecs", "codecs/patch"},
	"pipeline/mill":    {"pipeline", "codecs"},
	"pipeline/audit":   {},
	"pipeline/stream":  {"pipeline", "codecs", "codecs/packing", "pipeline/ledger", "pipeline/shard", "pipeline/mill", "pipeline/store"},

	// Helpers of tests.
	"pipeline/queue/kafkatest": {},
	"pipeline/store/s3test":    {"pipeline", "pipeline/s3", "pipeline/store"},
	"pipeline/store/storetest": {"pipeline/store"},

	"services/broker":            {"pipeline/queue"},
	"services/backfill":          {"pipeline", "codecs", "pipeline/source"},
	"services/inspect":           {"pipeline", "pipeline/shard", "codecs", "codecs/patch"},
	"services/catalog":           {"pipeline/ledger", "pipeline/shard", "pipeline/store"},
	"services/keeper":            {"pipeline", "codecs", "codecs/patch", "pipeline/ledger", "pipeline/shard", "pipeline/store"},
	"services/deadletter":        {"pipeline/ledger", "pipeline/message", "pipeline/queue"},
	"services/torture":           {"pipeline/audit", "pipeline/ledger", "pipeline/queue/kafkatest", "pipeline/store", "pipeline/store/s3test"}, // of tests: never linked into the program
	"services/gateway":           {"pipeline", "codecs", "pipeline/ledger", "pipeline/message", "pipeline/queue", "pipeline/store", "services/gateway/identity", "services/gateway/upload"},
	"services/gateway/identity":  {},
	"services/gateway/upload":    {"pipeline/store", "services/gateway/identity"},
	"services/hostile":           {"codecs"}, // of tests, too
	"services/worker":            {"pipeline", "codecs", "pipeline/ledger", "pipeline/message", "pipeline/queue", "pipeline/store", "pipeline/stream"},
	"services/worker/simulation": {"codecs", "pipeline", "pipeline/audit", "pipeline/message", "pipeline/mill", "pipeline/queue", "pipeline/shard", "pipeline/store", "pipeline/stream", "services/catalog", "services/keeper", "services/worker"},
}

// free may import everything: the composition, and main.
var free = []string{"services/settings", "services/millrace"}

func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	packages := 0
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		words := strings.Fields(line)
		from, ours := strings.CutPrefix(words[0], module)
		if !ours || slices.Contains(free, from) {
			continue
		}
		packages++
		allowed, listed := arrows[from]
		if !listed {
			t.Errorf("%s is not in the list of arrows: draw it there, and in ARCHITECTURE.md", from)
		}
		for _, imp := range words[1:] {
			if to, ours := strings.CutPrefix(imp, module); ours && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s: the architecture has no such arrow", from, to)
			}
		}
	}
	if packages < len(arrows) {
		t.Errorf("%d packages were looked at, %d have arrows: one is gone", packages, len(arrows))
	}
}
