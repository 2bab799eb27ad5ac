package hostile

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/store"
)

const (
	// between is how many malformed media stand between two good ones.
	between = 20
	// partitions of the topic.
	partitions = 2
	// quiet is how long the ledger may stand still before the worker is taken to hang.
	quiet = 5 * time.Minute
)

// sent is a message, and what is known of its medium.
type sent struct {
	id, dataset string
	what        string // for people
	format      string // of the medium that it was made from
	sha256      string
	bytes       int64
	good        []digest // of each sample of a good medium, in order; nil for a malformed one
}

// goodNames are media that give samples. Not every recipe takes each.
var goodNames = []string{"clip16_160x120.mp4", "exif6_64x48.jpg", "vp9.webm", "rgba_128x96.png", "h264_vfr.mp4", "g_disposal2.gif", "w_lossy.webp",
	"stereo.opus", "a_420.avif", "hevc_10bit.mkv", "mono16.wav", "progressive420_317x239.jpg", "mjpeg.mov", "stereo.m4a"}

// good is a medium and what an undisturbed mill makes of it by a recipe.
type good struct {
	Seed
	dataset string
	samples []digest
}

// goods runs each good medium by each recipe, in mills that see nothing else.
func goods(t *testing.T, media []Seed, recipes []*pipeline.Recipe) (all []good) {
	t.Helper()
	pool, dir := newPool(t, 1, nil), t.TempDir()
	defer pool.Close()
	for _, r := range recipes {
		n := 0
		for _, name := range goodNames {
			i := slices.IndexFunc(media, func(s Seed) bool { return s.Name == name })
			if i < 0 {
				t.Fatalf("there is no %s among the media", name)
			}
			f, err := spool(dir, media[i].Data)
			if err != nil {
				t.Fatal(err)
			}
			var d contents
			v, err := pool.Do(t.Context(), assign(f, r), &d)
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			if v.Fault == nil && len(d.list) > 0 {
				all, n = append(all, good{media[i], r.Dataset, d.list}), n+1
			}
		}
		if n < 10 {
			t.Fatalf("only %d good media give samples by the recipe of %q", n, r.Dataset)
		}
	}
	return all
}

