package audit

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

// memory is a store of a map.
type memory map[string][]byte

func (m memory) List(_ context.Context, prefix string) ([]string, error) {
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func (m memory) Open(_ context.Context, key string) (io.ReadCloser, error) {
	data, ok := m[key]
	if !ok {
		return nil, fmt.Errorf("%s is not there", key)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// made is a sample to be written.
type made struct{ key, id, text string }

// makeTar writes samples of dataset d as WebDataset writers do.
func makeTar(t *testing.T, samples ...made) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, s := range samples {
		about, _ := json.Marshal(map[string]string{"key": s.key, "id": s.id, "dataset": "d"})
		for _, f := range []Field{{"json", about}, {"txt", []byte(s.text)}} {
			if err := w.WriteHeader(&tar.Header{Name: s.key + "." + f.Name, Size: int64(len(f.Data)), Mode: 0o444, Format: tar.FormatUSTAR}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(f.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// object is a JSON object with its fields in order.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		v, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.name, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (o object) set(name string, value any) {
	for i := range o {
		if o[i].name == name {
			o[i].value = value
			return
		}
	}
	panic("no field " + name)
}

// world is a log and shards, written by hand, that tests put mistakes into.
type world struct {
	t        *testing.T
	store    memory
	campaign *Campaign
	records  []object
	shards   []object // of the data records, in order
	last     string   // SHA-256 of the last record, once written
}

const (
	path = "c~in~0"
	log  = "_log/" + path + "/"
)

func dataKey(epoch int, name string) string {
	return fmt.Sprintf("data/%s/%020d/%s", path, epoch, name)
}

// newWorld has two writers: genesis at 10, a fence, offsets 10 to 13 in two shards, a
// fence, offsets 13 to 17 with a repeat, a refusal, a control record and one that asks for
// nothing.
func newWorld(t *testing.T) *world {
	w := &world{t: t, store: memory{}}
	w.records = []object{
		head("genesis", 0, 0, "A", 10, 10),
		head("fence", 1, 1, "A", 10, 10),
		append(head("data", 2, 1, "A", 10, 13),
			member{"shards", []object{
				w.shard(1, "a.tar", 2, makeTar(t, made{"k0-0", "i0", "x"}, made{"k0-1", "i0", "y"}), 10, 13),
				w.shard(1, "b.tar", 1, makeTar(t, made{"k2-0", "i2", "z"}), 10, 13),
			}},
			member{"outcomes", []object{ok(10, "i0", 2), {{"offset", 11}, {"status", "quarantined"}, {"code", "decode.invalid"}, {"stage", "decode"}}, ok(12, "i2", 1)}}),
		head("fence", 3, 2, "B", 13, 13),
		append(head("data", 4, 2, "B", 13, 17),
			member{"skipped", []object{{{"from", 14}, {"to", 15}, {"reason", "control"}}}},
			member{"shards", []object{w.shard(2, "c.tar", 1, makeTar(t, made{"k5-0", "i5", "u"}), 13, 17)}},
			member{"outcomes", []object{dup(13, "i0", 10), ok(15, "i5", 1), {{"offset", 16}, {"status", "none"}}}}),
	}
	w.campaign = &Campaign{Complete: true, Streams: []Stream{{Cluster: "c", Topic: "in", First: 10, Messages: []Message{
		{Offset: 10, ID: "i0", Dataset: "d", Want: Samples, Samples: 2},
		{Offset: 11, ID: "i1", Dataset: "d", Want: Refused, Code: "decode.invalid"},
		{Offset: 12, ID: "i2", Dataset: "d", Want: Any},
		{Offset: 13, ID: "i0", Dataset: "d", Want: Samples, Samples: 2},
		{Offset: 14, Want: Void},
		{Offset: 15, ID: "i5", Dataset: "d", Want: Samples, Samples: 1},
		{Offset: 16, Want: Nothing},
	}}}}
	return w
}

func head(kind string, seq, epoch int, writer string, from, to int) object {
	return object{{"v", 1}, {"kind", kind}, {"stream", path}, {"seq", seq}, {"previous", ""}, {"epoch", epoch}, {"writer", writer}, {"token", fmt.Sprintf("t%d", seq)}, {"from", from}, {"to", to}}
}

func ok(offset int, id string, samples int) object {
	return object{{"offset", offset}, {"id", id}, {"dataset", "d"}, {"status", "ok"}, {"samples", samples}}
}

func dup(offset int, id string, of int) object {
	return object{{"offset", offset}, {"id", id}, {"dataset", "d"}, {"status", "dup-of"}, {"of", of}}
}

// shard stores a shard and describes it.
func (w *world) shard(epoch int, name string, samples int, data []byte, from, to int) object {
	sum := sha256.Sum256(data)
	o := object{
		{"key", dataKey(epoch, name)}, {"dataset", "d"}, {"format", "webdataset"}, {"bytes", len(data)}, {"sha256", hex.EncodeToString(sum[:])},
		{"crc32c", fmt.Sprintf("%08x", crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))}, {"samples", samples}, {"from", from}, {"to", to},
	}
	w.store[dataKey(epoch, name)] = data
	w.shards = append(w.shards, o)
	return o
}

// write puts the records into the log, linked to each other.
func (w *world) write() {
	for i, r := range w.records {
		if previous := r[4]; previous.value == "" {
			r.set("previous", w.last)
		}
		data, err := json.Marshal(r)
		if err != nil {
			w.t.Fatal(err)
		}
		w.last = hexSum(data)
		w.store[fmt.Sprintf("%s%020d", log, i)] = data
	}
}

// publish writes snapshot n, with the last record pinned.
func (w *world) publish(n int, previous string, seq int64, sum string, next int64) string {
	data, err := json.Marshal(object{{"v", 1}, {"n", n}, {"previous", previous}, {"streams", []object{{{"stream", path}, {"seq", seq}, {"sha256", sum}, {"next", next}}}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store[fmt.Sprintf("_snap/%020d", n)] = data
	return hexSum(data)
}

func (w *world) audit(o Options) *Report {
	w.t.Helper()
	r, err := Run(w.t.Context(), w.store, w.campaign, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) outcomes(seq int) []object {
	for _, m := range w.records[seq] {
		if m.name == "outcomes" {
			return m.value.([]object)
		}
	}
	panic("no outcomes")
}
