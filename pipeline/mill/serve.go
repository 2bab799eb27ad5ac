package mill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// Assignment is one job for a mill, with all that it needs to know.
type Assignment struct {
	Job    *pipeline.Job    `json:"job"`
	Recipe *pipeline.Recipe `json:"recipe"`
	// Sources names the media by what they are; Files, in the same order, are their bytes.
	Sources []pipeline.SourceID `json:"sources,omitempty"`
	Files   []*os.File          `json:"-"`
	// Ranges, where there are any, are in the same order: a medium is either a file, or
	// read in ranges, and nil in the other list. Of these a child has no descriptor: it
	// asks its parent.
	Ranges []Ranges `json:"-"`
}

// assigned is an assignment as it travels.
type assigned struct {
	*Assignment
	Remote []int64 `json:"remote,omitempty"` // sizes of media that are read in ranges; 0 for files
}

// NewLine makes a recipe ready to run. A child keeps the line while the recipe stays the same.
type NewLine func(*pipeline.Recipe) (*pipeline.Line, error)

// aliveEvery is how often a child at work reports that it is: far below the parent's
// stall limit, and seldom enough to cost nothing.
const aliveEvery = time.Second

// errNoParent is for people who start a mill by hand.
var errNoParent = errors.New("there is no parent at descriptor 3: millrace mill is started by a worker, not by people")

// Inherited is the connection to the parent, which a child finds as descriptor 3. What
// else may be there is left alone: it belongs to somebody.
func Inherited() (*net.UnixConn, error) {
	const fd = 3
	if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_UNIX {
		return nil, errNoParent
	}
	f := os.NewFile(fd, "parent")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("the parent's socket: %w", err)
	}
	return c.(*net.UnixConn), nil
}

