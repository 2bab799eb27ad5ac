package hostile

import (
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/services/settings"
)

var full = flag.Bool("full", false, "make bombs that cost time at full size")

// load reads a file of testdata.
func load(t testing.TB) func(string) []byte {
	return func(name string) []byte {
		b, err := os.ReadFile(testdata(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// wall is what a mill gives a medium here instead of hours. A medium that ends by it has
// no other limit that holds it, which is wrong.
const wall = time.Minute

// Each bomb ends by the limit that is there for it, and within its mill's memory.
func TestBombs(t *testing.T) {
	bombs, dir := Bombs(load(t), *full), t.TempDir()
	limits := settings.Default().Mill.Limits
	pool := newPool(t, 1, func(c *mill.Config) { c.Refusals, c.Wall = 20, wall })
	ended, slowest, slow := map[codecs.Code]int{}, time.Duration(0), ""
	names := map[string]bool{}
	for _, b := range bombs {
		if names[b.Name] {
			t.Fatalf("two bombs are called %q", b.Name)
		}
		names[b.Name] = true
		recipe := everything
		if b.Limits != "" {
			recipe += "limits: {" + b.Limits + "}\n"
		}
		res, err := send(t.Context(), pool, dir, b.Data, parse(t, recipe))
		if err != nil {
			t.Fatalf("%s: %v", b.Name, err)
		}
		t.Logf("%-60s %9d bytes %6.2fs  %-18s %s", b.Name, len(b.Data), res.took.Seconds(), res.code(), detail(res))
		if !slices.Contains(b.Codes, res.code()) {
			t.Errorf("%s ended as %q (%v); want one of %q", b.Name, res.code(), res.Fault, b.Codes)
		}
		if res.Fault != nil && b.Stage != "" && res.Fault.Stage != string(b.Stage) {
			t.Errorf("%s ended at %s (%v); want %s", b.Name, res.Fault.Stage, res.Fault, b.Stage)
		}
		ended[res.code()]++
		if res.took > slowest {
			slowest, slow = res.took, b.Name
		}
	}
	pool.Close()
	peak := peakOfChildren(t)
	t.Logf("%d bombs: %s; slowest %v (%s); peak memory of a mill %d MiB of %d", len(bombs), line(ended), slowest.Round(time.Millisecond), slow, peak>>20, limits.Memory>>20)
	if len(bombs) < 60 {
		t.Errorf("there are only %d bombs", len(bombs))
	}
	if peak > limits.Memory {
		t.Errorf("a mill held %d bytes; the limit is %d", peak, limits.Memory)
	}
}

func detail(r result) string {
	if r.Fault == nil {
		return ""
	}
	return r.Fault.Stage + ": " + r.Fault.Detail[:min(len(r.Fault.Detail), 100)]
}
