package backfill

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/source"
)

func tree1(t *testing.T) string {
	dir := t.TempDir()
	for _, f := range []string{
		"b.mp4", "a.JPG", "notes.txt", "list.csv", ".hidden.mp4", ".git/x.mp4", "c/z.png", "c/y.webm", "c/d/deep.gif", "c.mp4", "e/readme.md", "plain.bin", "[odd].mp4",
	} {
		write(t, filepath.Join(dir, f), f)
	}
	for name, target := range map[string]string{"link.mp4": "b.mp4", "loop": ".", "gone.mp4": "nothing"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFilesAndFolders(t *testing.T) {
	dir := tree1(t)
	o := options(t)
	in := func(p string) string { return filepath.Join(dir, p) }
	for _, c := range []struct{ src, want string }{
		{dir, "%5Bodd%5D.mp4 a.JPG b.mp4 deep.gif y.webm z.png c.mp4 source.gone link.mp4"},
		{in("c"), "deep.gif y.webm z.png"},
		{in("plain.bin"), "plain.bin"},
		{in("[odd].mp4"), "%5Bodd%5D.mp4"},
		{source.FileURI(in("b.mp4")), "b.mp4"},
		{in("*.mp4"), "%5Bodd%5D.mp4 b.mp4 c.mp4 source.gone link.mp4"},
		{in("[a-b].*"), "a.JPG b.mp4"},
		{in("**"), "%5Bodd%5D.mp4 a.JPG b.mp4 deep.gif y.webm z.png c.mp4 source.gone link.mp4"},
		{in("**/*.gif"), "deep.gif"},
		{in("c/**/d*"), "deep.gif"},
		{in("**/?.png"), "z.png"},
		{in(".g*/*.mp4"), "x.mp4"},
		{in("*.bin"), "plain.bin"},
		{in("*"), "%5Bodd%5D.mp4 a.JPG b.mp4 c.mp4 source.gone link.mp4"},
	} {
		if got := names(all(t, o, c.src)); got != c.want {
			t.Errorf("%s: %s; want %s", strings.TrimPrefix(c.src, dir), got, c.want)
		}
	}
	t.Chdir(dir)
	if got := all(t, o, "c/../b.mp4", "b.mp4"); got[0].uris[0] != source.FileURI(in("b.mp4")) || got[0].id != got[1].id {
		t.Errorf("relative paths become %+v", got)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := tree1(t)
	o := options(t)
	in := func(p string) string { return filepath.Join(dir, p) }
	for src, part := range map[string]string{
		in("missing.mp4"):                    "no such file",
		in("*.mkv"):                          "nothing matches",
		in("e"):                              "nothing there is",
		"gopher://h/x":                       "nothing here reads",
		"file://host/x":                      "another host",
		"/dev/null":                          "neither a regular file nor a folder",
		write(t, in("bad.tar"), "not a tar"): "cut off",
		write(t, in("empty.tar"), ""):        "cut off",
		write(t, in("bad.tar.gz"), "this is not gzip"):                                     "damaged",
		write(t, in("bad.tar.zst"), "not zstd"):                                            "damaged",
		write(t, in("bad.zip"), "PK\x03\x04"):                                              "damaged",
		write(t, in("empty.csv"), ""):                                                      "empty",
		write(t, in("columns.csv"), "a,b\n1,2"):                                            "--url-column",
		write(t, in("twice.csv"), "url,url\n"):                                             "two columns",
		write(t, in("bad.jsonl"), "[1]\n"):                                                 "not a JSON object",
		write(t, in("bad.parquet"), strings.Repeat("x", 20)):                               "parquet",
		write(t, in("huge.parquet"), "PAR1"+strings.Repeat("x", 8)+"\xff\xff\xff\xffPAR1"): "footer claims",
	} {
		wantError(t, o, part, src)
	}
	wantError(t, o, "no source")
	named := o
	named.URLColumn = "where"
	wantError(t, named, `no column "where"`, write(t, in("x.csv"), "url\nx\n"))
	named = o
	named.MetaColumns = []string{"width"}
	wantError(t, named, `no column "width"`, in("x.csv"))
	for part, change := range map[string]func(*Options){
		"dataset":                       func(o *Options) { o.Dataset = "" },
		"limit":                         func(o *Options) { o.Limit = -1 },
		"backfill.archive.max_bytes":    func(o *Options) { o.Archive.MaxBytes = 0 },
		"backfill.archive.max_members":  func(o *Options) { o.Archive.MaxMembers = 0 },
		"backfill.archive.max_unpacked": func(o *Options) { o.Archive.MaxUnpacked = -1 },
		"backfill.archive.max_ratio":    func(o *Options) { o.Archive.MaxRatio = 0 },
		"both URL":                      func(o *Options) { o.URLColumn, o.TextColumn = "a", "a" },
		"source.max_bytes":              func(o *Options) { o.Source.MaxBytes = 0 },
	} {
		bad := o
		change(&bad)
		wantError(t, bad, part, dir)
	}
}

// TestStableIDs interrupts a listing at every place and changes one file.
func TestStableIDs(t *testing.T) {
	dir := tree1(t)
	o := options(t)
	first := all(t, o, dir)
	for n := range len(first) {
		done := ids(first[:n])
		again := o
		again.Skip = func(id string) bool { return slices.Contains(done, id) }
		if got := ids(all(t, again, dir)); !slices.Equal(got, ids(first[n:])) {
			t.Fatalf("after %d jobs: %v; want %v", n, got, ids(first[n:]))
		}
	}
	seen := map[string]bool{}
	for _, id := range ids(first) {
		if seen[id] {
			t.Errorf("%s comes twice", id)
		}
		seen[id] = true
	}
	if err := os.Chtimes(filepath.Join(dir, "c/z.png"), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for i, j := range all(t, o, dir) {
		if changed := j.id != first[i].id; changed != strings.HasSuffix(j.uris2(), "z.png") {
			t.Errorf("%s: changed %v", j.uris2(), changed)
		}
	}
	other := o
	other.Dataset = "dogs"
	l, err := Open(t.Context(), []string{dir}, other)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if p, err := l.Next(t.Context()); err != nil || p.Job.ID == first[0].id {
		t.Errorf("another dataset has the same id (%v)", err)
	}
}

func (j job) uris2() string { return strings.Join(j.uris, " ") }

func TestLimitAndEstimate(t *testing.T) {
	dir := tree1(t)
	o := options(t)
	o.Limit = 3
	if got := names(all(t, o, dir)); got != "%5Bodd%5D.mp4 a.JPG b.mp4" {
		t.Errorf("limited to %s", got)
	}
	o.Limit = 0
	l, err := Open(t.Context(), []string{filepath.Join(dir, "b.mp4"), filepath.Join(dir, "c.mp4"), "https://h.example/x?y"}, o)
	if err != nil {
		t.Fatal(err)
	}
	if e := l.Estimate(); e.Jobs != 3 || !e.Final || e.Share != 0 {
		t.Errorf("at first %+v", e)
	}
	if _, err := l.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := l.Estimate(); e.Jobs != 3 || !e.Final || e.Bytes != 5 {
		t.Errorf("then %+v", e)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Next(t.Context()); err != io.EOF || l.Close() != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestSummarise(t *testing.T) {
	dir := tree1(t)
	o := options(t)
	l, err := Open(t.Context(), []string{dir, "https://h.example/x.mp4?y", tarFile(t, filepath.Join(dir, "w.tar"), wds)}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := l.Summarise(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// w.tar lies in the folder too: its jobs come twice.
	if s.Jobs != 9+1+2*4 || s.Faults != 1+2*1 || s.Unsized != 1 || s.Archives != 1 || s.Lists != 0 || s.ByType["video/mp4"] != 5 || s.ByCode["source.gone"] != 1 {
		t.Errorf("summed up as %+v", s)
	}
	if left, err := os.ReadDir(o.Source.Dir); err != nil || len(left) > 0 {
		t.Errorf("the spool holds %v (%v)", left, err)
	}
}

func TestCancelled(t *testing.T) {
	l, err := Open(t.Context(), []string{tree1(t)}, options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := contextWithCause(t)
	cancel(errStop)
	if _, err := l.Next(ctx); !errors.Is(err, errStop) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := l.Next(t.Context()); err != nil {
		t.Errorf("and going on: %v", err)
	}
}
