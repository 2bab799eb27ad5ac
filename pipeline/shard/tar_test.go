package shard_test

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// tarOf writes members with the standard library's writer.
func tarOf(t testing.TB, members ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, h := range members {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o444
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte{byte('a' + i)}, int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func plain(name string, size int64) *tar.Header { return &tar.Header{Name: name, Size: size} }

// Ours is the USTAR that the standard library writes, byte by byte.
func TestEqualsStandardWriter(t *testing.T) {
	w := create(t, "x")
	add(t, w, small()...)
	s := seal(t, w)
	var b bytes.Buffer
	std := tar.NewWriter(&b)
	for _, p := range small() {
		for _, f := range p.Fields {
			h := &tar.Header{
				Typeflag: tar.TypeReg, Name: p.Key + "." + f.Name, Size: int64(len(f.Data)),
				Mode: 0o444, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
			}
			if err := std.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := std.Write(f.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := std.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s.Reader())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Error("other bytes than archive/tar writes")
	}
}

func walk(data []byte, lim shard.Limits) (keys []string, err error) {
	r, err := shard.Open(shard.WebDataset, bytes.NewReader(data), int64(len(data)), lim)
	if err != nil {
		return nil, err
	}
	for {
		e, err := r.Next()
		if err == io.EOF {
			return keys, nil
		}
		if err != nil {
			return keys, err
		}
		names := make([]string, len(e.Fields))
		for i, f := range e.Fields {
			names[i] = f.Name
			if _, err := io.Copy(io.Discard, r.Open(i)); err != nil {
				return keys, err
			}
		}
		keys = append(keys, e.Key+":"+strings.Join(names, ","))
	}
}

func TestReadsOthersShards(t *testing.T) {
	long := strings.Repeat("l", 180)
	data := tarOf(t,
		&tar.Header{Name: "train/", Typeflag: tar.TypeDir, Mode: 0o755},
		plain("train/a.JPG", 700), plain("train/a.cls", 0),
		plain("train/"+long+".seg.png", 3), // PAX, or a prefix
		&tar.Header{Name: "train/ü.json", Size: 2, Format: tar.FormatPAX, PAXRecords: map[string]string{"VENDOR.x": "y"}},
		&tar.Header{Name: "g.json", Size: 2, Format: tar.FormatGNU},
	)
	data = append(data, make([]byte, 4096)...) // as GNU tar's larger records
	keys, err := walk(data, shard.DefaultLimits())
	want := "train/a:jpg,cls train/" + long + ":seg.png train/ü:json g:json"
	if err != nil || strings.Join(keys, " ") != want {
		t.Errorf("read %v, %v", keys, err)
	}
}

func TestDamage(t *testing.T) {
	good := func() []byte { return tarOf(t, plain("a.json", 2), plain("a.npy", 600), plain("b.json", 2)) }
	lim := shard.DefaultLimits()
	for _, c := range []struct {
		name string
		data []byte
		lim  shard.Limits
		keys int // that come out before the fault
		why  string
	}{
		{"empty", nil, lim, 0, "zero blocks of the end are missing"},
		{"no end", good()[:len(good())-1024], lim, 2, "zero blocks of the end are missing"},
		{"half an end", good()[:len(good())-512], lim, 2, "zero blocks of the end are missing"},
		{"cut between members", good()[:1024], lim, 1, "zero blocks of the end are missing"},
		{"cut in a header", good()[:1024+100], lim, 1, "cut short"},
		{"cut in the data", good()[:1024+512+300], lim, 1, "cut short"},
		{"cut in the padding", good()[:1024+512+700], lim, 1, "cut short"},
		{"bytes behind the end", append(good(), 7), lim, 2, "bytes behind its end"},
		{"a broken header", bytes.Replace(good(), []byte("a.npy"), []byte("c.npy"), 1), lim, 1, "invalid tar header"},
		{"not neighbours", tarOf(t, plain("a.json", 2), plain("b.json", 2), plain("a.npy", 2)), lim, 2, `"a" comes again`},
		{"a field twice", tarOf(t, plain("a.json", 2), plain("a.JSON", 2)), lim, 0, "twice"},
		{"no extension", tarOf(t, plain("README", 2)), lim, 0, "WebDataset would skip it"},
		{"hidden", tarOf(t, plain("d/.json", 2)), lim, 0, "WebDataset would skip it"},
		{"climbs out", tarOf(t, plain("../a.json", 2)), lim, 0, "unsafe name"},
		{"absolute", tarOf(t, plain("/etc/a.json", 2)), lim, 0, "unsafe name"},
		{"climbs out within", tarOf(t, plain("d/../../a.json", 2)), lim, 0, "unsafe name"},
		{"link", tarOf(t, &tar.Header{Name: "a.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), lim, 0, "no plain file"},
		{"device", tarOf(t, &tar.Header{Name: "a.json", Typeflag: tar.TypeChar}), lim, 0, "no plain file"},
		{"samples", good(), shard.Limits{MaxSamples: 1, MaxFields: 9, MaxName: 99}, 1, "more than 1 samples"},
		{"fields", good(), shard.Limits{MaxSamples: 9, MaxFields: 1, MaxName: 99}, 0, "more than 1 fields"},
		{"name", good(), shard.Limits{MaxSamples: 9, MaxFields: 9, MaxName: 5}, 0, "the limit is 5"},
	} {
		keys, err := walk(c.data, c.lim)
		if err == nil || !strings.Contains(err.Error(), c.why) || len(keys) != c.keys {
			t.Errorf("%s: %d samples, then %v", c.name, len(keys), err)
		}
	}
	if keys, err := walk(good(), lim); err != nil || len(keys) != 2 {
		t.Errorf("undamaged: %v, %v", keys, err)
	}
}

func TestSampleOverLimit(t *testing.T) {
	data := tarOf(t, plain("a.json", 20), plain("a.npy", 20))
	r, err := shard.Open(shard.WebDataset, bytes.NewReader(data), int64(len(data)), shard.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	lim := shard.Limits{MaxSampleBytes: 39}
	if err := shard.ReadSample(r, e, new(pipeline.Sample), lim); err == nil || !strings.Contains(err.Error(), "40 bytes; the limit is 39") {
		t.Errorf("a sample of 40 bytes: %v", err)
	}
	if got, err := shard.ReadField(r, e, 1, nil, lim); err != nil || string(got) != strings.Repeat("b", 20) {
		t.Errorf("a field of 20 bytes: %q, %v", got, err)
	}
}

// What the reader lists lies in the file, without overlap and in order.
func FuzzReader(f *testing.F) {
	f.Add(tarOf(f, plain("a.json", 2), plain("a.npy", 600), plain("b.json", 2)))
	f.Add(tarOf(f, plain("d/"+strings.Repeat("l", 180)+".x", 1), &tar.Header{Name: "g.json", Size: 2, Format: tar.FormatGNU}))
	f.Add(tarOf(f, &tar.Header{Name: "p.json", Size: 2, Format: tar.FormatPAX, PAXRecords: map[string]string{"VENDOR.x": "y"}}))
	f.Add(tarOf(f, plain("a.json", 2), &tar.Header{Name: "d/", Typeflag: tar.TypeDir}, plain("b.json", 2))[:1500])
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := shard.Open(shard.WebDataset, bytes.NewReader(data), int64(len(data)), shard.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		at, seen := int64(0), map[string]bool{}
		for {
			e, err := r.Next()
			if err != nil {
				if _, again := r.Next(); again == nil {
					t.Fatalf("a sample after %v", err)
				}
				return
			}
			if e.Offset < at || e.Length <= 0 || seen[e.Key] || len(e.Fields) == 0 {
				t.Fatalf("entry %+v at %d", e, at)
			}
			at = e.Offset
			seen[e.Key] = true
			for i, fe := range e.Fields {
				if fe.Offset < at || fe.Size < 0 || fe.Offset+fe.Size > min(e.Offset+e.Length, int64(len(data))) {
					t.Fatalf("field %+v of %+v", fe, e)
				}
				at = fe.Offset + fe.Size
				got, err := shard.ReadField(r, e, i, nil, shard.DefaultLimits())
				if err != nil || !bytes.Equal(got, data[fe.Offset:at]) {
					t.Fatalf("field %+v reads %q, %v", fe, got, err)
				}
			}
			at = e.Offset + e.Length
		}
	})
}
