package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// rewriter copies samples of shards into new ones, and uploads those. Nothing is decoded:
// a sample's fields are the same bytes before and after, in WebDataset its whole members
// are.
type rewriter struct {
	s      store.Store
	dir    string // of spool files: one shard that is read, and those that are written
	prefix string // of the new shards' names
	keep   filter
	fewer  bool               // upload nothing unless the new shards are fewer
	read   func(ledger.Shard) // hears of each shard that was copied; may be nil
}

// filter gives what is to be written of a sample: itself, another, or nil for nothing.
type filter func(*pipeline.Sample) (*pipeline.Sample, error)

// everything drops nothing.
func everything(s *pipeline.Sample) (*pipeline.Sample, error) { return s, nil }

// mostSample bounds the one sample that is in memory.
const mostSample = 4 << 30

// rewrite writes what is kept of some shards of one dataset, recipe, format and
// compression, in their order: into one new shard, or more where the format wants unlike
// samples, or two of one key, in different files. There are none if nothing is kept.
func (w *rewriter) rewrite(ctx context.Context, sources []ledger.Shard, o shard.Options) (written []ledger.Shard, err error) {
	t := &targets{w: w, like: sources[0], o: o, open: map[string]*target{}}
	defer t.abort()
	for _, sh := range sources {
		if err := w.copy(ctx, sh, t); err != nil {
			return nil, fmt.Errorf("copy the samples of %s: %w", sh.Key, err)
		}
	}
	if err := t.sealAll(); err != nil {
		return nil, err
	}
	if w.fewer && len(t.done) >= len(sources) {
		return nil, nil
	}
	return t.upload(ctx)
}

// copy adds a shard's samples to the targets.
func (w *rewriter) copy(ctx context.Context, sh ledger.Shard, t *targets) error {
	f, err := spoolShard(ctx, w.s, w.dir, sh)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.copyFile(ctx, sh, f, t); err != nil {
		return err
	}
	if w.read != nil {
		w.read(sh)
	}
	return nil
}

func (w *rewriter) copyFile(ctx context.Context, sh ledger.Shard, f io.ReaderAt, t *targets) error {
	r, err := shard.Open(sh.Format, f, sh.Bytes, shard.DefaultLimits())
	if err != nil {
		return err
	}
	var sample pipeline.Sample
	lim := shard.DefaultLimits()
	lim.MaxSampleBytes = mostSample
	for n := int64(0); ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, err := r.Next()
		if errors.Is(err, io.EOF) {
			if n != sh.Samples {
				return fmt.Errorf("it holds %d samples; its record says %d", n, sh.Samples)
			}
			return nil
		}
		if err == nil {
			err = shard.ReadSample(r, x, &sample, lim)
		}
		if err != nil {
			return err
		}
		kept, err := w.keep(&sample)
		if err != nil {
			return err
		}
		if kept == nil {
			continue
		}
		if err := t.add(kept); err != nil {
			return err
		}
	}
}

