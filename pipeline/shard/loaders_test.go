package shard_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// found is what the scripts of testdata/readers print.
type found struct {
	Samples int
	Shards  int
	Fields  map[string]map[string]int
	Faults  []string
}

// read runs a script of testdata/readers with the real libraries, which "make tools"
// installs in .cache/readers, or MILLRACE_READERS names.
func read(t *testing.T, script string, args ...string) found {
	t.Helper()
	root, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(root, "go.mod")); missing == nil {
			break
		}
		root = filepath.Dir(root)
	}
	venv := os.Getenv("MILLRACE_READERS")
	if venv == "" {
		venv = filepath.Join(root, ".cache", "readers")
	}
	python := filepath.Join(venv, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		if testing.Short() {
			t.Skip("the real readers are not installed")
		}
		t.Fatalf("the real readers are not installed: run make tools (%v)", err)
	}
	cmd := exec.Command(python, append([]string{"-B", filepath.Join(root, "testdata", "readers", script)}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, runErr := cmd.Output()
	var f found
	if err := json.Unmarshal(out, &f); err != nil {
		t.Fatalf("%s: %v, %v: %s", script, runErr, err, stderr.String())
	}
	if (runErr != nil) != (len(f.Faults) > 0) {
		t.Fatalf("%s: %d faults, but it ended with %v", script, len(f.Faults), runErr)
	}
	return f
}

func npy(dtype string, shape []int, data []byte) []byte {
	return patch.AppendNPY(nil, patch.Array{DType: dtype, Shape: shape, Data: data})
}

// real is sample i, with fields as the line makes them.
func real(t testing.TB, i int) pipeline.Sample {
	t.Helper()
	var pic bytes.Buffer
	if err := png.Encode(&pic, image.NewNRGBA(image.Rect(0, 0, 8, 6))); err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("%024x-0-0-%015d", i, i)
	return pipeline.Sample{Key: key, Fields: []pipeline.Field{
		{Name: "json", Data: fmt.Appendf(nil, `{"key":%q,"i":%d}`, key, i)},
		{Name: "txt", Data: []byte("ein Bär")},
		{Name: "vit.patches.npy", Data: npy("uint8", []int{4, 12}, bytes.Repeat([]byte{byte(i)}, 48))},
		{Name: "siglip2-naflex.mask.npy", Data: npy("int32", []int{2}, make([]byte, 8))},
		{Name: "vit.grid.npy", Data: npy("int64", []int{2}, make([]byte, 16))},
		{Name: "frame.png", Data: pic.Bytes()},
	}}
}

// store seals a shard of samples [from, to) as a file of dir.
func store(t *testing.T, dir, name string, from, to int) shard.Info {
	t.Helper()
	w := create(t, name)
	for i := from; i < to; i++ {
		add(t, w, real(t, i))
	}
	s := seal(t, w)
	data, err := io.ReadAll(s.Reader())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", s.Name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return shard.Info{URL: "../data/" + s.Name, Samples: int64(s.Samples()), Bytes: s.Bytes}
}

func write(t *testing.T, path string, by func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := by(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

var arrays = []string{"--samples", "7", "--expect", "vit.patches.npy=uint8:4,12", "--expect", "siglip2-naflex.mask.npy=int32:2", "--expect", "vit.grid.npy=int64:*"}

func TestRealLoaders(t *testing.T) {
	dir := t.TempDir()
	shards := []shard.Info{store(t, dir, "01A", 0, 4), store(t, dir, "01B", 4, 7)}
	list, index := filepath.Join(dir, "snap", "shards.txt"), filepath.Join(dir, "snap", "wids.json")
	write(t, list, func(w io.Writer) error { return shard.WriteShardList(w, []string{shards[0].URL, shards[1].URL}) })
	write(t, index, func(w io.Writer) error { return shard.WriteWids(w, "real", shards) })

	f := read(t, "read_webdataset.py", append([]string{list}, arrays...)...)
	if len(f.Faults) > 0 || f.Samples != 7 || f.Shards != 2 || f.Fields["frame.png"]["RGB:8x6"] != 7 || f.Fields["txt"]["bytes"] != 7 {
		t.Errorf("webdataset: %+v", f)
	}
	f = read(t, "read_wids.py", append([]string{index}, arrays...)...)
	if len(f.Faults) > 0 || f.Samples != 7 || f.Shards != 2 {
		t.Errorf("wids: %+v", f)
	}
}

// Each check of the reading scripts can fail.
func TestReadersSeeDamage(t *testing.T) {
	type members = []*tar.Header
	edit := func(change func(members, map[*tar.Header][]byte) members) func([]byte) []byte {
		return func(data []byte) []byte {
			hs, content := untar(t, data)
			return retar(t, change(hs, content), content)
		}
	}
	rename := func(from, to string) func([]byte) []byte {
		return edit(func(m members, _ map[*tar.Header][]byte) members {
			for _, h := range m {
				h.Name = strings.Replace(h.Name, from, to, 1)
			}
			return m
		})
	}
	replace := func(field string, data []byte) func([]byte) []byte {
		return edit(func(m members, c map[*tar.Header][]byte) members {
			for _, h := range m {
				if strings.HasSuffix(h.Name, field) {
					c[h] = data
				}
			}
			return m
		})
	}
	second := fmt.Sprintf("%024x-0-0-%015d", 1, 1)
	for _, c := range []struct {
		name   string
		damage func([]byte) []byte
		why    string
	}{
		{"cut in the data", func(b []byte) []byte { return b[:3000] }, "unexpected end of data"},
		{"cut between members", func(b []byte) []byte { return b[:1024] }, "two zero blocks"},
		{"no end", func(b []byte) []byte { return b[:len(b)-1024] }, "two zero blocks"},
		{"a key twice", rename(second, fmt.Sprintf("%024x-0-0-%015d", 0, 0)), "twice"},
		{"not neighbours", edit(func(m members, _ map[*tar.Header][]byte) members { return append(m[1:], m[0]) }), "not neighbours"},
		{"no member's name", rename(".txt", ""), "no sample's member"},
		{"upper case", rename(".txt", ".TXT"), "upper case"},
		{"empty field", replace(".txt", nil), "empty"},
		{"other dtype", replace("patches.npy", npy("int32", []int{4, 12}, make([]byte, 192))), "dtype is int32, uint8 was expected"},
		{"other shape", replace("patches.npy", npy("uint8", []int{12, 4}, make([]byte, 48))), "shape is (12, 4)"},
		{"short array", replace("patches.npy", npy("uint8", []int{4, 12}, make([]byte, 40))), "patches.npy: "},
		{"long array", replace("patches.npy", npy("uint8", []int{4, 12}, make([]byte, 50))), "behind the array's end"},
		{"missing array", rename("vit.patches.npy", "vit.p.npy"), "no field vit.patches.npy"},
		{"text that is not", replace(".txt", []byte{0xff}), "can't decode"},
		{"broken json", replace(".json", []byte("{")), ".json: "},
		{"json of another", replace(".json", []byte(`{"key":"x"}`)), "names another key"},
		{"broken picture", replace(".png", []byte("\x89PNG\r\n\x1a\n")), "cannot identify image"},
		{"missing sample", edit(func(m members, _ map[*tar.Header][]byte) members { return m[6:] }), "6 samples, 7 were expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			store(t, dir, "01A", 0, 7)
			path := filepath.Join(dir, "data", "01A.tar")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.damage(data), 0o644); err != nil {
				t.Fatal(err)
			}
			f := read(t, "read_webdataset.py", append([]string{dir}, arrays...)...)
			if !strings.Contains(strings.Join(f.Faults, "\n"), c.why) {
				t.Errorf("faults are %q", f.Faults)
			}
		})
	}
}

func TestWidsSeesDamage(t *testing.T) {
	dir := t.TempDir()
	a, b := store(t, dir, "01A", 0, 4), store(t, dir, "01B", 4, 7)
	overlap := store(t, dir, "01C", 3, 6)
	missing := shard.Info{URL: "../data/01D.tar", Samples: 3, Bytes: 1}
	more, larger := b, b
	more.Samples++
	larger.Bytes += 512
	for name, c := range map[string]struct {
		second shard.Info
		why    string
	}{
		"a sample too many": {more, "holds 3 samples, the index says 4"},
		"other size":        {larger, "the index says"},
		"a key twice":       {overlap, "the key comes twice"},
		"no such shard":     {missing, "No such file"},
	} {
		index := filepath.Join(dir, "snap", "wids.json")
		write(t, index, func(w io.Writer) error { return shard.WriteWids(w, "x", []shard.Info{a, c.second}) })
		f := read(t, "read_wids.py", append([]string{index}, arrays...)...)
		if !strings.Contains(strings.Join(f.Faults, "\n"), c.why) {
			t.Errorf("%s: faults are %q", name, f.Faults)
		}
	}
}

func untar(t *testing.T, data []byte) ([]*tar.Header, map[*tar.Header][]byte) {
	t.Helper()
	var hs []*tar.Header
	content := map[*tar.Header][]byte{}
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return hs, content
		}
		if err != nil {
			t.Fatal(err)
		}
		if content[h], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		hs = append(hs, h)
	}
}

func retar(t *testing.T, hs []*tar.Header, content map[*tar.Header][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		h.Size = int64(len(content[h]))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content[h]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
