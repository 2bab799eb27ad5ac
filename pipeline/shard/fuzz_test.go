package shard_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// FuzzWriter: whatever sample is added between two others, a shard gives back just what it
// took, and where; and a sample that it refuses leaves no trace.
func FuzzWriter(f *testing.F) {
	array := npy("float32", []int{1, 2}, []byte("12345678"))
	f.Add("k", "json", []byte(`{"a":[1,2.5e300]}`), "vit.patches.npy", array)
	f.Add("k", "txt", []byte("ein B\xc3\xa4r"), "frame.png", []byte("\x89PNG"))
	f.Add("k", "txt", []byte("\xff"), "x.npy", array[:len(array)-1])
	f.Add("a", "json", []byte("{}"), "json", []byte("{}"))
	f.Add("../k", "d/x.jpg", []byte{}, "", []byte{})
	f.Add(strings.Repeat("k", 90), strings.Repeat("f", 90)+".bin", []byte{}, "x.bin", bytes.Repeat([]byte{0}, 1000))
	f.Fuzz(func(t *testing.T, key, name1 string, data1 []byte, name2 string, data2 []byte) {
		for _, form := range forms {
			w, err := shard.Create(t.TempDir(), form.format, shard.Options{Name: "x", Compression: form.compression, Fields: []string{"json", "txt", "vit.patches.npy"}})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			odd := pipeline.Sample{Key: key, Fields: []pipeline.Field{{Name: name1, Data: data1}}}
			if name2 != "" {
				odd.Fields = append(odd.Fields, pipeline.Field{Name: name2, Data: data2})
			}
			// In MDS the others have its columns, if it is possible at all.
			shape, err := shard.Shape(form.format, &odd)
			others := []pipeline.Field{{Name: "json", Data: []byte("{}")}}
			if err == nil {
				if plain, err := shard.Shape(form.format, &pipeline.Sample{Key: "a", Fields: others}); err != nil || plain != shape {
					others = odd.Fields
				}
			}
			var want []pipeline.Sample
			for _, s := range []pipeline.Sample{{Key: "a", Fields: others}, odd, {Key: "z", Fields: others}} {
				before, n := w.Bytes(), w.Samples()
				err := w.Add(&s)
				if err == nil {
					s.Fields = append([]pipeline.Field(nil), s.Fields...)
					byName(&s)
					want = append(want, s)
					if w.Samples() != n+1 || w.Bytes() < before {
						t.Fatalf("%s: after it there are %d samples in %d bytes", form, w.Samples(), w.Bytes())
					}
					continue
				}
				if w.Bytes() != before || w.Samples() != n {
					t.Fatalf("%s: %v, and there are %d bytes more", form, err, w.Bytes()-before)
				}
				if check := shard.Check(form.format, &s); check == nil && s.Key != "a" && s.Key != "z" && !errors.Is(err, shard.ErrFull) {
					t.Fatalf("%s: a sample that was found good is refused: %v", form, err)
				}
			}
			if len(want) == 0 {
				continue
			}
			s, err := w.Seal()
			if err != nil {
				t.Fatalf("%s: %v", form, err)
			}
			defer s.Close()
			if got := readIn(t, form.format, s, s.Bytes); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
				t.Fatalf("%s: read %.2000q\nwrote %.2000q", form, got, want)
			}
			if s.Samples() != len(want) {
				t.Fatalf("%s: it says that it has %d samples of %d", form, s.Samples(), len(want))
			}
		}
	})
}

// FuzzMDSIndex: what is read of a foreign index is written and read again the same.
func FuzzMDSIndex(f *testing.F) {
	f.Add([]byte(`{"version":2,"shards":[{"column_encodings":["str"],"column_names":["txt"],"column_sizes":[null],"compression":"zstd:3","format":"mds","hashes":[],"raw_data":{"basename":"a.mds","bytes":9,"hashes":{}},"samples":2,"size_limit":67108864,"version":2,"zip_data":{"basename":"a.mds.zstd","bytes":5,"hashes":{"sha1":"x"}}}]}`))
	f.Add([]byte(`{"version":2,"shards":[null]}`))
	f.Add([]byte(`{"version":2,"shards":[{"raw_data":{"basename":"../x"}}]} {`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := shard.ReadMDSIndex(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b, again bytes.Buffer
		if err := shard.WriteMDSIndex(&b, "", entries); err != nil {
			return // it names what no library could open
		}
		text := b.String()
		read, err := shard.ReadMDSIndex(&b)
		if err == nil {
			err = shard.WriteMDSIndex(&again, "", read)
		}
		if err != nil || again.String() != text {
			t.Fatalf("%s is read back as %s, %v", text, again.String(), err)
		}
	})
}