// spoolShard brings a shard into a file without a name, and holds it against what its
// record says: what is damaged must not be passed on under a new digest.
func spoolShard(ctx context.Context, s store.Store, dir string, sh ledger.Shard) (*os.File, error) {
	f, err := os.CreateTemp(dir, "rewrite-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // the name is not needed, and a crash leaves nothing
	if err := download(ctx, s, sh, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func download(ctx context.Context, s store.Store, sh ledger.Shard, w io.Writer) error {
	rc, _, err := s.Get(ctx, sh.Key, 0, -1)
	if err != nil {
		return err
	}
	defer rc.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), rc)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != sh.Bytes || got != sh.SHA256 {
		return fmt.Errorf("it has %d bytes of SHA-256 %s; its record says %d of %s: it is damaged (verify --deep finds all that are)", n, got, sh.Bytes, sh.SHA256)
	}
	return nil
}

// targets are the shards that are being written, by the shape of their samples.
type targets struct {
	w    *rewriter
	like ledger.Shard
	o    shard.Options
	open map[string]*target
	done []sealedTarget
}

type target struct {
	*shard.Writer
	keys    map[string]bool
	members int64
}

type sealedTarget struct {
	*shard.Sealed
	members int64
}

func (t *targets) add(s *pipeline.Sample) error {
	shape, err := shard.Shape(t.like.Format, s)
	if err != nil {
		return err
	}
	members, err := t.count(s)
	if err != nil {
		return err
	}
	for {
		w := t.open[shape]
		if w != nil && w.keys[s.Key] { // ingested twice, outside of the window for repeats
			if err := t.seal(shape); err != nil {
				return err
			}
			w = nil
		}
		if w == nil {
			if w, err = t.create(shape); err != nil {
				return err
			}
		}
		err := w.Add(s)
		if errors.Is(err, shard.ErrFull) && w.Samples() > 0 {
			if err := t.seal(shape); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		w.keys[s.Key] = true
		w.members += members
		return nil
	}
}

// count is how many samples of jobs a sequence holds; 0 for what is no sequence.
func (t *targets) count(s *pipeline.Sample) (int64, error) {
	if t.like.Members == 0 {
		return 0, nil
	}
	var seq struct {
		Members []json.RawMessage `json:"members"`
	}
	if err := json.Unmarshal(fieldOf(s, "json"), &seq); err != nil {
		return 0, fmt.Errorf("the description of sequence %s: %w", s.Key, err)
	}
	return int64(len(seq.Members)), nil
}

func fieldOf(s *pipeline.Sample, name string) []byte {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func (t *targets) create(shape string) (*target, error) {
	o := t.o
	o.Name = ulid.Make().String()
	w, err := shard.Create(t.w.dir, t.like.Format, o)
	if err != nil {
		return nil, err
	}
	t.open[shape] = &target{Writer: w, keys: map[string]bool{}}
	return t.open[shape], nil
}

func (t *targets) seal(shape string) error {
	w := t.open[shape]
	s, err := w.Seal()
	if err != nil {
		return err
	}
	delete(t.open, shape)
	t.done = append(t.done, sealedTarget{s, w.members})
	return nil
}

func (t *targets) sealAll() error {
	for _, shape := range slices.Sorted(maps.Keys(t.open)) {
		if err := t.seal(shape); err != nil {
			return err
		}
	}
	return nil
}

// upload uploads what was sealed.
func (t *targets) upload(ctx context.Context) (written []ledger.Shard, err error) {
	for _, d := range t.done {
		sh, err := t.w.upload(ctx, d, t.like)
		if err != nil {
			return nil, fmt.Errorf("upload shard %s: %w", d.Name, err)
		}
		written = append(written, sh)
	}
	return written, nil
}

func (t *targets) abort() {
	for _, w := range t.open {
		w.Abort()
	}
	for _, s := range t.done {
		s.Close()
	}
}

// upload puts a shard and what loaders expect beside it.
func (w *rewriter) upload(ctx context.Context, d sealedTarget, like ledger.Shard) (ledger.Shard, error) {
	key := w.prefix + d.Name
	for _, c := range d.Sidecars() {
		if err := store.Upload(ctx, w.s, key+c.Suffix, store.BytesBody(c.Data)); err != nil {
			return ledger.Shard{}, err
		}
	}
	if err := store.Upload(ctx, w.s, key, store.Body{Data: d, Size: d.Bytes, SHA256: d.SHA256, CRC32C: d.CRC32C}); err != nil {
		return ledger.Shard{}, err
	}
	return ledger.Shard{
		Key: key, Dataset: like.Dataset, Recipe: like.Recipe, Format: like.Format, Bytes: d.Bytes, SHA256: d.SHA256Hex(),
		CRC32C: fmt.Sprintf("%08x", d.CRC32C), Samples: int64(d.Samples()), Members: d.members,
	}, nil
}

// extOf is the ending of a shard's name, as in ".mds.zstd".
func extOf(key string) string {
	name := key[strings.LastIndexByte(key, '/')+1:]
	if i := strings.IndexByte(name, '.'); i >= 0 {
		return name[i:]
	}
	return ""
}
