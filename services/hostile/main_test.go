package hostile

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/services/settings"
)

var (
	files    = flag.Int("files", 150, "how many malformed files to make")
	seed     = flag.Uint64("seed", 1, "what the malformed files follow from")
	first    = flag.Uint64("first", 0, "number of the first malformed file")
	refusals = flag.Int("refusals", 1, "how many files a mill may refuse before it is replaced, as mill.max_refusals says")
)

// TestMain makes the test binary its own mill, with every decoder of the real one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "mill" {
		conn, err := mill.Inherited()
		if err == nil {
			err = mill.Serve(conn, settings.Config{Version: "test"}.NewLine)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// newPool is the pool of a worker, confined and with its limits unless change says
// otherwise.
func newPool(t testing.TB, count int, change func(*mill.Config)) *mill.Pool {
	t.Helper()
	cfg := settings.Default().Mill.Config
	cfg.Count = count
	cfg.Argv, cfg.Env = []string{"/proc/self/exe", "mill"}, []string{"MALLOC_ARENA_MAX=2", "GOGC=50"}
	if change != nil {
		change(&cfg)
	}
	p, err := mill.NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// everything takes all that can be taken: every kind, every frame, the sound, and what is
// off by default.
const everything = `
dataset: hostile
take: [image, video, audio]
video: {pick: all, containers: [avi, mpegts, flv], interlaced: deinterlace, hdr: tonemap}
image: {animation: all, containers: [tiff, bmp]}
audio: {rate: 16_000, mel: 80, keep: flac}
keep: jpeg
`

// usual is what most people have.
const usual = `
dataset: usual
video: {pick: {fps: 2}, truncated: keep}
image: {truncated: keep}
tokens: siglip2-base-patch16-naflex
keep: {frame: jpeg, max_side: 512}
`

func parse(t testing.TB, text string) *pipeline.Recipe {
	t.Helper()
	r, err := recipe.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// result is how a medium ended.
type result struct {
	pipeline.Verdict
	took time.Duration
	sink counter
}

func (r result) code() codecs.Code {
	if r.Fault == nil {
		return ""
	}
	return codecs.Code(r.Fault.Code)
}

// runner is what runs jobs: a pool, or this process.
type runner interface {
	Do(context.Context, *mill.Assignment, mill.Sink) (pipeline.Verdict, error)
}

// send puts one medium through a mill. An error is never a medium's doing.
func send(ctx context.Context, p runner, dir string, data []byte, r *pipeline.Recipe) (result, error) {
	f, err := spool(dir, data)
	if err != nil {
		return result{}, err
	}
	defer f.Close()
	var res result
	start := time.Now()
	res.Verdict, err = p.Do(ctx, assign(f, r), &res.sink)
	res.took = time.Since(start)
	return res, err
}

// spool is a file without a name that holds data.
func spool(dir string, data []byte) (*os.File, error) {
	f, err := os.CreateTemp(dir, "medium")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func assign(f *os.File, r *pipeline.Recipe) *mill.Assignment {
	return &mill.Assignment{
		Job:    &pipeline.Job{ID: "j", Dataset: r.Dataset, Media: []pipeline.Media{{URI: "test:"}}},
		Recipe: r, Sources: []pipeline.SourceID{{URI: "test:"}}, Files: []*os.File{f},
	}
}

// counter is a sink that only counts.
type counter struct {
	samples int64
	bytes   int64
}

func (c *counter) Add(s *pipeline.Sample) error {
	c.samples++
	c.bytes += s.Bytes()
	return nil
}

func (c *counter) Reset() error {
	*c = counter{}
	return nil
}

// stableCodes are those that the words of the line know, by their source.
func stableCodes(t testing.TB) map[codecs.Code]bool {
	t.Helper()
	known := map[codecs.Code]bool{}
	for _, name := range []string{"../../codecs/errors.go", "../../pipeline/codes.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`codecs\.Code += "([a-z.-]+)"|Code += "([a-z.-]+)"`).FindAllStringSubmatch(string(b), -1) {
			known[codecs.Code(m[1]+m[2])] = true
		}
	}
	if len(known) < 40 {
		t.Fatalf("only %d codes were found", len(known))
	}
	return known
}

func testdata(parts ...string) string {
	return filepath.Join("../../testdata", filepath.Join(parts...))
}

// peakOfChildren is the most memory that one ended child had in RAM, in bytes. What the
// parent held when it started one counts as that one's.
func peakOfChildren(t testing.TB) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return u.Maxrss << 10
}

func family(code codecs.Code) string {
	f, _, _ := strings.Cut(string(code), ".")
	return f
}
