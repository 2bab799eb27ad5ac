package hostile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
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

// Malformed media cost their jobs and nothing else. They go through a real Kafka and the
// real program, in the forms that people use, with good media among them: each ends once,
// as samples or with a stable code, within its mill's time and memory; each good one gives
// exactly the samples that it gives alone; and the worker lives through all of it.
func TestCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka; not with -short")
	}
	media := seedMedia(t)
	corpus, err := NewCorpus(*seed, media)
	if err != nil {
		t.Fatal(err)
	}
	recipes := []*pipeline.Recipe{parse(t, everything), parse(t, usual)}
	rig := newRig(t)
	start := time.Now()
	rig.produce(corpus, goods(t, media, recipes), recipes)
	t.Logf("%d messages, %d of them good, sent in %v", rig.count(func(sent) bool { return true }), rig.count(func(s sent) bool { return s.good != nil }), time.Since(start).Round(time.Second))
	start = time.Now()
	w := rig.start()
	rig.settle(w)
	took := time.Since(start)
	w.stop()
	rig.outcomes().report(t, took)
	rig.audit()
	w.report()
}

// tally counts how malformed media ended.
type tally struct {
	known  map[codecs.Code]bool
	byCode map[string]map[codecs.Code]int // by format
	wrong  []string
	notes  []string
}

// add judges the end of a message.
func (a *tally) add(s sent, o ledger.Outcome) {
	code := codecs.Code(o.Code)
	say := func(format string, args ...any) {
		a.wrong = append(a.wrong, s.what+": "+fmt.Sprintf(format, args...))
	}
	switch o.Status {
	case ledger.OK:
		if o.Samples < 1 || code != "" {
			say("it ended well with %d samples and the code %q", o.Samples, code)
		}
	case ledger.Quarantined:
		if !a.known[code] || family(code) == "transient" || !slices.Contains(stages, codecs.Stage(o.Stage)) || o.Detail == "" {
			say("%+v is no stable refusal", o)
		}
		if o.Samples != 0 || s.good != nil {
			say("%+v: it has samples, or is to have them", o)
		}
	default:
		say("it ended as %s", o.Status)
	}
	if len(o.Sources) != 1 || o.Sources[0].SHA256 != s.sha256 || o.Sources[0].Bytes != s.bytes {
		say("it was sent with %d bytes of SHA-256 %s; its sources are %+v", s.bytes, s.sha256, o.Sources)
	}
	switch code {
	case pipeline.CodeTimeout:
		say("its mill's time ended it, and not a limit: %s", o.Detail)
	case pipeline.CodePoison:
		say("the worker died of it: %s", o.Detail)
	case pipeline.CodeCrash, pipeline.CodeStall, pipeline.CodeOOM:
		a.notes = append(a.notes, fmt.Sprintf("%s: %s, %s", s.what, code, o.Detail))
	}
	if s.good == nil {
		if a.byCode[s.format] == nil {
			a.byCode[s.format] = map[codecs.Code]int{}
		}
		a.byCode[s.format][code]++
	}
}

// stages are those at which a medium may be refused.
var stages = []codecs.Stage{codecs.StageTake, codecs.StageFetch, codecs.StageProbe, codecs.StageDecode, codecs.StagePick, codecs.StageScreen, codecs.StagePatchify, codecs.StagePack}

// report prints the counts, and fails the test where something went wrong.
func (a *tally) report(t *testing.T, took time.Duration) {
	t.Helper()
	sum, total := map[codecs.Code]int{}, 0
	for _, f := range slices.Sorted(maps.Keys(a.byCode)) {
		t.Logf("%-5s %s", f, line(a.byCode[f]))
		for c, n := range a.byCode[f] {
			sum[c] += n
			total += n
		}
	}
	t.Logf("all   %s", line(sum))
	t.Logf("%d malformed files in %v, %.1f a second; %d with an end that is not stable", total, took.Round(time.Second), float64(total)/took.Seconds(), len(a.wrong))
	for _, n := range a.notes {
		t.Log("note: " + n)
	}
	for _, w := range a.wrong[:min(len(a.wrong), 50)] {
		t.Error(w)
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
