package shard

import (
	"os"
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
