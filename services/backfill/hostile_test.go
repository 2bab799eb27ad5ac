package backfill

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tarOf writes headers as they are; each member's bytes are those that its header says,
// or none where it says none.
func tarOf(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o600
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// resize puts another size into the header at an offset, in base 256 (as GNU tar does
// above 8 GiB), and mends the checksum.
func resize(raw []byte, at int, size uint64) []byte {
	raw = bytes.Clone(raw)
	h := raw[at : at+512]
	clear(h[124:136])
	h[124] = 0x80
	binary.BigEndian.PutUint64(h[128:136], size)
	return summed(raw, at)
}

func summed(raw []byte, at int) []byte {
	h := raw[at : at+512]
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return raw
}

// gnuSparse makes the member at an offset an old GNU sparse one: a hole of that size,
// with a byte behind it.
func gnuSparse(raw []byte, at int, hole uint64) []byte {
	raw = resize(raw, at, 1)
	h := raw[at : at+512]
	h[156] = 'S'
	copy(h[257:265], "ustar  \x00")
	clear(h[345:500])
	octal := func(at int, n uint64) { copy(h[at:at+12], fmt.Sprintf("%011o", n)) }
	octal(386, hole)
	octal(398, 1)
	octal(483, hole+1)
	return summed(raw, at)
}

// paxSparse makes a member sparse by extended records (GNU's format 0.1).
func paxSparse(t testing.TB, name string, hole int64) []byte {
	t.Helper()
	record := func(k, v string) string {
		n := len(k) + len(v) + 3
		for n != len(fmt.Sprint(n))+len(k)+len(v)+3 {
			n++
		}
		return fmt.Sprintf("%d %s=%s\n", n, k, v)
	}
	text := record("GNU.sparse.size", fmt.Sprint(hole+1)) + record("GNU.sparse.numblocks", "1") + record("GNU.sparse.map", fmt.Sprintf("%d,1", hole))
	raw := tarOf(t, &tar.Header{Name: "pax", Size: int64(len(text))}, &tar.Header{Name: name, Size: 1})
	copy(raw[512:], text)
	raw[156] = 'x'
	return summed(raw, 0)
}

func TestHostileTars(t *testing.T) {
	one := func(name string, size int64) *tar.Header { return &tar.Header{Name: name, Size: size} }
	link := func(name, to string, kind byte) *tar.Header {
		return &tar.Header{Name: name, Linkname: to, Typeflag: kind}
	}
	plain := tarOf(t, one("a.jpg", 1), one("b.jpg", 1))
	long := strings.Repeat("p", 1<<20)
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"an old GNU sparse member of a terabyte": {gnuSparse(tarOf(t, one("a.jpg", 1), one("b.jpg", 1)), 0, 1<<33-1), "source.limit b.jpg"},
		"a PAX sparse member of a terabyte":      {append(paxSparse(t, "a.jpg", 1<<40)[:2048], plain...), "source.limit a.jpg b.jpg"},
		"a sparse part of a job":                 {append(paxSparse(t, "a.txt", 1<<40)[:2048], plain[1024:]...), "source.limit b.jpg"},
		"a sparse member of no use":              {append(paxSparse(t, "a.bin", 1<<40)[:2048], plain...), "a.jpg b.jpg"},
		"4 GB declared, a byte there":            {resize(plain, 0, 4<<30), "source.limit msg.invalid"},
		"all that 63 bits can say":               {resize(plain, 0, math.MaxInt64), "source.limit msg.invalid"},
		"a negative size":                        {resize(plain, 1024, math.MaxUint64), "msg.invalid msg.invalid"},
		"4 GB of no use":                         {resize(tarOf(t, one("a.bin", 1)), 0, 4<<30), "msg.invalid"},
		"symbolic links":                         {tarOf(t, link("a.jpg", "/etc/passwd", tar.TypeSymlink), one("b.jpg", 1)), "msg.invalid b.jpg"},
		"hard links":                             {tarOf(t, one("b.jpg", 1), link("c.jpg", "b.jpg", tar.TypeLink)), "b.jpg msg.invalid"},
		"a link to itself":                       {tarOf(t, link("a.jpg", "a.jpg", tar.TypeSymlink)), "msg.invalid"},
		"a link as a caption":                    {tarOf(t, one("a.jpg", 1), link("a.txt", "/etc/passwd", tar.TypeSymlink)), "msg.invalid"},
		"a link of no use":                       {tarOf(t, link("a", "/", tar.TypeSymlink), one("b.jpg", 1)), "b.jpg"},
		"a link as a folder, and into it":        {tarOf(t, link("up", "../../..", tar.TypeSymlink), one("up/b.jpg", 1)), "b.jpg"},
		"devices and pipes":                      {tarOf(t, link("a.jpg", "", tar.TypeChar), link("b.jpg", "", tar.TypeBlock), link("c.jpg", "", tar.TypeFifo)), "msg.invalid msg.invalid msg.invalid"},
		"a folder of a medium's name":            {tarOf(t, link("a.jpg/", "", tar.TypeDir), one("a.jpg/b.jpg", 1)), "b.jpg"},
		"paths that lead out":                    {tarOf(t, one("../../a.jpg", 1), one("/b.jpg", 1), one("x/../../c.jpg", 1)), "a.jpg b.jpg c.jpg"},
		"the same name again and again":          {tarOf(t, one("a.jpg", 1), one("a.jpg", 2), one("a.jpg", 1)), "a.jpg a.jpg a.jpg"},
		"a PAX header of a megabyte and more":    {tarOf(t, &tar.Header{Name: "a.jpg", Size: 1, PAXRecords: map[string]string{"X.y": long[:1<<20-100]}}, one("b.jpg", 1)), "a.jpg b.jpg"},
		"archives within":                        {tarOf(t, one("a.tar", 3), one("b.zip", 3), one("c.jpg", 1)), "c.jpg"},
		"members without a name":                 {tarOf(t, one(".jpg", 1), one("b.jpg", 1)), "b.jpg"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			path := write(t, filepath.Join(t.TempDir(), "w.tar"), string(c.raw))
			got := all(t, o, path)
			if n := names(got); n != c.want {
				t.Errorf("got  %s\nwant %s", n, c.want)
			}
			if left, err := os.ReadDir(o.Source.Dir); err != nil || len(left) > 0 {
				t.Errorf("the spool holds %v (%v)", left, err)
			}
		})
	}
	// One larger than archive/tar reads ends the archive before its first member.
	huge := tarOf(t, one("x", 1<<20+1), one("a.jpg", 1))
	huge[156] = 'x'
	wantError(t, options(t), "damaged", write(t, filepath.Join(t.TempDir(), "w.tar"), string(summed(huge, 0))))
}

