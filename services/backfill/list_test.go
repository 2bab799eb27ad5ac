package backfill

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/source"
)

const badRow = pipeline.CodeMsgInvalid

func TestTextList(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "sub", "l.txt"), "\ufeffhttps://h.example/a.mp4?x=1\r\n\n# a comment\n  b c.mp4  \n../up.jpg\n/abs.png\ns3://b/k\n\xff\nfile:///x%20y\n"+
		strings.Repeat("y", maxRow+10)+"\nlast.gif")
	got := all(t, options(t), path)
	want := []string{"https://h.example/a.mp4?x=1", source.FileURI(filepath.Join(dir, "sub", "b c.mp4")), source.FileURI(filepath.Join(dir, "up.jpg")),
		"file:///abs.png", "s3://b/k", "msg.invalid", "file:///x%20y", "msg.limit", source.FileURI(filepath.Join(dir, "sub", "last.gif"))}
	for i, j := range got {
		if u := j.uris2() + string(j.code); i >= len(want) || u != want[i] {
			t.Errorf("row %d is %s", i+1, u)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

func TestCSV(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "l.csv"), "\ufeffid,URL,TEXT,note\n"+
		"1,http://h/1.jpg,a cat,\"x, \"\"y\"\"\nz <b>\"\n"+
		"2,http://h/2.jpg,it is 5\" tall,\n"+
		"too,few\n"+
		"4,,no url,\n"+
		"\n"+
		"5,http://h/5.jpg,\"quoted \"oddly\" here\",\r\n"+
		"6,http://h/6.jpg,\xff,\n"+
		"7,http://h/7.jpg,"+strings.Repeat("t", maxText+1)+",\n"+
		"8,http://h/8.jpg,\"never closed,\n"+
		"9,http://h/9.jpg,after it,\n"+
		"10,http://h/10.jpg,end,last")
	got := all(t, options(t), path)
	want := []job{
		{uris: []string{"http://h/1.jpg"}, text: "a cat", meta: `{"id":"1","note":"x, \"y\"\nz <b>"}`},
		{uris: []string{"http://h/2.jpg"}, text: `it is 5" tall`, meta: `{"id":"2","note":""}`},
		{code: badRow}, {code: badRow},
		{uris: []string{"http://h/5.jpg"}, text: `quoted "oddly" here`, meta: `{"id":"5","note":""}`},
		{code: badRow}, {code: pipeline.CodeMsgLimit}, {code: pipeline.CodeMsgLimit},
		{uris: []string{"http://h/9.jpg"}, text: "after it", meta: `{"id":"9","note":""}`},
		{uris: []string{"http://h/10.jpg"}, text: "end", meta: `{"id":"10","note":"last"}`},
	}
	compare(t, got, want)
	o := options(t)
	o.URLColumn, o.TextColumn, o.MetaColumns = "note", "id", []string{"URL"}
	if j := all(t, o, path)[9]; j.text != "10" || j.meta != `{"URL":"http://h/10.jpg"}` || !strings.HasSuffix(j.uris2(), "/last") {
		t.Errorf("with columns that were named: %+v", j)
	}
}

func compare(t *testing.T, got, want []job) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			t.Fatalf("%d jobs; want %d", len(got), len(want))
		}
		g, w := got[i], want[i]
		if !slices.Equal(g.uris, w.uris) || g.text != w.text || g.meta != w.meta || g.code != w.code {
			t.Errorf("job %d is %+v; want %+v", i, g, w)
		}
	}
	seen := map[string]bool{}
	for _, id := range ids(got) {
		if seen[id] {
			t.Errorf("the id %s comes twice", id)
		}
		seen[id] = true
	}
}

func TestTSV(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "l.tsv"), "caption\turl\na, b\thttp://h/1.jpg\n\"x\ty\"\thttp://h/2.jpg\n\"open\thttp://h/3.jpg\nfine\thttp://h/4.jpg\n")
	compare(t, all(t, options(t), path), []job{
		{uris: []string{"http://h/1.jpg"}, text: "a, b"},
		{uris: []string{"http://h/2.jpg"}, text: "x\ty"},
		{code: pipeline.CodeMsgLimit},
		{uris: []string{"http://h/4.jpg"}, text: "fine"},
	})
}

func TestJSONL(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "l.jsonl"), `{"w": 1.50, "url": "http://h/1.jpg", "caption": "c", "big": 9007199254740993, "o": {"a": [true, null]}}
{"url":"http://h/2.jpg"}
{"url":"http://h/3.jpg","url":"http://h/x.jpg"}
{"url":3}
{"text":"t"}
[1]
{"url":"http://h/7.jpg"} x
{"url":"http://h/8.jpg","deep":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+`}

