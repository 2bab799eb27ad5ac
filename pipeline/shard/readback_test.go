package shard

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
)

func filled(t *testing.T) *Writer {
	t.Helper()
	w, err := Create(t.TempDir(), WebDataset, Options{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Abort)
	for _, key := range []string{"a", "b"} {
		s := pipeline.Sample{Key: key, Fields: []pipeline.Field{{Name: "json", Data: []byte("{}")}, {Name: "bin", Data: make([]byte, 100_000)}}}
		if err := w.Add(&s); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// A disk that forgets or changes what was written is found out before the shard is
// vouched for.
func TestSealReadsBack(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(w *Writer) error
		why    string
	}{
		"one bit of content":  {func(w *Writer) error { _, err := w.file.WriteAt([]byte{1}, 50_000); return err }, "other content"},
		"one bit of a header": {func(w *Writer) error { _, err := w.file.WriteAt([]byte{'q'}, 0); return err }, "invalid tar header"},
		"a hole in the middle": {func(w *Writer) error {
			_, err := w.file.WriteAt(make([]byte, 4096), w.entries[1].Offset)
			return err
		}, "there are 1 samples where 2 were written"},
		"other key": {func(w *Writer) error {
			h := tarHeader("c", "json", 2)
			_, err := w.file.WriteAt(h[:], 0)
			return err
		}, `"a" at byte 0 is read as "c"`},
	} {
		w := filled(t)
		if err := w.buf.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := c.damage(w); err != nil {
			t.Fatal(err)
		}
		s, err := w.Seal()
		if s != nil || err == nil || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), "reading back") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err2 := w.Seal(); err2 == nil || err2.Error() != err.Error() {
			t.Errorf("%s: the error did not stick: %v", name, err2)
		}
	}
}

// After a failed write nothing more is written, and the first error is the one told.
func TestFirstErrorSticks(t *testing.T) {
	w := filled(t)
	good := w.file
	ro, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	w.file = ro
	w.buf.Reset(ro) // a file that can not be written
	s := pipeline.Sample{Key: "c", Fields: []pipeline.Field{{Name: "bin", Data: make([]byte, 100_000)}}}
	first := w.Add(&s)
	if first == nil || !strings.HasPrefix(first.Error(), "write to shard x.tar: ") {
		t.Fatalf("Add: %v", first)
	}
	w.file = good
	w.buf.Reset(good)
	_, sealed := w.Seal()
	for op, err := range map[string]error{"Add": w.Add(&s), "Seal": sealed} {
		if err != first {
			t.Errorf("%s: %v", op, err)
		}
	}
	w.Abort()
	if err := good.Close(); err == nil {
		t.Error("Abort left the file open")
	}
	ro.Close()
}

