package stream

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/codecs/packing"
	"github.com/millrace/millrace/pipeline"
)

// sequencer is one output's window of samples that wait to be packed into sequences.
// They lie in an unlinked temporary file: a window of clips is more than memory holds.
type sequencer struct {
	recipe *pipeline.Recipe
	output pipeline.Output
	shape  string // of its samples' arrays
	packer *packing.Packer[place]
	file   *os.File
	size   int64
}

// place is where a sample lies in the file.
type place struct {
	at, n int64
}

// collect adds a sample to its output's window, and packs that when it is full: of
// samples, or of as many bytes as one batch may have in shards.
func (b *batch) collect(dir string, key output, r *pipeline.Recipe, sm *pipeline.Sample) error {
	o := r.Outputs[key.index]
	n, shape, err := o.Pack.Length(sm)
	if err != nil {
		return err
	}
	w := b.windows[key]
	// Loaded anew while the batch was open, or of stills and clips by turns, whose arrays
	// do not fit one sequence.
	if w != nil && (w.recipe.Digest != r.Digest || w.shape != shape) {
		if err := b.sequence(dir, key); err != nil {
			return err
		}
		w = nil
	}
	if w == nil {
		if w, err = newSequencer(dir, r, o, shape); err != nil {
			return err
		}
		b.ages(o.ShardAge)
		b.windows[key] = w
	}
	p, err := w.store(o.Pack.Trim(sm))
	if err != nil {
		return err
	}
	packs, err := w.packer.Add(p, n)
	if err != nil {
		return err
	}
	if packs == nil && w.size >= maxShards*o.ShardBytes {
		packs = w.packer.Flush()
	}
	return b.join(dir, key, w, packs)
}

// sequenceAll packs what is left in the windows: a record names all samples of its
// offsets, so no window goes on behind it.
func (b *batch) sequenceAll(dir string) error {
	for _, key := range inOrder(b.windows) {
		if err := b.sequence(dir, key); err != nil {
			return err
		}
	}
	return nil
}

// sequence packs and closes one window.
func (b *batch) sequence(dir string, key output) error {
	w := b.windows[key]
	if err := b.join(dir, key, w, w.packer.Flush()); err != nil {
		return err
	}
	b.fill = b.fill.Plus(w.packer.Fill())
	delete(b.windows, key)
	return w.close()
}

// join writes packs as samples. Afterwards the window's file is empty.
func (b *batch) join(dir string, key output, w *sequencer, packs []packing.Pack[place]) error {
	for _, p := range packs {
		samples := make([]*pipeline.Sample, len(p.Items))
		for i, at := range p.Items {
			var err error
			if samples[i], err = w.load(at); err != nil {
				return err
			}
		}
		s, err := w.output.Pack.Join(key.dataset, w.recipe.Digest, samples, p.Lengths)
		if err != nil {
			return err
		}
		if err := b.append(dir, key, w.recipe, s, len(samples)); err != nil {
			return err
		}
	}
	if len(packs) > 0 {
		w.size = 0
		return w.file.Truncate(0)
	}
	return nil
}

func newSequencer(dir string, r *pipeline.Recipe, o pipeline.Output, shape string) (*sequencer, error) {
	p, err := packing.NewPacker[place](o.Pack.Settings())
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "window-*")
	if err != nil {
		return nil, fmt.Errorf("spooling samples to pack: %w", err)
	}
	os.Remove(f.Name()) // the name is not needed, and a crash leaves nothing
	return &sequencer{recipe: r, output: o, shape: shape, packer: p, file: f}, nil
}

func (w *sequencer) store(s *pipeline.Sample) (place, error) {
	parts, err := s.Encode()
	if err != nil {
		return place{}, err
	}
	p := place{at: w.size}
	for _, b := range parts {
		if _, err := w.file.WriteAt(b, w.size); err != nil {
			return place{}, fmt.Errorf("spooling samples to pack: %w", err)
		}
		w.size += int64(len(b))
	}
	p.n = w.size - p.at
	return p, nil
}

func (w *sequencer) load(p place) (*pipeline.Sample, error) {
	b := make([]byte, p.n)
	s := new(pipeline.Sample)
	_, err := w.file.ReadAt(b, p.at)
	if err == nil || errors.Is(err, io.EOF) {
		err = pipeline.ParseSample(b, s)
	}
	if err != nil {
		return nil, fmt.Errorf("reading samples that wait to be packed: %w", err)
	}
	return s, nil
}

func (w *sequencer) close() error { return w.file.Close() }
