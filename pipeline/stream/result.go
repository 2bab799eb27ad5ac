package stream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// result holds one job's samples until it is its turn in the shard: in memory while
// they are few bytes, then in an unlinked temporary file. So jobs may finish in any
// order, and a job that dies half-way leaves nothing behind.
//
// It is written by one goroutine, then read by one.
type result struct {
	dir string
	job *pipeline.Job
	// recipe is the job's, where it has one: its outputs must take the samples.
	recipe *pipeline.Recipe
	keys   map[string]struct{} // of the samples, while it is written
	mem    []byte
	file   *os.File
	w      *bufio.Writer
	size   int64
}

// inMemory is how much of a result stays in memory: a window of these is small
// against the mills.
const inMemory = 32 << 10

// Add copies a sample. One that the shard would not take is the medium's fault, or that
// of a mill that hostile bytes have taken over; it must be found out here, where it
// costs one job, and not when others are packed beside it.
func (r *result) Add(s *pipeline.Sample) error {
	if err := r.check(s); err != nil {
		return codecs.Errorf(codecs.CodeInvalid, codecs.StagePack, "sample %.60q: %w", s.Key, err)
	}
	if err := r.checkOutputs(s); err != nil {
		return err
	}
	parts, err := s.Encode()
	if err != nil {
		return err
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if r.file == nil && len(r.mem)+n > inMemory {
		if err := r.spill(); err != nil {
			return err
		}
	}
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(n))
	for _, p := range append([][]byte{head[:]}, parts...) {
		if r.file == nil {
			r.mem = append(r.mem, p...)
		} else if _, err := r.w.Write(p); err != nil {
			return fmt.Errorf("spooling samples in %s: %w", r.dir, err)
		}
	}
	r.size += int64(len(head) + n)
	return nil
}

// check wants keys of this job alone, each once, and fields as every shard format has them.
func (r *result) check(s *pipeline.Sample) error {
	own := pipeline.SampleKey(r.job.Dataset, r.job.ID, 0, 0, codecs.Rational{})
	if id, _, _ := strings.Cut(own, "-"); !strings.HasPrefix(s.Key, id+"-") {
		return errors.New("its key is not of this job")
	}
	if _, twice := r.keys[s.Key]; twice {
		return errors.New("its key comes twice: two pictures of one track have the same time")
	}
	if r.keys == nil {
		r.keys = map[string]struct{}{}
	}
	r.keys[s.Key] = struct{}{}
	return checkNames(s)
}

// checkOutputs wants a sample that each output takes: in its format, or in a sequence.
func (r *result) checkOutputs(s *pipeline.Sample) error {
	if r.recipe == nil {
		return nil
	}
	for _, o := range r.recipe.Outputs {
		if o.Pack != nil {
			if _, _, err := o.Pack.Length(s); err != nil {
				return err
			}
		} else if err := shard.Check(o.Format, s); err != nil {
			return codecs.Errorf(codecs.CodeInvalid, codecs.StagePack, "an output in the format %s does not take it: %w", o.Format, err)
		}
	}
	return nil
}

// checkNames asks of a sample what package shard asks of it.
func checkNames(s *pipeline.Sample) error {
	if err := shard.CheckKey(s.Key); err != nil {
		return err
	}
	if len(s.Fields) == 0 {
		return errors.New("it has no fields")
	}
	for i, f := range s.Fields {
		if err := shard.CheckField(f.Name); err != nil {
			return err
		}
		same := func(g pipeline.Field) bool { return g.Name == f.Name }
		if len(f.Data) == 0 || slices.ContainsFunc(s.Fields[:i], same) || len(s.Key)+1+len(f.Name) > shard.MostName {
			return fmt.Errorf("its field %q is empty, comes twice, or has too long a name", f.Name)
		}
	}
	return nil
}

func (r *result) spill() error {
	f, err := os.CreateTemp(r.dir, "result-*")
	if err != nil {
		return fmt.Errorf("spooling samples: %w", err)
	}
	os.Remove(f.Name()) // the name is not needed, and a crash leaves nothing
	r.file, r.w = f, bufio.NewWriterSize(f, 64<<10)
	_, err = r.w.Write(r.mem)
	r.mem = nil
	return err
}

// Reset forgets all samples.
func (r *result) Reset() error {
	r.close()
	*r = result{dir: r.dir, job: r.job, recipe: r.recipe}
	return nil
}

// each reads the samples back, in order. A sample is valid during its call.
func (r *result) each(use func(*pipeline.Sample) error) error {
	var rd io.Reader
	if r.file != nil {
		if err := r.w.Flush(); err != nil {
			return fmt.Errorf("spooling samples in %s: %w", r.dir, err)
		}
		rd = bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.size), 64<<10)
	}
	var s pipeline.Sample
	var buf []byte
	for at := int64(0); at < r.size; {
		p, err := r.next(rd, at, &buf)
		if err != nil {
			return fmt.Errorf("reading spooled samples in %s: %w", r.dir, err)
		}
		at += int64(4 + len(p))
		if err := pipeline.ParseSample(p, &s); err != nil {
			return fmt.Errorf("reading spooled samples in %s: %w", r.dir, err)
		}
		if err := use(&s); err != nil {
			return err
		}
	}
	return nil
}

func (r *result) next(rd io.Reader, at int64, buf *[]byte) ([]byte, error) {
	if rd == nil {
		b := r.mem[at:]
		return b[4 : 4+binary.LittleEndian.Uint32(b)], nil
	}
	var head [4]byte
	if _, err := io.ReadFull(rd, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	_, err := io.ReadFull(rd, (*buf)[:n])
	return (*buf)[:n], err
}

func (r *result) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}
