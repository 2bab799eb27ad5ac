package mill

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/pipeline"
)

// InProcess runs jobs in this process, without isolation: for debugging, and to
// measure what isolation costs. One bad file can take the process with it.
type InProcess struct {
	newLine NewLine
	slots   chan *kept
}

type kept struct {
	line   *pipeline.Line
	digest string
}

// NewInProcess runs up to count jobs at a time.
func NewInProcess(count int, newLine NewLine) *InProcess {
	p := &InProcess{newLine: newLine, slots: make(chan *kept, count)}
	for range count {
		p.slots <- &kept{}
	}
	return p
}

// Do runs one job, as [Pool.Do] does.
func (p *InProcess) Do(ctx context.Context, a *Assignment, sink Sink) (pipeline.Verdict, error) {
	var k *kept
	select {
	case k = <-p.slots:
	case <-ctx.Done():
		return pipeline.Verdict{}, ctx.Err()
	}
	defer func() { p.slots <- k }()
	if k.line == nil || k.digest != a.Recipe.Digest {
		line, err := p.newLine(a.Recipe)
		if err != nil {
			return pipeline.Verdict{}, err
		}
		k.line, k.digest = line, a.Recipe.Digest
	}
	var failed error
	media := make([]pipeline.Medium, len(a.Sources))
	for i := range media {
		var src *source
		if len(a.Ranges) > 0 && a.Ranges[i] != nil {
			src = &source{ReaderAt: first{a.Ranges[i], &failed}, size: a.Ranges[i].Size(), sparse: true, signs: new(signs)}
		} else {
			var err error
			if src, err = fileSource(a.Files[i], new(signs)); err != nil {
				return pipeline.Verdict{}, fmt.Errorf("medium %d: %w", i, err)
			}
		}
		media[i] = a.medium(i, src)
	}
	v, err := k.line.Run(ctx, a.Job, media, sink.Add)
	if failed != nil {
		v, err = verdictOf(failed)
	}
	if err == nil && v.Fault != nil {
		err = sink.Reset()
	}
	return v, err
}

// Close does nothing: there is nothing to end.
func (p *InProcess) Close() {}