// rig is a topic, a store, and the program.
type rig struct {
	t        *testing.T
	work     string
	program  string
	client   *queue.Client
	cfg      queue.Config
	cluster  string
	store    store.Store
	messages [partitions]map[int64]sent // by offset
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, work: t.TempDir()}
	r.program = filepath.Join(r.work, "millrace")
	if out, err := exec.Command("go", "build", "-o", r.program, "github.com/millrace/millrace/services/millrace").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	r.cfg = queue.Default()
	r.cfg.Brokers, r.cfg.Topic = []string{kafkatest.Start(t).Addr()}, kafkatest.Topic(t)
	var err error
	if r.client, err = queue.Open(r.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.client.Close() })
	if err := r.client.EnsureTopic(t.Context(), partitions, map[string]string{"max.message.bytes": fmt.Sprint(12 << 20)}); err != nil {
		t.Fatal(err)
	}
	if r.cluster, err = r.client.ClusterID(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.store, err = store.Open(t.Context(), filepath.Join(r.work, "store"), store.Config{}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"recipes", "scratch"} {
		if err := os.Mkdir(filepath.Join(r.work, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, text := range []string{everything, usual} {
		if err := os.WriteFile(filepath.Join(r.work, "recipes", fmt.Sprintf("%d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range r.messages {
		r.messages[i] = map[int64]sent{}
	}
	return r
}

// produce sends the corpus, a good medium after every so many malformed ones, by turns as
// bytes with headers and as a job in JSON with base64.
func (r *rig) produce(c *Corpus, good []good, recipes []*pipeline.Recipe) {
	r.t.Helper()
	producer := r.client.Producer(4)
	var batch []queue.Message
	var about []sent
	bytes := 0
	flush := func() {
		places, err := producer.Send(r.t.Context(), batch...)
		if err != nil {
			r.t.Fatal(err)
		}
		for i, p := range places {
			r.messages[p.Partition][p.Offset] = about[i]
		}
		batch, about, bytes = nil, nil, 0
	}
	add := func(s sent, data []byte, bare bool) {
		s.sha256, s.bytes = fmt.Sprintf("%x", sha256.Sum256(data)), int64(len(data))
		m := envelope(s, data)
		if !bare {
			m = document(s, data)
		}
		batch, about, bytes = append(batch, m), append(about, s), bytes+len(m.Value)
		if len(batch) == 200 || bytes > 4<<20 {
			flush()
		}
	}
	n := 0
	for i := range uint64(*files) {
		f := c.File(*first + i)
		round := f.N / uint64(len(c.media))
		add(sent{id: fmt.Sprintf("file-%d", f.N), dataset: recipes[round%2].Dataset, format: f.Format,
			what: fmt.Sprintf("file %d (%s, %s)", f.N, f.Seed, strings.Join(f.Kinds, ", "))}, f.Data, (round+f.N)%2 == 0)
		if i%between == between-1 {
			g := good[n%len(good)]
			add(sent{id: fmt.Sprintf("good-%d", n), dataset: g.dataset, format: g.Format, what: "good " + g.Name, good: g.samples}, g.Data, n%2 == 0)
			n++
		}
	}
	if len(batch) > 0 {
		flush()
	}
}

// mediaType is what a producer says of a format, which is not to be trusted.
func mediaType(format string) string {
	switch format {
	case "png", "jpg", "gif", "webp", "avif", "tif", "bmp":
		return "image/" + format
	case "wav", "mp3", "ogg", "opus", "flac", "m4a", "aac":
		return "audio/" + format
	}
	return "video/" + format
}

// envelope is the medium itself, with the rest in headers.
func envelope(s sent, data []byte) queue.Message {
	m := queue.Message{Key: []byte(s.id), Value: data}
	for _, h := range [][2]string{{"content-type", mediaType(s.format)}, {"dataset", s.dataset}, {"id", s.id}} {
		m.Headers = append(m.Headers, queue.Header{Key: h[0], Value: []byte(h[1])})
	}
	return m
}

// document is a job in JSON with the medium in it.
func document(s sent, data []byte) queue.Message {
	return queue.Message{Key: []byte(s.id), Value: fmt.Appendf(nil, `{"id": %q, "dataset": %q, "media": [{"data": %q, "type": %q}]}`,
		s.id, s.dataset, base64.StdEncoding.EncodeToString(data), mediaType(s.format))}
}

func (r *rig) count(which func(sent) bool) (n int) {
	for _, m := range r.messages {
		for _, s := range m {
			if which(s) {
				n++
			}
		}
	}
	return n
}

func (r *rig) stream(partition int) ledger.Stream {
	return ledger.KafkaStream(r.cluster, r.cfg.Topic, int32(partition)) //nolint:gosec // a handful
}

// start runs the worker, and begins to watch it.
func (r *rig) start() *worker {
	r.t.Helper()
	w := &worker{t: r.t, log: filepath.Join(r.work, "worker.log")}
	log, err := os.Create(w.log)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close() // the process has its own
	w.cmd = exec.Command(r.program, "worker")
	w.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + filepath.Join(r.work, "scratch"), "MILLRACE_SCRATCH=" + filepath.Join(r.work, "scratch"),
		"MILLRACE_QUEUE_BROKERS=" + r.cfg.Brokers[0], "MILLRACE_QUEUE_TOPIC=" + r.cfg.Topic, "MILLRACE_QUEUE_GROUP=" + r.cfg.Topic,
		"MILLRACE_STORE_URL=" + filepath.Join(r.work, "store"), "MILLRACE_RECIPES=" + filepath.Join(r.work, "recipes"),
		fmt.Sprintf("MILLRACE_MILL_MAX_REFUSALS=%d", *refusals), fmt.Sprintf("MILLRACE_MILL_MAX_WALL=%v", wall),
		"MILLRACE_WINDOW_COMMIT_WHEN_IDLE=300ms",
	}
	w.cmd.Stdout, w.cmd.Stderr = log, log
	w.begin()
	return w
}

// settle waits until every offset is in the ledger.
func (r *rig) settle(w *worker) {
	r.t.Helper()
	began, moved, done, told := time.Now(), time.Now(), int64(0), int64(0)
	for total := int64(r.count(func(sent) bool { return true })); done < total; time.Sleep(500 * time.Millisecond) {
		if w.ended() {
			r.t.Fatalf("the worker ended with %v; it said:\n%s", w.cmd.ProcessState, w.tail())
		}
		was := done
		done = 0
		for p := range partitions {
			c, err := ledger.Open(r.t.Context(), store.Plain{Store: r.store}, r.stream(p), ledger.Options{})
			if err != nil {
				r.t.Fatal(err)
			}
			if !c.Empty() {
				done += c.Next()
			}
		}
		if done > was {
			moved = time.Now()
		}
		if time.Since(moved) > quiet {
			r.t.Fatalf("nothing was committed for %v, with %d of %d done; the worker said:\n%s", quiet, done, total, w.tail())
		}
		if done >= told+1000 {
			told = done
			r.t.Logf("%d of %d messages in %v", done, total, time.Since(began).Round(time.Second))
		}
	}
}

// outcomes reads how each message ended.
func (r *rig) outcomes() *tally {
	r.t.Helper()
	a := &tally{known: stableCodes(r.t), byCode: map[string]map[codecs.Code]int{}}
	for p, messages := range r.messages {
		seen := map[int64]bool{}
		for item, err := range ledger.Read(r.t.Context(), store.Plain{Store: r.store}, r.stream(p), 0) {
			if err != nil {
				r.t.Fatal(err)
			}
			list, err := ledger.Outcomes(r.t.Context(), store.Plain{Store: r.store}, item.Record)
			if err != nil {
				r.t.Fatal(err)
			}
			for _, o := range list {
				s, sent := messages[o.Offset]
				if !sent || seen[o.Offset] {
					r.t.Errorf("partition %d, offset %d: %+v is of nothing that was sent, or a second end", p, o.Offset, o)
					continue
				}
				seen[o.Offset] = true
				a.add(s, o)
			}
		}
		if len(seen) != len(messages) {
			r.t.Errorf("partition %d: %d of %d messages have an end", p, len(seen), len(messages))
		}
	}
	return a
}

// audit has the independent checker look at all that was written: the chain, one fate for
// each offset, the shards; and compares each sample of a good medium with what an
// undisturbed mill makes of it.
func (r *rig) audit() {
	r.t.Helper()
	c := &audit.Campaign{Complete: true}
	good := map[string][]digest{} // what is to come of each good medium, by its message's id
	for p, messages := range r.messages {
		s := audit.Stream{Cluster: r.cluster, Topic: r.cfg.Topic, Partition: int32(p)} //nolint:gosec // a handful
		for offset, m := range messages {
			want := audit.Message{Offset: offset, ID: m.id, Dataset: m.dataset, Want: audit.Any}
			if m.good != nil {
				want.Want, want.Samples = audit.Samples, int64(len(m.good))
				good[m.id] = m.good
			}
			s.Messages = append(s.Messages, want)
		}
		c.Streams = append(c.Streams, s)
	}
	got := map[string][]digest{}
	report, err := audit.Run(r.t.Context(), read{r.store}, c, audit.Options{Content: func(s *audit.Sample) error {
		if _, ok := good[s.ID]; ok {
			got[s.ID] = append(got[s.ID], contentOf(s.Fields, func(f audit.Field) (string, []byte) { return f.Name, f.Data }))
		}
		return nil
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("audit: %s", report.Summary())
	for _, v := range report.Violations {
		r.t.Error(v)
	}
	if !report.Sound() || report.Fences != partitions || report.Orphans > 0 {
		r.t.Errorf("the audit is not sound, or the worker began more than once: %s", report.Summary())
	}
	equal, samples := 0, 0
	for id, want := range good {
		if !slices.Equal(got[id], want) {
			r.t.Errorf("%s: its %d samples are not the %d that an undisturbed mill makes", id, len(got[id]), len(want))
			continue
		}
		equal, samples = equal+1, samples+len(want)
	}
	r.t.Logf("%d of %d good media gave exactly their samples, %d in all, byte for byte", equal, len(good), samples)
	marks, err := read{r.store}.List(r.t.Context(), "_attempt/")
	if err != nil || len(marks) > 0 {
		r.t.Errorf("a worker died over a message: %q, %v", marks, err)
	}
}

// read is the store as an audit reads it.
type read struct{ store.Store }

// List implements audit.Store.
func (r read) List(ctx context.Context, prefix string) (keys []string, err error) {
	for info, err := range r.Store.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		keys = append(keys, info.Key)
	}
	return keys, nil
}

// Open implements audit.Store.
func (r read) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	rc, _, err := r.Get(ctx, key, 0, -1)
	return rc, err
}
