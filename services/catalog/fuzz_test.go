package catalog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// documents are the loaders' indexes, as [documentsOf] has them.
func documents() []indexDocument {
	return append(documentsOf(1, "d", shard.WebDataset), documentsOf(1, "d", shard.MDS)...)
}

// FuzzIndex: reading an index ends, and gives no more than stands in it.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{
		"../../data/a.tar\n../../data/b.tar\n",
		`{"__kind__":"wids-shard-index-v1","shardlist":[{"url":"a.tar","nsamples":3},{"url":"b.tar","nsamples":1}]}`,
		`{"exclude":[],"split_parts":{"train":["a.tar","b.tar"],"val":[]}}`,
		`{"energon_version":"7","shard_counts":{"a.tar":3,"b.tar":1}}`,
		`{"shards":[{"samples":2,"raw_data":{"basename":"a.mds","bytes":9,"hashes":{}},"zip_data":null}],"version":2}`,
	} {
		for i := range documents() {
			f.Add(uint8(i), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		docs := documents()
		next, err := docs[int(which)%len(docs)].open("key", bytes.NewReader(data))
		if err != nil {
			return
		}
		for n, named := 0, 0; ; n++ {
			e, more, err := next()
			if err != nil || !more {
				return
			}
			// An invalid byte becomes three: U+FFFD.
			if named += len(e.url); n > len(data) || named > 3*len(data) {
				t.Fatalf("%d entries of %d bytes in %d", n, named, len(data))
			}
		}
	})
}

// FuzzIndexWritten: what the writers write of a shard's name is what is read back, or they
// refuse it.
func FuzzIndexWritten(f *testing.F) {
	f.Add("../../", "data/s/1/a.tar", int64(3))
	f.Add("", "data/\"<&\u2028>\\.tar", int64(0))
	f.Add("../", "a\nb", int64(1))
	f.Fuzz(func(t *testing.T, up, key string, samples int64) {
		if samples < 0 {
			return
		}
		url := up + key
		info := shard.Info{URL: url, Samples: samples, Bytes: 1}
		entry := &shard.MDSEntry{Samples: samples, RawData: &shard.MDSFile{Basename: key, Bytes: 1}}
		for i, w := range []struct {
			write func(io.Writer) error
			open  func(string, io.Reader) (entrySource, error)
			want  indexEntry
		}{
			{func(w io.Writer) error { return shard.WriteShardList(w, []string{url}) }, listEntries, indexEntry{url, -1}},
			{func(w io.Writer) error { return shard.WriteWids(w, "d", []shard.Info{info}) }, widsEntries, indexEntry{url, samples}},
			{func(w io.Writer) error { return shard.EnergonSplit(w, []shard.Info{info}) }, splitEntries, indexEntry{url, -1}},
			{func(w io.Writer) error { return shard.EnergonInfo(w, []shard.Info{info}) }, infoEntries, indexEntry{url, samples}},
			{func(w io.Writer) error { return shard.WriteMDSIndex(w, up, []*shard.MDSEntry{entry}) }, mdsEntriesOf, indexEntry{url, samples}},
		} {
			var b bytes.Buffer
			if err := w.write(&b); err != nil {
				continue
			}
			next, err := w.open("key", &b)
			if err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			n := 0
			for ; ; n++ {
				e, more, err := next()
				if err != nil && len(url) < mostLine {
					t.Fatalf("%d: after %d entries of %q: %v", i, n, url, err)
				}
				if err != nil || !more {
					break
				}
				if e != w.want {
					t.Fatalf("%d: %q is read as %q", i, w.want, e)
				}
			}
			if n == 0 && len(url) < mostLine {
				t.Fatalf("%d: %q is not there", i, url)
			}
		}
	})
}

// FuzzTarIndex: an index that may be a shard's has offsets that grow within it, and is what
// is written of them.
func FuzzTarIndex(f *testing.F) {
	index := shard.TarIndex([]shard.Entry{{Offset: 0, Length: 1024}, {Offset: 1024, Length: 1536}})
	f.Add(index, int64(2), int64(2560+1024))
	f.Add(index, int64(2), int64(2560))
	f.Add(index[:16], int64(2), int64(3584))
	f.Add([]byte{}, int64(0), int64(0))
	f.Fuzz(func(t *testing.T, index []byte, samples, size int64) {
		if samples < 0 { // no record says so
			return
		}
		if plausible(index, ledger.Shard{Samples: samples, Bytes: size}) != "" {
			return
		}
		var entries []shard.Entry
		for i := 0; i+16 <= len(index); i += 8 {
			at, end := int64(binary.LittleEndian.Uint64(index[i:])), int64(binary.LittleEndian.Uint64(index[i+8:]))
			if at < 0 || end <= at || end > size {
				t.Fatalf("sample %d from %d to %d of %d bytes", i/8, at, end, size)
			}
			entries = append(entries, shard.Entry{Offset: at, Length: end - at})
		}
		if int64(len(entries)) != samples {
			t.Fatalf("%d entries for %d samples", len(entries), samples)
		}
		if again := shard.TarIndex(entries); samples > 0 && !bytes.Equal(again, index) {
			t.Fatalf("% x is written as % x", index, again)
		}
	})
}

// FuzzForward: what a stream gives at growing offsets is what stands there.
func FuzzForward(f *testing.F) {
	f.Add(bytes.Repeat([]byte("0123456789"), 1000), []byte{0, 1, 2, 200, 9, 3, 255, 255, 1})
	f.Fuzz(func(t *testing.T, data, moves []byte) {
		r := &forward{r: bufio.NewReaderSize(bytes.NewReader(data), 16)}
		whole := strings.NewReader(string(data))
		at := int64(0)
		for len(moves) >= 3 {
			at = max(0, at+int64(moves[0])*64-int64(moves[1]))
			got, want := make([]byte, 8*int(moves[2])), make([]byte, 8*int(moves[2]))
			back := r.at - at
			n, err := r.ReadAt(got, at)
			m, _ := whole.ReadAt(want, at)
			if back > mostBack && err == nil {
				t.Fatalf("it went %d bytes back", back)
			}
			if err == io.ErrUnexpectedEOF { // past the end
				err = io.EOF
			}
			if err != nil && err != io.EOF { // too far back
				if back <= int64(len(r.tail)) {
					t.Fatalf("at %d, %d bytes back: %v", at, back, err)
				}
				return
			}
			if n != m || !bytes.Equal(got[:n], want[:m]) {
				t.Fatalf("%d bytes at %d, want %d: %v", n, at, m, err)
			}
			if len(got) > 0 && (n < len(got)) != (err == io.EOF) {
				t.Fatalf("%d of %d bytes at %d of %d: %v", n, len(got), at, len(data), err)
			}
			at, moves = at+int64(n), moves[3:]
		}
	})
}

// FuzzDone: the list of a snapshot's indexes is read whole or refused.
func FuzzDone(f *testing.F) {
	f.Add([]byte(`[{"dataset":"d","format":"mds","shards":3}]`))
	f.Add([]byte("[]\n"))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := store.NewMemory()
		if err := s.Put(t.Context(), doneKey(3), store.BytesBody(data)); err != nil {
			t.Fatal(err)
		}
		indexes, err := indexed(t.Context(), s, 3)
		if err == nil && indexes == nil {
			t.Fatalf("%q is there, and says that it is not", data)
		}
		if len(indexes) > len(data) {
			t.Fatalf("%d indexes in %d bytes", len(indexes), len(data))
		}
	})
}