{"video_url":"http://h/9.mp4","w":2}`)
	compare(t, all(t, options(t), path), []job{
		{uris: []string{"http://h/1.jpg"}, text: "c", meta: `{"w":1.50,"big":9007199254740993,"o":{"a": [true, null]}}`},
		{uris: []string{"http://h/2.jpg"}},
		{code: badRow}, {code: badRow}, {code: badRow}, {code: badRow}, {code: badRow}, {code: pipeline.CodeMsgLimit},
		{uris: []string{"http://h/9.mp4"}, meta: `{"w":2}`},
	})
	o := options(t)
	o.MetaColumns = []string{"w"}
	if j := all(t, o, path)[0]; j.meta != `{"w":1.50}` {
		t.Errorf("with one column: %+v", j)
	}
}

// TestPyArrow reads what pyarrow 26 wrote: see testdata/lists/README.md.
func TestPyArrow(t *testing.T) {
	path := filepath.Join("..", "..", "testdata", "lists", "pyarrow.parquet")
	l, err := Open(t.Context(), []string{path}, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if e := l.Estimate(); e.Jobs != 5 || !e.Final {
		t.Errorf("at first %+v", e)
	}
	got := readAll(t, l)
	meta := func(parts ...any) string {
		return fmt.Sprintf(`{"key":%v,"width":%v,"punsafe":%v,"nsfw":%v,"tags":%v,"size":%v,"when":"2026-01-02T03:04:05.006Z","day":"2026-01-02","price":12.34,"hash":"AP8Q","big":9223372036854775807,"ubig":18446744073709551615,"kv":{"a":1,"b":2},"cat":"%v","boxes":[[1,2],[3]]}`, parts...)
	}
	compare(t, got, []job{
		{uris: []string{"https://h.example/0.jpg"}, text: "a cat", meta: meta(0, 640, 0.5, true, `["a","b"]`, `{"h":2,"w":1}`, "x")},
		{uris: []string{"https://h.example/1.jpg"}, text: "zwei Hunde — ü", meta: meta(1, "null", "null", false, "[]", "null", "y")},
		{uris: []string{"https://h.example/2.jpg"}, meta: meta(2, 1, "1e-9", "null", "null", `{"h":3,"w":null}`, "x")},
		{code: badRow},
		{uris: []string{"https://h.example/4.jpg"}, meta: meta(4, 3, 2, true, `["d"]`, `{"h":7,"w":6}`, "y")},
	})
}

type parquetRow struct {
	Link string   `parquet:"link"`
	Text string   `parquet:"text"`
	W    int64    `parquet:"w"`
	F    *float64 `parquet:"f,optional"`
	L    []string `parquet:"l,list"`
	Raw  [2]byte  `parquet:"raw"`
	ID   [16]byte `parquet:"id,uuid"`
}

func TestParquet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.parquet")
	var rows []parquetRow
	for i := range 1000 {
		rows = append(rows, parquetRow{Link: fmt.Sprintf("media/%d.mp4", i), Text: "t", W: int64(i), L: []string{"a"}, Raw: [2]byte{0xff, byte(i)}, ID: [16]byte{1, 2}})
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewGenericWriter[parquetRow](f, parquet.MaxRowsPerRowGroup(300), parquet.Compression(&parquet.Zstd))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got := all(t, options(t), path)
	if len(got) != 1000 {
		t.Fatalf("%d rows", len(got))
	}
	for i, j := range got {
		if !strings.HasSuffix(j.uris2(), fmt.Sprintf("/media/%d.mp4", i)) || j.text != "t" || !strings.HasPrefix(j.meta, fmt.Sprintf(`{"w":%d,"f":null,"l":["a"],"raw":"`, i)) && !strings.Contains(j.meta, fmt.Sprintf(`"w":%d`, i)) {
			t.Fatalf("row %d: %+v", i, j)
		}
	}
	if !strings.Contains(got[0].meta, `"id":"01020000-0000-0000-0000-000000000000"`) || !strings.Contains(got[0].meta, `"raw":"/wA="`) {
		t.Errorf("the meta is %s", got[0].meta)
	}
	// A damaged page ends the list, after what came before it.
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 2; i < len(b)/2+400; i++ {
		b[i] ^= 0x55
	}
	o := options(t)
	got = all(t, o, write(t, path, string(b)))
	if last := got[len(got)-1]; last.code != badRow || len(got) < 100 || len(got) > 1000 {
		t.Errorf("of a damaged file %d rows came, the last %+v", len(got), last)
	}
}

// TestRowEnd holds the row splitter to where the standard parser ends its rows.
func TestRowEnd(t *testing.T) {
	for in, want := range map[string]int{
		"a,b\nc": 3, "\"a\nb\",c\nd": 7, "a\"b\nc": 3, "\"a\"\"\n\"\nx": 6, "\"a\"\r\nb": 4, "\"a\" ,\nb\"\nc": 8, "a,\"b\nc\"\n": 7,
		"abc": -1, "\"abc\n": -1, "": -1, "\n": 0,
	} {
		if got, _ := rowEnd([]byte(in), ','); got != want {
			t.Errorf("%q ends at %d; want %d", in, got, want)
		}
	}
}
