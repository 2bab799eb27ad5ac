package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/mill"
)

// mills give samples that follow from a job's id, after a while.
type mills struct {
	p    *process
	busy chan struct{} // as many places as there are mills
}

// Do implements stream.Mills.
func (m mills) Do(ctx context.Context, a *mill.Assignment, sink mill.Sink) (pipeline.Verdict, error) {
	select {
	case m.busy <- struct{}{}:
	case <-ctx.Done():
		return pipeline.Verdict{}, ctx.Err()
	case <-m.p.dead:
		return pipeline.Verdict{}, errDead
	}
	defer func() { <-m.busy }()
	w, job := m.p.world, a.Job.Dataset+"/"+a.Job.ID
	d := w.dice(m.p.name, "mill", job)
	if err := m.p.enter(ctx, d); err != nil {
		return pipeline.Verdict{}, err
	}
	takes := d.lasting(time.Millisecond, 300*time.Millisecond)
	fails := false
	switch {
	case w.isCalm():
	case d.hit(0.04):
		w.count("mill-slow")
		takes = d.lasting(time.Second, 25*time.Second)
	case d.hit(0.01):
		w.count("mill-broke")
		fails = true
	}
	if err := m.p.wait(ctx, takes, d); err != nil {
		return pipeline.Verdict{}, err
	}
	w.mu.Lock()
	w.trace.add(m.p.name, "mill=", job, "")
	w.mu.Unlock()
	if fails {
		return pipeline.Verdict{}, errors.New("the mill's pipe broke")
	}
	if err := sink.Reset(); err != nil {
		return pipeline.Verdict{}, err
	}
	e := w.seed.expect(a.Job.Dataset, a.Job.ID)
	if e.code != "" {
		return pipeline.Verdict{Fault: &pipeline.Fault{Code: e.code, Stage: string(codecs.StageDecode), Detail: "on purpose"}}, nil
	}
	for i := range e.samples {
		s := &pipeline.Sample{Key: keyOf(a.Job.Dataset, a.Job.ID, i)}
		s.Fields = []pipeline.Field{
			{Name: "json", Data: fmt.Appendf(nil, `{"key":%q,"dataset":%q,"id":%q}`, s.Key, a.Job.Dataset, a.Job.ID)},
			{Name: "txt", Data: contentOf(a.Job.ID, i)},
		}
		if w.plan.differ { // bytes that no reader needs, other ones each time
			s.Fields = append(s.Fields, pipeline.Field{Name: "log", Data: []byte(m.p.name + strings.Repeat("~", 1+d.below(900)))})
		}
		if err := sink.Add(s); err != nil {
			return pipeline.Verdict{}, err
		}
	}
	return pipeline.Verdict{Samples: int64(e.samples)}, nil
}

// fetch brings a medium to the worker: nothing, as the mills need none.
func (m mills) fetch(ctx context.Context, _ pipeline.Media, _ *os.File) (mill.Bytes, pipeline.SourceID, error) {
	return nil, pipeline.SourceID{Bytes: 1}, ctx.Err()
}

// expected is how a job ends, whoever does it.
type expected struct {
	samples int
	code    string
}

func (s seed) expect(dataset, id string) expected {
	d := s.at("job", dataset, id, 0)
	switch {
	case dataset == "unknown":
		return expected{code: string(pipeline.CodeMsgNoRecipe)}
	case d.hit(0.12):
		return expected{code: "decode.invalid"}
	}
	return expected{samples: d.between(0, 4)}
}

func keyOf(dataset, id string, i int) string {
	return pipeline.SampleKey(dataset, id, 0, 0, codecs.Rational{Num: int64(i), Den: 25})
}

func contentOf(id string, i int) []byte { return fmt.Appendf(nil, "sample %d of %s", i, id) }

// checkContent compares a stored sample with what the mills give.
func checkContent(s *audit.Sample) error {
	for _, f := range s.Fields {
		if f.Name != "txt" {
			continue
		}
		for i := range 5 {
			if s.Key == keyOf(s.Dataset, s.ID, i) {
				if want := contentOf(s.ID, i); !bytes.Equal(f.Data, want) {
					return fmt.Errorf("it holds %q, not %q", f.Data, want)
				}
				return nil
			}
		}
		return errors.New("its key is of no sample of its job")
	}
	return errors.New("it has no text")
}
