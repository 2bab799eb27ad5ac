package ledger_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
)

var update = flag.Bool("update", false, "write the golden records anew")

// sample records of each kind, with every field in use.
func goldens() map[string]*ledger.Record {
	of := int64(7)
	base := ledger.Record{
		Version: 1, Stream: stream.Path(), Writer: "01JDZ0000000000000000WRITER", Token: "01JDZ00000000000000000TOKEN",
		Previous: strings.Repeat("0f", 32), Time: time.Date(2026, 11, 24, 12, 34, 56, 789e6, time.UTC),
	}
	genesis, fence, data := base, base, base
	genesis.Kind, genesis.Previous, genesis.From, genesis.To = ledger.Genesis, "", 42, 42
	fence.Kind, fence.Seq, fence.Epoch, fence.From, fence.To = ledger.Fence, 8, 3, 42, 42
	data.Kind, data.Seq, data.Epoch, data.From, data.To = ledger.Data, 9, 3, 42, 50
	data.Tools = map[string]string{"millrace": "v0.1.0", "ffmpeg": "5.1.9"}
	data.Skipped = []ledger.Skip{{From: 44, To: 46, Reason: "control"}}
	data.Shards = []ledger.Shard{{
		Key: "data/cluster-1~ingest~3/00000000000000000003/01JDZ00000000000000000SHARD.tar", Dataset: "clips", Recipe: strings.Repeat("ab", 32),
		Format: "webdataset", Bytes: 268435456, SHA256: strings.Repeat("cd", 32), CRC32C: "00c0ffee", Samples: 12, From: 42, To: 50,
	}}
	data.Outcomes = []ledger.Outcome{
		{Offset: 42, ID: "a<b>&c", Dataset: "clips", Status: ledger.OK, Samples: 10, Sources: []ledger.Source{
			{URI: "s3://bucket/clip.mp4", Version: "v1", SHA256: strings.Repeat("ef", 32), Bytes: 1 << 20},
		}},
		{Offset: 43, ID: "again", Dataset: "clips", Status: ledger.DupOf, Of: &of},
		{Offset: 46, ID: "bad", Dataset: "clips", Status: ledger.Quarantined, Code: "decode.invalid", Stage: "probe", Detail: "naïve “text” \u2028 with <tags>"},
		{Offset: 47, ID: "one", Dataset: "clips", Status: ledger.OK, Samples: 1},
		{Offset: 47, Part: 1, ID: "two", Dataset: "clips", Status: ledger.OK, Samples: 1},
		{Offset: 48, Status: ledger.Gap, Code: "source.gone", Stage: "take"},
		{Offset: 49, Status: ledger.None},
	}
	return map[string]*ledger.Record{"genesis": &genesis, "fence": &fence, "data": &data}
}

// TestGolden: the bytes of a record never change, or old chains could not be checked
// by new programs, nor new ones by old.
func TestGolden(t *testing.T) {
	for name, r := range goldens() {
		path := filepath.Join("testdata", "records", name+".json")
		got, err := r.Encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is encoded as\n%s\nwant\n%s", name, got, want)
		}
		back, err := ledger.ParseRecord(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again, err := back.Encode(); err != nil || !bytes.Equal(again, want) {
			t.Errorf("%s does not survive a round trip: %v\n%s", name, err, again)
		}
	}
}