// Serve is a child's life: it confines itself as its parent asks, for good and on every
// thread, and says how far it came; then it takes jobs from conn until the parent closes it, then
// returns nil. It also returns when the parent dies, even in the middle of a job: the
// process is expected to exit then.
func Serve(conn *net.UnixConn, newLine NewLine) error {
	if err := greet(conn); err != nil {
		return err
	}
	// The collector begins when the heap has grown by a share (GOGC) of what is live, and in
	// a mill for stills that is next to nothing: it would run several times a job. Memory
	// that nobody touches is none to the kernel, and counts as live.
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	jobs := make(chan received)
	ended := make(chan error, 1)
	answers := make(chan []byte)
	go func() { // always reading, so that the parent's end is seen at once
		defer close(answers)
		var buf []byte // of answers: one is copied before the next is asked for
		for {
			k, p, files, err := receive(conn, &buf)
			if err != nil {
				closeAll(files)
				ended <- err
				return
			}
			if k == kindBytes {
				closeAll(files)
				answers <- p
				continue
			}
			jobs <- received{p, files}
			buf = nil
		}
	}()
	s := server{out: &sender{conn: conn}, newLine: newLine, answers: answers}
	done := make(chan error, 1)
	for {
		select {
		case j := <-jobs:
			go func() { done <- s.do(j) }()
		case err := <-done:
			if err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// heapFloor lets a mill gather some 16 MiB of garbage before it is collected, with GOGC=50.
const heapFloor = 32 << 20

// greet confines this process and reports to the parent, who may not like it.
func greet(conn *net.UnixConn) error {
	var (
		buf []byte
		t   terms
	)
	k, p, err := readFrame(conn, &buf)
	if err != nil {
		return err
	}
	if k != kindTerms {
		return fmt.Errorf("%w: not the terms", errFrame)
	}
	if err := json.Unmarshal(p, &t); err != nil {
		return fmt.Errorf("reading the terms: %w", err)
	}
	fd, err := descriptorOf(conn)
	if err != nil {
		return err
	}
	report, err := json.Marshal(confine(t, fd))
	if err != nil {
		return err
	}
	return writeFrame(conn, kindHello, report)
}

func descriptorOf(conn *net.UnixConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	return fd, raw.Control(func(p uintptr) { fd = int(p) })
}

// ending is how a child's job ended. What it says of exposure is as good as its word on
// anything: a child that hostile bytes have taken over can claim an honest end as well.
// It is there so that no accident in C's memory outlives the job that caused it.
type ending struct {
	pipeline.Verdict
	Exposed bool `json:"exposed,omitempty"` // C has seen bytes of the media
	Whole   bool `json:"whole,omitempty"`   // see [ErrWhole]
}

type received struct {
	payload []byte
	files   []*os.File
}

type server struct {
	out *sender
	signs
	newLine NewLine
	line    *pipeline.Line
	digest  string
	answers <-chan []byte // closed when the parent has ended
}

// do runs one job. An error means that the parent can not be reached.
func (s *server) do(r received) error {
	defer closeAll(r.files)
	s.exposed.Store(false)
	s.signs.pace = pace{}
	stop := s.reportAlive()
	v, err := s.run(r)
	stop()
	whole := errors.Is(err, ErrWhole)
	if err != nil && !whole {
		return err
	}
	p, err := json.Marshal(ending{v, s.exposed.Load(), whole})
	if err != nil {
		return err
	}
	return s.out.send(kindVerdict, p)
}

func (s *server) run(r received) (v pipeline.Verdict, err error) {
	a, media, err := s.open(r)
	if err != nil {
		return v, err
	}
	if s.line == nil || s.digest != a.Recipe.Digest {
		if s.line, err = s.newLine(a.Recipe); err != nil {
			return v, err
		}
		s.digest = a.Recipe.Digest
	}
	defer func() { // Go's own decoders may panic on hostile bytes: that costs the job, not the child's honesty
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n%s", p, debug.Stack())
			s.line = nil
			v, err = pipeline.Verdict{Fault: &pipeline.Fault{Code: string(pipeline.CodeCrash), Stage: string(codecs.StageDecode), Detail: fmt.Sprintf("the decoder panicked: %v", p)}}, nil
		}
	}()
	return s.line.Run(context.Background(), a.Job, media, func(sm *pipeline.Sample) error {
		parts, err := sm.Encode()
		if err != nil {
			return err
		}
		return s.out.send(kindSample, parts...)
	})
}

func (s *server) open(r received) (*Assignment, []pipeline.Medium, error) {
	a := assigned{Assignment: &Assignment{}}
	if err := json.Unmarshal(r.payload, &a); err != nil {
		return nil, nil, fmt.Errorf("reading an assignment: %w", err)
	}
	if a.Job == nil || a.Recipe == nil || len(a.Sources) != len(a.Job.Media) || len(a.Remote) != 0 && len(a.Remote) != len(a.Sources) {
		return nil, nil, fmt.Errorf("%w: an assignment that does not fit", errFrame)
	}
	var media []pipeline.Medium
	files := r.files
	for i := range a.Sources {
		switch {
		case len(a.Remote) > 0 && a.Remote[i] > 0:
			far := &remote{medium: i, size: a.Remote[i], out: s.out, answers: s.answers}
			media = append(media, a.medium(i, &source{ReaderAt: far, size: far.size, sparse: true, signs: &s.signs}))
		case len(files) > 0:
			src, err := fileSource(files[0], &s.signs)
			if err != nil {
				return nil, nil, fmt.Errorf("medium %d: %w", i, err)
			}
			media, files = append(media, a.medium(i, src)), files[1:]
		default:
			return nil, nil, fmt.Errorf("%w: no file for medium %d of %d", errFrame, i, len(a.Sources))
		}
	}
	if len(files) > 0 {
		return nil, nil, fmt.Errorf("%w: %d files more than media", errFrame, len(files))
	}
	return a.Assignment, media, nil
}

// medium joins one of an assignment's sources to its bytes.
func (a *Assignment) medium(i int, src *source) pipeline.Medium {
	return pipeline.Medium{Source: src, ID: a.Sources[i], Role: a.Job.Media[i].Role}
}

// source is a medium's bytes, and tells of its decoding.
type source struct {
	io.ReaderAt
	size   int64
	sparse bool  // see [codecs.Sparse]
	lasts  int64 // nanoseconds
	*signs
}

func fileSource(f *os.File, s *signs) (*source, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &source{ReaderAt: f, size: st.Size(), signs: s}, nil
}

// signs are what a job's media tell of its decoding.
type signs struct {
	reads   atomic.Int64 // grows with every read and every packet: the child's sign of life
	exposed atomic.Bool
	mu      sync.Mutex
	pace    pace
}

func (f *source) Size() int64 { return f.size }

// Sparse implements [codecs.Sparse].
func (f *source) Sparse() bool { return f.sparse }

// Alive is a decoder's sign of life between reads.
func (f *source) Alive() { f.reads.Add(1) }

// Expose notes that C sees bytes.
func (f *source) Expose() { f.exposed.Store(true) }

// Lasts implements [codecs.Timed]. The durations of a job's media add up.
func (f *source) Lasts(seconds codecs.Rational) {
	const most = 1 << 61 // of nanoseconds, far over any cap
	n := int64(min(max(seconds.Float(), 0)*1e9, most))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pace.media = min(max(f.pace.media+time.Duration(n-f.lasts), 0), most)
	f.lasts = n
	f.reads.Add(1)
}

// Picked implements [pipeline.Paced].
func (f *source) Picked(n, of int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pace.picks, f.pace.of = uint64(n), uint64(of)
	f.reads.Add(1)
}

func (f *source) ReadAt(p []byte, off int64) (int, error) {
	f.reads.Add(1)
	return f.ReaderAt.ReadAt(p, off)
}

// reportAlive sends a sign of life now and then, if there was one (a decoder that
// spins without reading has none), until the returned func is called.
func (s *server) reportAlive() (stop func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		t := time.NewTicker(aliveEvery)
		defer t.Stop()
		for last := int64(0); ; {
			select {
			case <-quit:
				return
			case <-t.C:
				if n := s.reads.Load(); n != last {
					last = n
					s.signs.mu.Lock()
					at := s.signs.pace.encode()
					s.signs.mu.Unlock()
					_ = s.out.send(kindAlive, at) // a broken pipe shows in do
				}
			}
		}
	}()
	return func() { close(quit); <-gone }
}

// sender keeps frames of several goroutines whole.
type sender struct {
	mu   sync.Mutex
	conn *net.UnixConn
}

func (s *sender) send(k kind, parts ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return writeFrame(s.conn, k, parts...)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
