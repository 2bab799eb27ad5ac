package stream

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
)

// item is a delivery on its way from taken to packed.
type item struct {
	*pipeline.Delivery
	parts []part
	done  chan struct{} // closed when every part has ended, or err is set
	err   error         // not the media's fault: the stream must stop
	held  int64         // bytes counted by the window
}

// part is one job of a delivery, and how it ended.
type part struct {
	job     *pipeline.Job
	files   []*os.File
	ranges  []mill.Ranges // of media that are not fetched; nil where there are none
	recipe  *pipeline.Recipe
	sources []pipeline.SourceID
	verdict pipeline.Verdict
	result  result
}

func (s *Stream) newItem(d *pipeline.Delivery) *item {
	it := &item{Delivery: d, done: make(chan struct{}), parts: make([]part, len(d.Parts))}
	for i := range d.Parts {
		p := &it.parts[i]
		p.job, p.files = &d.Parts[i].Job, d.Parts[i].Files
		p.result.dir, p.result.job = s.cfg.Dir, p.job
		p.verdict.Fault = faultOf(d.Parts[i].Fault)
	}
	return it
}

// work brings every part of an item to its end. It is the straight way of a job
// through the worker: recipe, fetch, mill.
func (s *Stream) work(ctx context.Context, it *item) {
	defer close(it.done)
	for i := range it.parts {
		p := &it.parts[i]
		if p.verdict.Fault != nil {
			continue
		}
		if err := s.workPart(ctx, p); err != nil {
			it.err = fmt.Errorf("job %q at offset %d: %w", p.job.ID, it.Offset, err)
			return
		}
		it.held += p.result.size
	}
	s.window.hold(it.held)
}

func (s *Stream) workPart(ctx context.Context, p *part) error {
	if _, yes := s.repeats(p.job); yes {
		return nil // packing says dup-of: it knows the order
	}
	if p.recipe = s.parts.Recipes(p.job.Dataset); p.recipe == nil {
		p.verdict.Fault = &pipeline.Fault{Code: string(pipeline.CodeMsgNoRecipe), Stage: string(codecs.StageTake),
			Detail: fmt.Sprintf("no recipe is loaded for dataset %q", p.job.Dataset)}
		return nil
	}
	p.result.recipe = p.recipe
	defer p.closeFiles()
	v, err := s.mill(ctx, p, p.recipe.Sparse())
	if errors.Is(err, mill.ErrWhole) {
		if err = p.result.Reset(); err == nil {
			v, err = s.mill(ctx, p, false)
		}
	}
	p.verdict, p.result.keys = v, nil
	if f := faultOf(err); f != nil { // a sample that the result refused
		p.verdict = pipeline.Verdict{Fault: f}
		return p.result.Reset()
	}
	return err
}

// mill fetches a job's media, or with sparse perhaps only opens them, and has a mill make
// samples of them. An error may be the medium's fault.
func (s *Stream) mill(ctx context.Context, p *part, sparse bool) (pipeline.Verdict, error) {
	if err := s.fetch(ctx, p, sparse); err != nil {
		return pipeline.Verdict{}, err
	}
	return s.parts.Mills.Do(ctx, &mill.Assignment{Job: bare(p.job), Recipe: p.recipe, Sources: p.sources, Files: p.files, Ranges: p.ranges}, sampled{&p.result, s.parts.Observe})
}

// sampled tells the observer of samples as they come out of a mill.
type sampled struct {
	*result
	observe Observer
}

func (s sampled) Add(sm *pipeline.Sample) error {
	s.observe.Sampled()
	return s.result.Add(sm)
}

// fetch brings the job's media to local files, those that are not there yet. With sparse
// it may leave some where they are.
func (s *Stream) fetch(ctx context.Context, p *part, sparse bool) error {
	files, sources := make([]*os.File, len(p.job.Media)), make([]pipeline.SourceID, len(p.job.Media))
	copy(files, p.files)
	copy(sources, p.sources)
	p.closeRanges()
	p.files, p.sources = files, sources
	for i, m := range p.job.Media {
		if files[i] != nil && sources[i] != (pipeline.SourceID{}) {
			continue // fetched before
		}
		m.Honour, m.Dataset, m.Sparse = p.recipe.Source.Honour, p.job.Dataset, sparse
		b, id, err := s.parts.Fetch(ctx, m, files[i])
		p.sources[i] = id // what failed is said too
		if err != nil {
			if e := codecs.AsError(err); e != nil && len(files) > 1 {
				named := *e
				named.Detail = fmt.Sprintf("medium %d of %d: %s", i+1, len(files), e.Detail)
				return &named
			}
			return err
		}
		switch b := b.(type) {
		case *os.File:
			files[i] = b
		case mill.Ranges:
			if p.ranges == nil {
				p.ranges = make([]mill.Ranges, len(files))
			}
			p.ranges[i] = b
		}
	}
	return nil
}

func (p *part) closeRanges() {
	for _, r := range p.ranges {
		if r != nil {
			r.Close()
		}
	}
	p.ranges = nil
}

func (p *part) closeFiles() {
	p.closeRanges()
	for _, f := range p.files {
		if f != nil {
			f.Close()
		}
	}
	p.files = nil
}

// bare is the job as a mill may know it: its media come as files, and their URIs, which
// may be signed, stay here. What stands in a sample's description is in the sources.
func bare(j *pipeline.Job) *pipeline.Job {
	b := *j
	b.Media = make([]pipeline.Media, len(j.Media))
	for i, m := range j.Media {
		b.Media[i] = pipeline.Media{Type: m.Type, Role: m.Role}
	}
	return &b
}

// faultOf is err as a fault, if it is the medium's or the message's; nil for
// everything else, above all for an ended context.
func faultOf(err error) *pipeline.Fault {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	if e := codecs.AsError(err); e != nil {
		return pipeline.FaultOf(e)
	}
	var f *pipeline.Fault
	if errors.As(err, &f) {
		return f
	}
	return nil
}

// close frees what an item holds; for items that are given up.
func (it *item) close() {
	for i := range it.parts {
		it.parts[i].closeFiles()
		it.parts[i].result.close()
	}
}