// TestParseRefuses alters good records, one field at a time.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ kind, old, new, want string }{
		{"data", `{"v":1`, `{"v":2`, "use a newer one"},
		{"data", `{"v":1`, `{"v":"1"`, "no record"},
		{"data", `"kind":"data"`, `"kind":"date"`, "not known"},
		{"data", `"kind":"data"`, `"kind":"fence"`, "accounts for offsets"},
		{"data", `"kind":"data"`, `"kind":"genesis"`, "genesis"},
		{"data", `"seq":9`, `"seq":-9`, "out of range"},
		{"data", `"seq":9`, `"seq":0`, "genesis"},
		{"data", `"seq":9`, `"seq":9223372036854775808`, "no record"},
		{"data", `"epoch":3`, `"epoch":0`, "genesis"},
		{"data", `"epoch":3`, `"epoch":4`, "belong to its epoch"},
		{"data", `"previous":"0f`, `"previous":"0F`, "malformed"},
		{"data", `"previous":"0f`, `"previous":"`, "malformed"},
		{"data", `"stream":"cluster-1~ingest~3"`, `"stream":"../x"`, "names no stream"},
		{"data", `"token":"01JDZ00000000000000000TOKEN"`, `"token":""`, "token"},
		{"data", `"from":42,"to":50,"skipped"`, `"from":42,"to":51,"skipped"`, "accounted for"},
		{"data", `"from":42,"to":50,"skipped"`, `"from":41,"to":50,"skipped"`, "41 was expected"},
		{"data", `"from":42,"to":50,"skipped"`, `"from":50,"to":42,"skipped"`, "out of range"},
		{"data", `"from":44,"to":46,"reason":"control"`, `"from":44,"to":46,"reason":""`, "no reason"},
		{"data", `"from":44,"to":46`, `"from":44,"to":47`, "accounted for once"},
		{"data", `"bytes":268435456`, `"bytes":-1`, "negative"},
		{"data", `"crc32c":"00c0ffee"`, `"crc32c":"c0ffee"`, "digest"},
		{"data", `"key":"data/`, `"key":"dato/`, "belong to its epoch"},
		{"data", `01JDZ00000000000000000SHARD.tar`, `../x.tar`, "belong to its epoch"},
		{"data", `"part":1`, `"part":2`, "accounted for once"},
		{"data", `"status":"gap"`, `"status":"lost"`, "not known"},
		{"data", `"code":"source.gone",`, ``, "without a code"},
		{"data", `"status":"dup-of"`, `"status":"ok"`, "of another"},
		{"data", `"samples":10,`, `"samples":-10,`, "-10 samples"},
		{"fence", `"from":42`, `"from":41`, "accounts for offsets"},
		{"fence", `"epoch":3`, `"epoch":-3`, "out of range"},
		{"genesis", `"seq":0`, `"seq":1`, "genesis"},
		{"genesis", `"previous":""`, `"previous":"0f"`, "malformed"},
		{"genesis", `"epoch":0`, `"epoch":1`, "genesis"},
		{"genesis", `{`, `[`, "no record"},
		{"genesis", `}`, ``, "no record"},
	} {
		data, err := goldens()[c.kind].Encode()
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Replace(data, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(bad, data) {
			t.Fatalf("%s has no %s", c.kind, c.old)
		}
		if _, err := ledger.ParseRecord(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s: got %v, want one with %q", c.kind, c.new, err, c.want)
		}
	}
	if _, err := ledger.ParseRecord(bytes.Repeat([]byte(" "), ledger.MaxRecord+1)); err == nil {
		t.Error("a record of over 1 MiB was read")
	}
}

// TestParseAccepts what a newer program of the same format version may add.
func TestParseAccepts(t *testing.T) {
	data, err := goldens()["data"].Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new string }{
		{`{"v":1`, `{"v":1,"later":{"x":[1]}`}, {`"status":"none"`, `"status":"none","later":1`}, {`,"time":"2026`, `,"later":null,"time":"2026`},
	} {
		if _, err := ledger.ParseRecord(bytes.Replace(data, []byte(c.old), []byte(c.new), 1)); err != nil {
			t.Errorf("with %s: %v", c.new, err)
		}
	}
}

// FuzzParseRecord: whatever is accepted can be written and read again, and means the
// same.
func FuzzParseRecord(f *testing.F) {
	for _, r := range goldens() {
		data, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"v":1,"kind":"genesis","stream":"a","writer":"w","token":"t"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ledger.ParseRecord(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			if len(data) > ledger.MaxRecord/2 {
				return // escapes can grow it beyond the limit
			}
			t.Fatalf("accepted, but can not be written: %v", err)
		}
		back, err := ledger.ParseRecord(again)
		if err != nil {
			t.Fatalf("written, but can not be read: %v\n%s", err, again)
		}
		third, err := back.Encode()
		if err != nil || !bytes.Equal(third, again) {
			t.Fatalf("not stable: %v\n%s\n%s", err, again, third)
		}
		if !json.Valid(again) {
			t.Fatalf("no JSON: %s", again)
		}
	})
}
