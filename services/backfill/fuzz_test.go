package backfill

import (
	"archive/tar"
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline/source"
)

// fuzzOpen opens bytes as a source of the given name, without the costs of a Listing,
// and reads it twice: whatever comes has an id, a URI or a code; the same both times;
// and nothing is left open or on the disk.
func fuzzOpen(t *testing.T, far *source.Fetcher, dir, name string, data []byte) {
	v := &env{opt: DefaultOptions("fuzz"), far: far}
	v.opt.Source.Dir, v.opt.Source.MaxBytes = dir, 1<<20
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var before []string
	for range 2 {
		r, err := localEntry(path, info).open(t.Context(), v)
		if err != nil {
			return
		}
		var now []string
		for {
			it, err := r.next(t.Context())
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("a plain error: %v", err)
			}
			now = append(now, checkItem(t, it))
			if p := r.progress(); p.share < 0 || p.share > 1 {
				t.Fatalf("the progress is %+v", p)
			}
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		if before != nil && len(before) != len(now) {
			t.Fatalf("%d jobs, then %d", len(before), len(now))
		}
		for i := range before {
			if before[i] != now[i] {
				t.Fatalf("job %d was %s and is %s", i, before[i], now[i])
			}
		}
		before = now
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Fatalf("left on the disk: %v (%v)", left, err)
	}
}

func checkItem(t *testing.T, it *item) string {
	j := it.part.Job
	for _, f := range it.part.Files {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case len(j.ID) != 32:
		t.Fatalf("the id is %q", j.ID)
	case it.part.Fault != nil:
		if e := codecs.AsError(it.part.Fault); e == nil || e.Stage != codecs.StageTake {
			t.Fatalf("the fault is %v", it.part.Fault)
		}
	case len(j.Media) == 0 && j.Text == "":
		t.Fatal("the job is empty")
	case len(j.Meta) > maxMeta+4096 || len(j.Text) > maxText || !utf8.ValidString(j.Text):
		t.Fatalf("the job has %d bytes of text and %d of meta", len(j.Text), len(j.Meta))
	case len(j.Meta) > 0 && !json.Valid(j.Meta):
		t.Fatalf("the meta is %q", j.Meta)
	case it.part.Files != nil && len(it.part.Files) != len(j.Media):
		t.Fatalf("%d files for %d media", len(it.part.Files), len(j.Media))
	}
	return j.ID
}

func fuzz(f *testing.F, name string, seeds ...[]byte) {
	for _, s := range seeds {
		f.Add(s)
	}
	cfg := source.DefaultConfig()
	cfg.AllowFiles, cfg.Dir = true, f.TempDir()
	far, err := source.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { far.Close() })
	f.Fuzz(func(t *testing.T, data []byte) { fuzzOpen(t, far, t.TempDir(), name, data) })
}

func FuzzText(f *testing.F) { fuzz(f, "l.txt", []byte("\ufeffa\r\n#b\n\n\xff\nhttp://h/x")) }
func FuzzCSV(f *testing.F) {
	fuzz(f, "l.csv", []byte("url,text,n\na,\"b\nc\",1\nx\n\"y\n"), []byte("\ufeffurl\n\"a\"\"b\",\n"), []byte("url,\"a\nb\"\n\"x\"\r\n"))
}
func FuzzTSV(f *testing.F) { fuzz(f, "l.tsv", []byte("caption\turl\na\tb\n\"c\td\te\n")) }
func FuzzJSONL(f *testing.F) {
	fuzz(f, "l.jsonl", []byte("{\"url\":\"a\",\"m\":{\"x\":[1]}}\n{\"url\":1}\n"), []byte("{\"url\":\"\\ud800\",\"\\u0000\":1e999}\n"))
}
func FuzzTar(f *testing.F) {
	raw := tarBytes(f, wds)
	fuzz(f, "w.tar", raw, raw[:3000], tarBytes(f, wds[8:12]), paxSparse(f, "a.jpg", 1<<40), gnuSparse(tarBytes(f, []member{{"a.jpg", "x"}}), 0, 1<<33-1),
		tarOf(f, &tar.Header{Name: "a.jpg", Linkname: "b", Typeflag: tar.TypeLink}))
}
func FuzzTarGzip(f *testing.F) { fuzz(f, "w.tar.gz", zipped(f, tarBytes(f, wds))) }
func FuzzTarZstd(f *testing.F) { fuzz(f, "w.tar.zst", zstandard(f, tarBytes(f, wds))) }
func FuzzZip(f *testing.F) {
	fuzz(f, "w.zip", zipBytes(f, []member{{"a.jpg", "x"}, {"b.png", "yyyyyyyyyyyyyyyy"}}, zip.Deflate), zipBytes(f, []member{{"a.jpg", "x"}}, zip.Store),
		overlapping(f, 3),
		// a directory that puts a member before the file's beginning
		[]byte("PK\x01\x02000000000000000000000000\x05\x00\x00\x00\x00\x00000000000\x00\x00\x000.jpgPK\x05\x06000000\x01\x003\x00\x00\x001000\x00\x00"))
}
func FuzzParquet(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "lists", "pyarrow.parquet"))
	if err != nil {
		f.Fatal(err)
	}
	fuzz(f, "l.parquet", b)
}