func TestArchiveLimits(t *testing.T) {
	var many []member
	for i := range 20 {
		many = append(many, member{fmt.Sprintf("%02d.jpg", i), noise(1000)}, member{fmt.Sprintf("%02d.bin", i), "of no use"})
	}
	raw := tarBytes(t, many)
	for name, c := range map[string]struct {
		file   string
		raw    []byte
		change func(*Archive)
		want   string // the end of what comes, or the error's text
	}{
		"members of a tar":         {"w.tar", raw, func(a *Archive) { a.MaxMembers = 3 }, "00.jpg msg.invalid source.limit"},
		"just enough members":      {"w.tar", raw, func(a *Archive) { a.MaxMembers = 40 }, "18.jpg 19.jpg"},
		"bytes of a packed tar":    {"w.tgz", zipped(t, raw), func(a *Archive) { a.MaxUnpacked = 10_000 }, "02.jpg msg.invalid source.limit"},
		"bytes of a zstd tar":      {"w.tar.zst", zstandard(t, raw), func(a *Archive) { a.MaxUnpacked = 10_000 }, "02.jpg msg.invalid source.limit"},
		"members of a zip":         {"w.zip", zipBytes(t, many, zip.Store), func(a *Archive) { a.MaxMembers = 39 }, "more than 39 members"},
		"just enough, of a zip":    {"w.zip", zipBytes(t, many, zip.Deflate), func(a *Archive) { a.MaxMembers = 40 }, "18.jpg 19.jpg"},
		"bytes of a zip":           {"w.zip", zipBytes(t, many, zip.Store), func(a *Archive) { a.MaxUnpacked = 10_000 }, "more than 10000 bytes"},
		"the directory of a zip":   {"w.zip", zipBytes(t, many, zip.Store), func(a *Archive) { a.MaxDirectory = 100 }, "directory has"},
		"the ratio of a member":    {"w.zip", zipBytes(t, []member{{"a.jpg", strings.Repeat("x", 5000)}, {"b.jpg", "b"}}, zip.Deflate), func(a *Archive) { a.MaxRatio = 20 }, "source.limit b.jpg"},
		"a ratio that is just met": {"w.zip", zipBytes(t, []member{{"a.jpg", strings.Repeat("x", 5000)}}, zip.Deflate), func(a *Archive) { a.MaxRatio = 2000 }, "a.jpg"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			c.change(&o.Archive)
			path := write(t, filepath.Join(t.TempDir(), c.file), string(c.raw))
			if c.file == "w.zip" && strings.Contains(c.want, "than") || strings.Contains(c.want, "directory") {
				wantError(t, o, c.want, path)
				return
			}
			if got := names(all(t, o, path)); !strings.HasSuffix(got, c.want) {
				t.Errorf("got  %s\nwant ... %s", got, c.want)
			}
		})
	}
}

