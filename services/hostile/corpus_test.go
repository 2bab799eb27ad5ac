package hostile

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/services/settings"
)

// seedMedia are the small valid media of every format that is read.
func seedMedia(t testing.TB) []Seed {
	t.Helper()
	media, err := Seeds(28<<10, testdata("videos"), testdata("audio"), testdata("images", "golden"), testdata("images", "odd"))
	if err != nil {
		t.Fatal(err)
	}
	return media
}

// A corpus follows from its seed; what it makes differs from what it was made of.
func TestCorpusRepeats(t *testing.T) {
	media := seedMedia(t)
	a, err := NewCorpus(7, media)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := NewCorpus(7, media)
	other, _ := NewCorpus(8, media)
	same, formats, kinds := 0, map[string]bool{}, map[string]bool{}
	const n = 2000
	for i := range uint64(n) {
		f := a.File(i)
		if g := b.File(i); !bytes.Equal(f.Data, g.Data) {
			t.Fatalf("file %d is not the same again", i)
		}
		if bytes.Equal(f.Data, media[i%uint64(len(media))].Data) || bytes.Equal(f.Data, other.File(i).Data) {
			same++
		}
		if len(f.Data) == 0 || len(f.Data) > 2<<20 {
			t.Errorf("file %d has %d bytes", i, len(f.Data))
		}
		formats[f.Format] = true
		kinds[f.Kinds[0]] = true
	}
	if same > n/10 {
		t.Errorf("%d of %d files are unspoilt, or the same with another seed", same, n)
	}
	if len(formats) < 16 || len(kinds) != len(damages) {
		t.Errorf("%d formats and %d kinds of damage", len(formats), len(kinds))
	}
}

// Every part lies in its medium, and each known format has some.
func TestParts(t *testing.T) {
	found := map[string]int{}
	for _, m := range seedMedia(t) {
		for _, p := range partsOf(m.Data) {
			if p.at < 0 || p.end < p.at || p.end > len(m.Data) || p.bytes > 0 && (p.size < p.at || p.size+p.bytes > p.end) {
				t.Fatalf("%s (%d bytes): part %+v", m.Name, len(m.Data), p)
			}
			if p.bytes > 0 {
				found[m.Format]++
			}
		}
	}
	for _, format := range []string{"mp4", "mov", "m4a", "mkv", "webm", "png", "jpg", "gif", "webp", "avif", "avi", "wav", "ogg", "opus", "flac"} {
		if found[format] < 3 {
			t.Errorf("%s: only %d parts with a size were found", format, found[format])
		}
	}
}

// tally counts how media ended.
type tally struct {
	mu      sync.Mutex
	byCode  map[string]map[codecs.Code]int
	slowest time.Duration
	slow    File
	wrong   []string
}

func (a *tally) add(f File, r result, err error, known map[codecs.Code]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	code := r.code()
	say := func(format string, args ...any) {
		if len(a.wrong) < 50 {
			a.wrong = append(a.wrong, fmt.Sprintf("file %d (%s, %s): ", f.N, f.Seed, strings.Join(f.Kinds, ", "))+fmt.Sprintf(format, args...))
		}
	}
	switch {
	case err != nil:
		say("it ended without a verdict: %v", err)
		return
	case r.Fault != nil && (!known[code] || family(code) == "transient" || r.Fault.Stage == "" || r.Fault.Detail == ""):
		say("%+v is no stable refusal", r.Fault)
	case r.Fault != nil && r.sink.samples > 0:
		say("it was refused, and %d samples stay", r.sink.samples)
	case r.Fault == nil && r.sink.samples != r.Samples:
		say("%d samples were counted, and %d came", r.Samples, r.sink.samples)
	case code == pipeline.CodeTimeout:
		say("its mill's time ended it, and not a limit: %v", r.Fault)
	case code == pipeline.CodeCrash, code == pipeline.CodeStall, code == pipeline.CodeOOM:
		say("note: %v", r.Fault)
	}
	if a.byCode[f.Format] == nil {
		a.byCode[f.Format] = map[codecs.Code]int{}
	}
	a.byCode[f.Format][code]++
	if r.took > a.slowest {
		a.slowest, a.slow = r.took, f
	}
}

// Malformed media cost their jobs and nothing else: each ends as samples or with a stable
// code, within its limits of time and memory, and this process lives.
func TestCorpus(t *testing.T) {
	corpus, err := NewCorpus(*seed, seedMedia(t))
	if err != nil {
		t.Fatal(err)
	}
	recipes := []*pipeline.Recipe{parse(t, everything), parse(t, usual)}
	const workers = 2
	limits := settings.Default().Mill.Limits
	pool, known, dir := newPool(t, workers, func(c *mill.Config) { c.Refusals, c.Wall = *refusals, wall }), stableCodes(t), t.TempDir()
	a := &tally{byCode: map[string]map[codecs.Code]int{}}
	numbers := make(chan uint64)
	start := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := range numbers {
				f := corpus.File(n)
				r, err := send(context.Background(), pool, dir, f.Data, recipes[n/uint64(len(corpus.media))%2])
				a.add(f, r, err, known)
			}
		})
	}
	for n := range uint64(*files) {
		numbers <- *first + n
		if n%1000 == 999 {
			t.Logf("%d files in %v", n+1, time.Since(start).Round(time.Second))
		}
	}
	close(numbers)
	wg.Wait()
	took := time.Since(start)
	pool.Close()
	a.report(t, took)
	if peak := peakOfChildren(t); peak > limits.Memory {
		t.Errorf("a mill held %d bytes; the limit is %d", peak, limits.Memory)
	} else {
		t.Logf("peak memory of a mill %d MiB of %d", peak>>20, limits.Memory>>20)
	}
}

// report prints the counts, and fails the test where something went wrong.
func (a *tally) report(t *testing.T, took time.Duration) {
	t.Helper()
	sum := map[codecs.Code]int{}
	var formats []string
	total := 0
	for f := range a.byCode {
		formats = append(formats, f)
	}
	slices.Sort(formats)
	for _, f := range formats {
		t.Logf("%-5s %s", f, line(a.byCode[f]))
		for c, n := range a.byCode[f] {
			sum[c] += n
			total += n
		}
	}
	t.Logf("all   %s", line(sum))
	t.Logf("%d files in %v, %.1f a second; slowest %v: file %d of %s (%s)", total, took.Round(time.Second), float64(total)/took.Seconds(),
		a.slowest.Round(time.Millisecond), a.slow.N, a.slow.Seed, strings.Join(a.slow.Kinds, ", "))
	for _, w := range a.wrong {
		if strings.Contains(w, "note: ") {
			t.Log(w)
		} else {
			t.Error(w)
		}
	}
}

func line(counts map[codecs.Code]int) string {
	var codes []codecs.Code
	total := 0
	for c, n := range counts {
		codes = append(codes, c)
		total += n
	}
	slices.Sort(codes)
	l := []string{fmt.Sprintf("%6d:", total)}
	for _, c := range codes {
		name := string(c)
		if name == "" {
			name = "samples"
		}
		l = append(l, fmt.Sprintf("%s %d", name, counts[c]))
	}
	return strings.Join(l, " ")
}
