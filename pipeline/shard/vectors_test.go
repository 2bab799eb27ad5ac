package shard_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/shard"
)

// vector is a shard that the format's own library wrote (testdata/shards/make.py).
func vector(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "shards", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Shards of other writers are read, as far as they are of our kind.
func TestReadsLibrariesShards(t *testing.T) {
	npyOf := func(dtype string, shape []int, data string) string { return string(npy(dtype, shape, []byte(data))) }
	mds := [2]map[string]string{
		{"any": "\x41\x04\x01" + strings.Repeat("\x00", 8), "fixed.npy": npyOf("uint8", []int{2, 3}, strings.Repeat("\x00", 6)), "meta": `{"i": 0}`,
			"n": "\x00\x00\x00\x00", "patches.npy": npyOf("float32", []int{1, 2}, strings.Repeat("\x00", 8)), "raw": "\x00\xff", "txt": "words 0"},
		{"any": "\x41\x04\x01\x01" + strings.Repeat("\x00", 7), "fixed.npy": npyOf("uint8", []int{2, 3}, strings.Repeat("\x01", 6)), "meta": `{"i": 1}`,
			"n": "\x01\x00\x00\x00", "patches.npy": npyOf("float32", []int{2, 3}, strings.Repeat("\x00\x00\x80\x3f", 6)), "raw": "\x01\xff", "txt": "words 1"},
	}
	pq := [2]map[string]string{
		{"frame.jpg": "\xff\xd8", "json": `{"i":1}`, "vit.patches.npy": npyOf("uint8", []int{1, 2}, "\x01\x02")},
		{"json": `{"i":2}`, "vit.patches.npy": npyOf("uint8", []int{}, "\x03"), "bin": "\x00"},
	}
	for _, c := range []struct {
		file string
		keys [2]string
		want [2]map[string]string
	}{
		{"library.mds", [2]string{"s0", "s1"}, mds}, {"library.mds.zstd", [2]string{"s0", "s1"}, mds},
		{"pyarrow-zstd.parquet", [2]string{"a", "b"}, pq}, {"pyarrow-plain.parquet", [2]string{"a", "b"}, pq},
	} {
		data := vector(t, c.file)
		format, err := shard.FormatOf(c.file)
		if err != nil {
			t.Fatal(err)
		}
		got := readIn(t, format, bytes.NewReader(data), int64(len(data)))
		if len(got) != 2 {
			t.Fatalf("%s: %d samples", c.file, len(got))
		}
		for i, s := range got {
			fields := map[string]string{}
			for _, f := range s.Fields {
				fields[f.Name] = string(f.Data)
			}
			if s.Key != c.keys[i] || !reflect.DeepEqual(fields, c.want[i]) {
				t.Errorf("%s: sample %s has %q, want %q", c.file, s.Key, fields, c.want[i])
			}
		}
	}
	for file, why := range map[string]string{"pyarrow-snappy.parquet": "compressed with SNAPPY", "pyarrow-int.parquet": `column "x" is no`} {
		data := vector(t, file)
		r, err := shard.Open(shard.Parquet, bytes.NewReader(data), int64(len(data)), shard.DefaultLimits())
		if err == nil {
			_, err = r.Next()
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The entry that is made from a shard's first bytes is the one that the library's writer
// put into its index, but for a shard's digest before compression.
func TestMDSEntryIsTheLibrarys(t *testing.T) {
	for _, file := range []string{"library.mds", "library.mds.zstd"} {
		var index struct{ Shards []map[string]any }
		if err := json.Unmarshal(vector(t, file+".index.json"), &index); err != nil {
			t.Fatal(err)
		}
		want := index.Shards[0]
		stored := want["raw_data"].(map[string]any)
		if zip, ok := want["zip_data"].(map[string]any); ok {
			stored["hashes"] = map[string]any{}
			stored = zip
			want["compression"] = "zstd"
		}
		want["size_limit"] = nil
		data := vector(t, file)
		e, err := shard.ReadMDSEntry(bytes.NewReader(data), shard.Info{URL: "shard.00000" + strings.TrimPrefix(file, "library"),
			Samples: 2, Bytes: int64(len(data)), SHA256: stored["hashes"].(map[string]any)["sha256"].(string)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the entry is\n%v, the library's\n%v", file, got, want)
		}
	}
}

func TestMDSEntryFaults(t *testing.T) {
	plain, zipped, sum := vector(t, "library.mds"), vector(t, "library.mds.zstd"), strings.Repeat("0", 64)
	for _, c := range []struct {
		data []byte
		info shard.Info
		why  string
	}{
		{plain, shard.Info{URL: "a.mds", Samples: 3, SHA256: sum}, "2 samples, 3 were to be there"},
		{plain, shard.Info{URL: "a.mds", Samples: 2, SHA256: "x"}, "which is none in hex"},
		{zipped, shard.Info{URL: "a.mds", Samples: 2, SHA256: sum}, "does not end in .zstd"},
		{plain[:3], shard.Info{URL: "a.mds", Samples: 2, SHA256: sum}, "cut short"},
	} {
		c.info.Bytes = int64(len(c.data))
		if _, err := shard.ReadMDSEntry(bytes.NewReader(c.data), c.info); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v: %v", c.info, err)
		}
	}
	for _, text := range []string{"", `{"version":1,"shards":[{"raw_data":{}}]}`, `{"version":2,"shards":[null]}`, `{"version":2,"shards":[{}]}`} {
		if _, err := shard.ReadMDSIndex(strings.NewReader(text)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}

// walkAll reads all there is, and says what stopped it.
func walkAll(format string, data []byte, lim shard.Limits) (int, error) {
	r, err := shard.Open(format, bytes.NewReader(data), int64(len(data)), lim)
	if err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		e, err := r.Next()
		if err != nil {
			return n, err
		}
		for i, f := range e.Fields {
			got, err := shard.ReadField(r, e, i, nil, lim)
			if err != nil {
				return n, err
			}
			if int64(len(got)) != f.Size {
				return n, io.ErrUnexpectedEOF
			}
		}
	}
}

func TestLimitsOfColumns(t *testing.T) {
	for _, c := range []struct {
		file, why string
		change    func(*shard.Limits)
	}{
		{"library.mds", "the limit is 1", func(l *shard.Limits) { l.MaxSamples = 1 }},
		{"library.mds", "at most 4 columns", func(l *shard.Limits) { l.MaxFields = 3 }},
		{"library.mds", "the limit is 6", func(l *shard.Limits) { l.MaxName = 6 }},
		{"library.mds.zstd", "the limit is 50", func(l *shard.Limits) { l.MaxSampleBytes = 50 }},
		{"pyarrow-zstd.parquet", "the limit is 1", func(l *shard.Limits) { l.MaxSamples = 1 }},
		{"pyarrow-zstd.parquet", "the limit is 4", func(l *shard.Limits) { l.MaxFields = 3 }},
		{"pyarrow-zstd.parquet", "the limit is 8", func(l *shard.Limits) { l.MaxName = 8 }},
		{"pyarrow-plain.parquet", "the limit is 10", func(l *shard.Limits) { l.MaxSampleBytes = 10 }},
	} {
		format, err := shard.FormatOf(c.file)
		if err != nil {
			t.Fatal(err)
		}
		lim := shard.DefaultLimits()
		c.change(&lim)
		if _, err := walkAll(format, vector(t, c.file), lim); err == nil || err == io.EOF || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", c.file, err, c.why)
		}
	}
}

// A shard that was cut anywhere, or that bytes follow, is never taken for a whole one.
func TestCutColumns(t *testing.T) {
	for _, file := range []string{"library.mds", "library.mds.zstd", "pyarrow-zstd.parquet", "pyarrow-plain.parquet"} {
		format, err := shard.FormatOf(file)
		if err != nil {
			t.Fatal(err)
		}
		data := vector(t, file)
		for n := range data {
			if _, err := walkAll(format, data[:n], shard.DefaultLimits()); err == io.EOF || err == nil {
				t.Fatalf("%s: the first %d bytes of %d are read as a shard", file, n, len(data))
			}
		}
		if _, err := walkAll(format, append(data[:len(data):len(data)], 7), shard.DefaultLimits()); err == io.EOF || err == nil {
			t.Errorf("%s: a byte more is not seen", file)
		}
	}
}

func fuzz(f *testing.F, format string, files ...string) {
	for _, name := range files {
		f.Add(vector(f, name))
	}
	lim := shard.Limits{MaxSamples: 1000, MaxFields: 100, MaxName: 100, MaxSampleBytes: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := walkAll(format, data, lim); err == nil || n > lim.MaxSamples {
			t.Fatalf("%d samples, then %v", n, err)
		}
	})
}

func FuzzMDS(f *testing.F) { fuzz(f, shard.MDS, "library.mds", "library.mds.zstd") }
func FuzzParquet(f *testing.F) {
	fuzz(f, shard.Parquet, "pyarrow-zstd.parquet", "pyarrow-plain.parquet")
}