// The spool folder is empty at all times: no death of the process leaves a file.
func TestNoNameInSpool(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, WebDataset, Options{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := Create(dir+"/missing", WebDataset, Options{Name: "x"}); err == nil || !strings.Contains(err.Error(), "create shard x: ") {
		t.Errorf("no folder: %v", err)
	}
}

// The same holds for each other format.
func TestSealReadsBackColumns(t *testing.T) {
	for _, o := range []struct{ format, compression string }{{MDS, ""}, {MDS, Zstd}, {Parquet, ""}, {Parquet, Zstd}} {
		for at := range 12 {
			w, err := Create(t.TempDir(), o.format, Options{Name: "x", Compression: o.compression})
			if err != nil {
				t.Fatal(err)
			}
			data := make([]byte, 5000) // which zstd can not make shorter
			rand.NewChaCha8([32]byte{}).Read(data)
			s := pipeline.Sample{Key: "a", Fields: []pipeline.Field{{Name: "bin", Data: data}, {Name: "json", Data: []byte("{}")}}}
			if err := w.Add(&s); err != nil {
				t.Fatal(err)
			}
			w.layout = &forgetful{w.layout, int64(at * 400)}
			if s, err := w.Seal(); s != nil || err == nil || !strings.Contains(err.Error(), "reading back") {
				t.Errorf("%v, a bit at byte %d: %v", o, at*400, err)
			}
		}
	}
}

// forgetful changes one bit of what it finished.
type forgetful struct {
	layout
	at int64
}

func (l *forgetful) finish(f *os.File, at int64, entries []Entry, create func() (*os.File, error)) (*os.File, error) {
	out, err := l.layout.finish(f, at, entries, create)
	if err != nil {
		return nil, err
	}
	var b [1]byte
	if _, err := out.ReadAt(b[:], l.at); err != nil {
		return nil, err
	}
	b[0] ^= 4
	_, err = out.WriteAt(b[:], l.at)
	return out, err
}

// No MDS shard grows to 4 GiB: what would make it so goes to the next one.
func TestMDSIsFull(t *testing.T) {
	s := &pipeline.Sample{Key: "a", Fields: []pipeline.Field{{Name: "bin", Data: make([]byte, 1000)}}}
	l := &mdsLayout{}
	if err := l.check(s, 0, 0); err != nil {
		t.Fatal(err)
	}
	size := int64(len(s.Key)) + 1000 + 8
	last := mostMDS - mdsData(11, len(l.head)) - size
	if err := l.check(s, last-1, 10); err != nil {
		t.Errorf("the last that fits: %v", err)
	}
	if err := l.check(s, last, 10); !errors.Is(err, ErrFull) {
		t.Errorf("one byte more: %v", err)
	}
	if err := l.check(s, mostMDS, 0); errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "less than 4 GiB") {
		t.Errorf("a sample that fits nowhere: %v", err)
	}
}

// No parquet shard grows beyond what its footer may take: what it says of its row groups.
func TestParquetIsFull(t *testing.T) {
	var names []string
	s := &pipeline.Sample{Key: "a"}
	for _, of := range []string{"siglip2", "videomae", "qwen2.5-vl", "whisper"} {
		for _, what := range []string{"patches", "mask", "grid", "times"} {
			names = append(names, of+"."+what+npyExt)
			s.Fields = append(s.Fields, pipeline.Field{Name: names[len(names)-1], Data: append(npyHead("uint8", []int{1}), 1)})
		}
	}
	l := newParquetLayout(Options{Fields: names})
	groups := int64(1)
	for l.check(s, groups*rowGroupBytes, 1) == nil {
		groups++
	}
	if err := l.check(s, groups*rowGroupBytes, 1); !errors.Is(err, ErrFull) || groups < 64 {
		t.Fatalf("after %d row groups: %v", groups, err)
	}
	if err := l.check(s, groups*rowGroupBytes, 0); err != nil {
		t.Errorf("the first sample is never too much: %v", err)
	}
	// Each sample stands for what fills a row group.
	entries := make([]Entry, groups)
	spooled, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer spooled.Close()
	if err := spooled.Truncate(rowGroupBytes); err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		s.Key = strconv.Itoa(i)
		if entries[i], err = l.put(io.NewOffsetWriter(spooled, 0), 0, s); err != nil {
			t.Fatal(err)
		}
		entries[i].Length = rowGroupBytes
	}
	var out bytes.Buffer
	if err := l.write(&out, spooled, entries); err != nil {
		t.Fatal(err)
	}
	r, err := l.open(bytes.NewReader(out.Bytes()), int64(out.Len()), DefaultLimits())
	if err != nil {
		t.Fatalf("%d row groups: %v", groups, err)
	}
	for n := range groups {
		if e, err := r.Next(); err != nil || len(e.Fields) != len(names) {
			t.Fatalf("sample %d: %v", n, err)
		}
	}
}

// No shard has more samples than readers take.
func TestFullOfSamples(t *testing.T) {
	w := filled(t)
	s := pipeline.Sample{Key: "c", Fields: []pipeline.Field{{Name: "json", Data: []byte("{}")}}}
	some := w.entries
	w.entries = make([]Entry, DefaultLimits().MaxSamples)
	if err := w.Add(&s); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	w.entries = some
	if err := w.Add(&s); err != nil {
		t.Errorf("it is no final error: %v", err)
	}
}