func noise(n int) string {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

// overlapping is a zip of n members that are all the same bytes.
func overlapping(t testing.TB, n int) []byte {
	t.Helper()
	raw := zipBytes(t, []member{{"a.jpg", strings.Repeat("x", 1000)}}, zip.Store)
	dir := bytes.Index(raw, []byte("PK\x01\x02"))
	end := bytes.Index(raw, []byte("PK\x05\x06"))
	out := append([]byte(nil), raw[:dir]...)
	for range n {
		out = append(out, raw[dir:end]...)
	}
	size := len(out) - dir
	tail := bytes.Clone(raw[end:])
	binary.LittleEndian.PutUint16(tail[8:], uint16(n))
	binary.LittleEndian.PutUint16(tail[10:], uint16(n))
	binary.LittleEndian.PutUint32(tail[12:], uint32(size))
	return append(out, tail...)
}

// field changes four bytes of a zip's directory entry or end record.
func field(raw []byte, signature string, at int, v uint32) []byte {
	raw = bytes.Clone(raw)
	binary.LittleEndian.PutUint32(raw[bytes.LastIndex(raw, []byte(signature))+at:], v)
	return raw
}

func zipOf(t testing.TB, headers ...*zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, h := range headers {
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte("/etc/passwd"))
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

func TestHostileZips(t *testing.T) {
	const entry, end = "PK\x01\x02", "PK\x05\x06"
	one := zipBytes(t, []member{{"a.jpg", "jpeg"}}, zip.Store)
	link := &zip.FileHeader{Name: "a.jpg"}
	link.SetMode(os.ModeSymlink | 0o777)
	pipe := &zip.FileHeader{Name: "b.jpg"}
	pipe.SetMode(os.ModeNamedPipe | 0o600)
	lie := zipBytes(t, []member{{"a.jpg", noise(3000)}, {"b.jpg", "b"}}, zip.Deflate)
	at := bytes.Index(lie, []byte(entry))
	grown := bytes.Clone(lie)
	binary.LittleEndian.PutUint32(grown[at+24:], 4_000)
	shrunk := bytes.Clone(lie)
	binary.LittleEndian.PutUint32(shrunk[at+24:], 10)
	for name, c := range map[string]struct {
		raw   []byte
		want  string
		error string
	}{
		"a link and a pipe":                 {raw: zipOf(t, link, pipe, &zip.FileHeader{Name: "c.jpg"}), want: "msg.invalid msg.invalid c.jpg"},
		"4 GB declared, four bytes there":   {raw: field(one, entry, 24, math.MaxUint32-1), want: "source.limit"},
		"more packed bytes than there are":  {raw: field(one, entry, 20, math.MaxUint32-1), error: "overlap"},
		"a size that is too large":          {raw: grown, want: "msg.invalid b.jpg"},
		"a size that is too small":          {raw: shrunk, want: "msg.invalid b.jpg"},
		"members that are the same bytes":   {raw: overlapping(t, 50), error: "overlap"},
		"archives within":                   {raw: zipBytes(t, []member{{"a.zip", string(one)}, {"b.tar", "x"}, {"c.jpg", "c"}}, zip.Store), want: "c.jpg"},
		"paths that lead out":               {raw: zipBytes(t, []member{{"../../a.jpg", "a"}, {"/b.jpg", "b"}, {`..\x\..\c.jpg`, "c"}, {`x\d.jpg`, "d"}}, zip.Store), want: `a.jpg b.jpg x%5Cd.jpg`},
		"the same name again":               {raw: zipBytes(t, []member{{"a.jpg", "1"}, {"a.jpg", "2"}}, zip.Store), want: "a.jpg a.jpg"},
		"a long name, and one that is none": {raw: zipBytes(t, []member{{strings.Repeat("n", 2000) + ".jpg", "1"}, {"\xff.jpg", "2"}}, zip.Store), want: "msg.limit msg.invalid"},
		"a method that nobody knows":        {raw: field(one, entry, 10, 99), want: "msg.invalid"},
		"an offset beyond the end":          {raw: field(one, end, 16, math.MaxUint32-1), want: "msg.invalid"},
		"a directory that is too large":     {raw: field(one, end, 12, 0x7f000000), error: "directory has"},
		"an end within the comment":         {raw: func() []byte { b := append(field(one, end, 12, 0x7f000000), end...); b[len(b)-6] = 4; return b }(), error: "directory has"},
		"nothing but an end":                {raw: []byte(end + strings.Repeat("\x00", 18))},
		"cut off":                           {raw: one[:len(one)-30], error: "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			path := write(t, filepath.Join(t.TempDir(), "w.zip"), string(c.raw))
			if c.error != "" {
				wantError(t, o, c.error, path)
				return
			}
			if got := names(all(t, o, path)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if left, err := os.ReadDir(o.Source.Dir); err != nil || len(left) > 0 {
				t.Errorf("the spool holds %v (%v)", left, err)
			}
		})
	}
}

// TestZipDirectoryLies has an end record that tells of a small directory where a large
// one stands: archive/zip would read all of it.
func TestZipDirectoryLies(t *testing.T) {
	o := options(t)
	o.Archive.MaxDirectory = 1000
	raw := overlapping(t, 50)
	size := bytes.LastIndex(raw, []byte("PK\x05\x06")) - bytes.Index(raw, []byte("PK\x01\x02"))
	wantError(t, o, fmt.Sprintf("directory has %d bytes", size), write(t, filepath.Join(t.TempDir(), "w.zip"), string(field(raw, "PK\x05\x06", 12, 60))))
}
