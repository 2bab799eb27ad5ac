package backfill

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/pipeline"
)

var errStop = errors.New("stopped")

func contextWithCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(t.Context())
}

type member struct{ name, text string }

// wds has four jobs: one with all parts, one of two media, one of text alone, and one
// whose JSON is bad.
var wds = []member{
	{"README", "no extension, no job"},
	{"./a/001.jpg", "jpeg 1"}, {"./a/001.txt", " a cat \n"}, {"./a/001.json", `{"w": 1, "tags": ["x"]}`}, {"./a/001.cls", "7\n"},
	{".hidden.jpg", "no"}, {"._a.jpg", "no"},
	{"002.left.jpg", "left"}, {"002.npy", "\x00"}, {"002.right.jpg", "right"}, {"002.caption", "two eyes"},
	{"003.txt", "words"}, {"003.cls", "dog"},
	{"index.json", "{}"},
	{"004.mp4", "film"}, {"004.json", "{"},
}

func tarBytes(t testing.TB, members []member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{Name: m.name, Size: int64(len(m.text)), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarFile(t testing.TB, path string, members []member) string {
	t.Helper()
	return write(t, path, string(tarBytes(t, members)))
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

func TestTar(t *testing.T) {
	raw := tarBytes(t, wds)
	for name, b := range map[string][]byte{"w.tar": raw, "w.tar.gz": zipped(t, raw), "w.TGZ": zipped(t, raw), "w.tar.zst": zstandard(t, raw)} {
		path := write(t, filepath.Join(t.TempDir(), name), string(b))
		o := options(t)
		got := all(t, o, path)
		if n := names(got); n != "001.jpg 002.left.jpg+002.right.jpg  msg.invalid" {
			t.Fatalf("%s: %s", name, n)
		}
		for i, want := range []job{
			{text: "a cat", meta: `{"w":1,"tags":["x"],"cls":7}`, media: []string{"jpeg 1"}},
			{text: "two eyes", media: []string{"left", "right"}},
			{text: "words", meta: `{"cls":"dog"}`},
			{code: pipeline.CodeMsgInvalid},
		} {
			g := got[i]
			if g.text != want.text || strings.ReplaceAll(g.meta, " ", "") != want.meta || !slices.Equal(g.media, want.media) || g.code != want.code {
				t.Errorf("%s, job %d: %+v; want %+v", name, i, g, want)
			}
		}
		if again := all(t, o, path); !slices.Equal(ids(again), ids(got)) {
			t.Errorf("%s: the ids changed", name)
		}
		o.Skip = func(id string) bool { return id == got[0].id || id == got[3].id }
		if n := names(all(t, o, path)); n != "002.left.jpg+002.right.jpg " {
			t.Errorf("%s, two skipped: %s", name, n)
		}
	}
}

func TestTarMedia(t *testing.T) {
	l, err := Open(t.Context(), []string{tarFile(t, filepath.Join(t.TempDir(), "w.tar"), wds[7:11])}, options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := p.Job.Media[0]
	if len(m.SHA256) != 64 || m.Role != "left" || m.Type != "image/jpeg" || m.Version == "" || !strings.HasSuffix(m.URI, "/w.tar#002.left.jpg") {
		t.Errorf("the medium is %+v", m)
	}
	if _, err := p.Files[0].Write([]byte("x")); err == nil {
		t.Error("the handle can be written to")
	}
	for _, f := range p.Files {
		f.Close()
	}
}

func TestTarLimits(t *testing.T) {
	o := options(t)
	o.Source.MaxBytes = 100
	big := strings.Repeat("x", 101)
	many := []member{}
	for range 2 {
		many = append(many, member{"k.jpg", "1"}) // twice the same name: two jobs
	}
	for i := range maxGroupMedia + 1 {
		many = append(many, member{"m." + strings.Repeat("i", i+1) + ".jpg", "1"})
	}
	path := tarFile(t, filepath.Join(t.TempDir(), "w.tar"), append([]member{
		{"a.jpg", big}, {"b.jpg", "fine"}, {"c.x.jpg", big[:60]}, {"c.y.jpg", big[:60]}, {"d.jpg", ""},
		{"e.jpg", "1"}, {"e.txt", strings.Repeat("t", maxText+1)}, {"f.jpg", "1"}, {"f.txt", "\xff"}, {"g.json", strings.Repeat("[", 99)},
		{strings.Repeat("n", 2000) + ".jpg", "1"}, {"../../etc/h.jpg", "1"}, {"/etc/i.jpg", "1"},
	}, many...))
	want := "source.limit b.jpg source.limit source.empty msg.limit msg.invalid msg.limit msg.limit h.jpg i.jpg k.jpg k.jpg msg.limit"
	if got := names(all(t, o, path)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if left, err := os.ReadDir(o.Source.Dir); err != nil || len(left) > 0 {
		t.Errorf("the spool holds %v (%v)", left, err)
	}
}

// TestTarCut cuts an archive everywhere: what is whole is given, and then a fault for
// the archive, unless the cut is between two members.
func TestTarCut(t *testing.T) {
	members := []member{{"a.jpg", strings.Repeat("a", 700)}, {"a.txt", "x"}, {"b.jpg", strings.Repeat("b", 700)}, {"c.jpg", "c"}}
	raw := tarBytes(t, members)
	path := filepath.Join(t.TempDir(), "w.tar")
	o := options(t)
	for _, c := range []struct {
		at   int
		want string
	}{
		{len(raw), "a.jpg b.jpg c.jpg"},
		{1536 + 1024 + 1536 + 1024, "a.jpg b.jpg c.jpg"}, // no trailer
		{1536 + 1024 + 1536 + 600, "a.jpg b.jpg c.jpg"},  // within the last member's padding
		{1536 + 1024 + 1536 + 512, "a.jpg b.jpg msg.invalid msg.invalid"},
		{1536 + 1024 + 1536 + 100, "a.jpg msg.invalid msg.invalid"},
		{1536 + 1024 + 1000, "a.jpg msg.invalid msg.invalid"},
		{1536 + 100, "msg.invalid msg.invalid"},
		{800, "msg.invalid msg.invalid"},
	} {
		write(t, path, string(raw[:c.at]))
		got := all(t, o, path)
		if n := names(got); n != c.want {
			t.Errorf("cut at %d: %s; want %s", c.at, n, c.want)
		}
		if again := all(t, o, path); !slices.Equal(ids(again), ids(got)) {
			t.Errorf("cut at %d: the ids changed", c.at)
		}
	}
	z := zipped(t, tarBytes(t, wds))
	got := all(t, o, write(t, filepath.Join(t.TempDir(), "w.tar.gz"), string(z[:len(z)-9])))
	if last := got[len(got)-1]; last.code != pipeline.CodeMsgInvalid {
		t.Errorf("a cut gzip ends with %+v", last)
	}
}

func TestTarBomb(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	const size = ratioFree + 1<<20
	if err := w.WriteHeader(&tar.Header{Name: "a.jpg", Size: size, Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	got := names(all(t, options(t), write(t, filepath.Join(t.TempDir(), "w.tar.zst"), string(zstandard(t, b.Bytes())))))
	if got != "msg.invalid source.limit" {
		t.Errorf("a bomb gives %s", got)
	}
}

func zipBytes(t testing.TB, members []member, method uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.name, Method: method})
		if err == nil {
			_, err = f.Write([]byte(m.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestZip(t *testing.T) {
	o := options(t)
	o.Source.MaxBytes = 2 << 20
	members := []member{
		{"a.jpg", "jpeg"}, {"dir/", ""}, {"dir/b.mp4", "film"}, {"notes.txt", "no"}, {"__MACOSX/a.jpg", "no"}, {"../c.png", "png"},
		{"empty.jpg", ""}, {"bomb.jpg", strings.Repeat("\x00", 1<<20)},
	}
	path := write(t, filepath.Join(t.TempDir(), "w.zip"), string(zipBytes(t, members, zip.Deflate)))
	got := all(t, o, path)
	if n := names(got); n != "a.jpg b.mp4 c.png source.empty source.limit" {
		t.Fatal(n)
	}
	if !slices.Equal(got[1].media, []string{"film"}) || !slices.Equal(ids(all(t, o, path)), ids(got)) {
		t.Errorf("got %+v", got)
	}
	raw := zipBytes(t, members[:3], zip.Store)
	raw[bytes.Index(raw, []byte("film"))] = 'F' // the checksum is wrong now
	if n := names(all(t, o, write(t, path, string(raw)))); n != "a.jpg msg.invalid" {
		t.Errorf("with a damaged member: %s", n)
	}
	raw = zipBytes(t, members[:1], zip.Store)
	raw[bytes.Index(raw, []byte("PK\x01\x02"))+8] |= 1
	if n := names(all(t, o, write(t, path, string(raw)))); n != "msg.invalid" {
		t.Errorf("with an encrypted member: %s", n)
	}
	end := bytes.Index(raw, []byte("PK\x05\x06"))
	copy(raw[end+12:], "\x00\x00\x00\x7f")
	wantError(t, o, "directory has", write(t, path, string(raw)))
}
