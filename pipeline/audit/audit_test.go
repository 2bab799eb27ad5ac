package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSound(t *testing.T) {
	w := newWorld(t)
	w.write()
	w.publish(1, w.publish(0, "", 2, hexSum(w.store[log+"00000000000000000002"]), 13), 4, w.last, 17)
	w.store[dataKey(1, "a.tar.idx")] = []byte("beside")
	w.store[dataKey(1, "dead.tar")] = []byte("orphan")
	w.store[dataKey(2, "late.tar")] = []byte("of the epoch in force")
	var seen []string
	r := w.audit(Options{Content: func(s *Sample) error {
		seen = append(seen, s.ID+":"+string(s.Fields[1].Data))
		return nil
	}})
	if !r.Sound() || len(r.Violations) != 0 {
		t.Fatal(r.Summary(), r.Violations)
	}
	want := Report{
		Streams: 1, Records: 5, Fences: 2, Messages: 6, OK: 3, Dup: 1, Quarantined: 1, None: 1, Gaps: 1,
		Samples: 4, Shards: 3, Bytes: r.Bytes, Orphans: 1, Open: 1, Snapshots: 2, Violations: []Violation{},
	}
	if fmt.Sprintf("%+v", *r) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", *r, want)
	}
	if strings.Join(seen, " ") != "i0:x i0:y i2:z i5:u" {
		t.Error(seen)
	}
	if text, err := json.Marshal(r); err != nil || !strings.Contains(string(text), `"violations":[]`) {
		t.Error(string(text), err)
	}
}

// mistake is one thing that a writer, or a store, could have done wrong.
type mistake struct {
	name string
	kind string // of the violation that must be among those found
	put  func(w *world)
	// after is done once the log is written.
	after func(w *world)
}

func mistakes() []mistake {
	return []mistake{
		{name: "a record is missing", kind: "chain.hole", after: func(w *world) { delete(w.store, log+"00000000000000000003") }},
		{name: "a stranger in the log", kind: "chain.name", after: func(w *world) { w.store[log+"7"] = []byte("x") }},
		{name: "no JSON", kind: "chain.bytes", after: func(w *world) { w.store[log+"00000000000000000004"] = []byte("x") }},
		{name: "spaces", kind: "chain.bytes", after: func(w *world) {
			k := log + "00000000000000000004"
			w.store[k] = append([]byte("{ "), w.store[k][1:]...)
		}},
		{name: "fields out of order", kind: "chain.bytes", put: func(w *world) { w.records[4][0], w.records[4][1] = w.records[4][1], w.records[4][0] }},
		{name: "another's digest", kind: "chain.link", put: func(w *world) { w.records[3].set("previous", strings.Repeat("0", 64)) }},
		{name: "a token twice", kind: "chain.token", put: func(w *world) { w.records[4].set("token", "t2") }},
		{name: "no token", kind: "chain.identity", put: func(w *world) { w.records[4].set("token", "") }},
		{name: "another stream", kind: "chain.identity", put: func(w *world) { w.records[4].set("stream", "c~in~1") }},
		{name: "another version", kind: "chain.identity", put: func(w *world) { w.records[4].set("v", 2) }},
		{name: "another number", kind: "chain.identity", put: func(w *world) { w.records[4].set("seq", 9) }},
		{name: "another kind", kind: "chain.kind", put: func(w *world) { w.records[3].set("kind", "lease") }},
		{name: "a fence with outcomes", kind: "chain.kind", put: func(w *world) {
			w.records[3] = append(w.records[3], member{"outcomes", []object{ok(13, "i0", 1)}})
		}},
		{name: "ranges overlap", kind: "chain.range", put: func(w *world) { w.records[4].set("from", 12) }},
		{name: "data without offsets", kind: "chain.range", put: func(w *world) { w.records[4].set("to", 13) }},
		{name: "no genesis", kind: "chain.genesis", put: func(w *world) { w.records[0].set("kind", "fence") }},
		{name: "genesis elsewhere", kind: "chain.genesis", put: func(w *world) { w.campaign.Streams[0].First = 9 }},
		{name: "an epoch is left out", kind: "chain.epoch", put: func(w *world) { w.records[3].set("epoch", 3) }},
		{name: "a fence of the same epoch", kind: "chain.epoch", put: func(w *world) { w.records[3].set("epoch", 1) }},
		{name: "data of a dead epoch", kind: "chain.epoch", put: func(w *world) { w.records[4].set("epoch", 1) }},
		{name: "data by another writer", kind: "chain.writer", put: func(w *world) { w.records[4].set("writer", "A") }},

		{name: "an offset is left out", kind: "record.offsets", put: func(w *world) {
			w.records[2][len(w.records[2])-1].value = w.outcomes(2)[1:]
		}},
		{name: "an offset twice", kind: "record.offsets", put: func(w *world) { w.outcomes(2)[1].set("offset", 10) }},
		{name: "parts out of order", kind: "record.offsets", put: func(w *world) {
			w.outcomes(2)[0] = append(w.outcomes(2)[0], member{"part", 1})
		}},
		{name: "skipped and told", kind: "record.offsets", put: func(w *world) { w.outcomes(4)[1].set("offset", 14) }},

		{name: "a shard is gone", kind: "shard.missing", after: func(w *world) { delete(w.store, dataKey(1, "b.tar")) }},
		{name: "a shard twice", kind: "shard.twice", put: func(w *world) { w.shards[2].set("key", dataKey(1, "a.tar")) }},
		{name: "a shard of a dead epoch", kind: "shard.epoch", put: func(w *world) {
			w.shards[2].set("key", dataKey(1, "c.tar"))
			w.store[dataKey(1, "c.tar")] = w.store[dataKey(2, "c.tar")]
		}},
		{name: "a shard's offsets", kind: "shard.range", put: func(w *world) { w.shards[0].set("from", 9) }},
		{name: "a shard is cut", kind: "shard.bytes", after: func(w *world) {
			k := dataKey(1, "a.tar")
			w.store[k] = w.store[k][:len(w.store[k])-512]
		}},
		{name: "a shard is cut", kind: "shard.tar", after: func(w *world) { w.store[dataKey(1, "a.tar")] = w.store[dataKey(1, "a.tar")][:700] }},
		{name: "a bit is turned", kind: "shard.bytes", after: func(w *world) { flip(w, "a.tar", 520) }},
		{name: "a bit is turned", kind: "shard.crc32c", after: func(w *world) { flip(w, "a.tar", 520) }},
		{name: "a header's bit is turned", kind: "shard.tar", after: func(w *world) { flip(w, "a.tar", 3) }},
		{name: "samples miscounted", kind: "shard.samples", put: func(w *world) { w.shards[0].set("samples", 3) }},
		{name: "packed samples miscounted", kind: "shard.samples", put: func(w *world) {
			w.shards[2].set("format", "mds")
			w.shards[2].set("samples", 2)
		}},

		{name: "a message without an end", kind: "message.lost", put: func(w *world) {
			w.campaign.Streams[0].Messages = append(w.campaign.Streams[0].Messages, Message{Offset: 17, ID: "i7", Dataset: "d", Want: Any})
		}},
		{name: "a message before genesis", kind: "message.lost", put: func(w *world) {
			w.campaign.Streams[0].Messages = append(w.campaign.Streams[0].Messages, Message{Offset: 9, ID: "i7", Dataset: "d", Want: Any})
		}},
		{name: "a stream without a log", kind: "message.lost", put: func(w *world) {
			w.campaign.Streams = append(w.campaign.Streams, Stream{Cluster: "c", Topic: "in", Partition: 1, Messages: []Message{{ID: "j", Dataset: "d", Want: Any}}})
		}},
		{name: "two records for one offset", kind: "message.doubled", put: func(w *world) {
			w.records = append(w.records, append(head("data", 5, 2, "B", 16, 17), member{"outcomes", []object{{{"offset", 16}, {"status", "none"}}}}))
		}},
		{name: "an outcome for nothing", kind: "message.unknown", put: func(w *world) {
			w.campaign.Streams[0].Messages = slices.Delete(w.campaign.Streams[0].Messages, 6, 7)
		}},
		{name: "a stream for nothing", kind: "stream.unknown", put: func(w *world) { w.campaign.Streams[0].Topic = "out" }},
		{name: "a message is skipped", kind: "message.outcome", put: func(w *world) {
			w.campaign.Streams[0].Messages[4] = Message{Offset: 14, ID: "i4", Dataset: "d", Want: Samples, Samples: 1}
		}},
		{name: "a control record with an end", kind: "message.outcome", put: func(w *world) { w.campaign.Streams[0].Messages[6].Want = Void }},
		{name: "another code", kind: "message.outcome", put: func(w *world) { w.campaign.Streams[0].Messages[1].Code = "limit.time" }},
		{name: "samples for a refusal", kind: "message.outcome", put: func(w *world) {
			w.campaign.Streams[0].Messages[5] = Message{Offset: 15, ID: "i5", Dataset: "d", Want: Refused}
		}},
		{name: "other samples", kind: "message.outcome", put: func(w *world) { w.campaign.Streams[0].Messages[0].Samples = 3 }},
		{name: "something for nothing", kind: "message.outcome", put: func(w *world) {
			w.campaign.Streams[0].Messages[5] = Message{Offset: 15, ID: "i5", Dataset: "d", Want: Nothing}
		}},
		{name: "another id", kind: "message.outcome", put: func(w *world) { w.campaign.Streams[0].Messages[5].ID = "i6" }},
		{name: "a repeat of another", kind: "message.outcome", put: func(w *world) { w.outcomes(4)[0].set("of", 12) }},
		{name: "a repeat of nothing", kind: "message.outcome", put: func(w *world) {
			w.campaign.Streams[0].Messages[3].ID = "i3"
			w.outcomes(4)[0].set("id", "i3")
		}},
		{name: "a part too many", kind: "message.outcome", put: func(w *world) {
			w.campaign.Streams[0].Messages = append(w.campaign.Streams[0].Messages, Message{Offset: 15, Part: 1, ID: "i6", Dataset: "d", Want: Any})
		}},
		{name: "a repeat with samples", kind: "sample.doubled", put: func(w *world) {
			w.outcomes(4)[0] = ok(13, "i0", 2)
			w.shards = nil
			again := []object{
				w.shard(2, "c.tar", 1, makeTar(w.t, made{"k5-0", "i5", "u"}), 13, 17),
				w.shard(2, "e.tar", 2, makeTar(w.t, made{"k0-0", "i0", "x"}, made{"k0-1", "i0", "y"}), 13, 17),
			}
			w.records[4].set("shards", again)
		}},

		{name: "a sample is missing", kind: "sample.lost", put: func(w *world) { w.reshard(makeTar(w.t, made{"k0-0", "i0", "x"}), 1) }},
		{name: "a sample too many", kind: "sample.doubled", put: func(w *world) {
			w.reshard(makeTar(w.t, made{"k0-0", "i0", "x"}, made{"k0-1", "i0", "y"}, made{"k0-2", "i0", "y"}), 3)
		}},
		{name: "a key twice", kind: "sample.doubled", put: func(w *world) {
			w.reshard(makeTar(w.t, made{"k0-0", "i0", "x"}, made{"k2-0", "i0", "y"}), 2)
		}},
		{name: "a stranger's sample", kind: "sample.unknown", put: func(w *world) {
			w.reshard(makeTar(w.t, made{"k0-0", "i0", "x"}, made{"k0-1", "i0", "y"}, made{"k9-0", "i9", "y"}), 3)
		}},
		{name: "the samples of a refusal", kind: "sample.unknown", put: func(w *world) {
			w.reshard(makeTar(w.t, made{"k0-0", "i0", "x"}, made{"k0-1", "i0", "y"}, made{"k1-0", "i1", "y"}), 3)
		}},
		{name: "a sample without a description", kind: "sample.json", after: func(w *world) {
			data := w.store[dataKey(1, "b.tar")]
			at := strings.Index(string(data), `"id"`)
			copy(data[at:], `xxxx`)
		}},
		{name: "a shard that says other offsets", kind: "sample.misplaced", put: func(w *world) { w.shards[0].set("from", 11) }},

		{name: "a left-over", kind: "object.orphan", put: func(w *world) {
			w.campaign.Swept = true
			w.store[dataKey(1, "dead.tar")] = []byte("x")
		}},
		{name: "an object of no epoch", kind: "object.foreign", put: func(w *world) { w.store[dataKey(3, "a.tar")] = []byte("x") }},
		{name: "a snapshot of nothing", kind: "snapshot", after: func(w *world) { w.publish(0, "", 4, strings.Repeat("0", 64), 17) }},
		{name: "a snapshot beyond the end", kind: "snapshot", after: func(w *world) { w.publish(0, "", 5, w.last, 17) }},
		{name: "snapshots that do not follow", kind: "snapshot", after: func(w *world) {
			w.publish(0, "", 4, w.last, 17)
			w.publish(1, "", 4, w.last, 17)
		}},
		{name: "a snapshot that goes back", kind: "snapshot", after: func(w *world) {
			w.publish(1, w.publish(0, "", 4, w.last, 17), 2, hexSum(w.store[log+"00000000000000000002"]), 13)
		}},
	}
}

// reshard puts another shard in the place of the first, with a record that describes it.
func (w *world) reshard(data []byte, samples int) {
	w.shards[0] = nil
	second := w.shards[1]
	w.records[2].set("shards", []object{w.shard(1, "a.tar", samples, data, 10, 13), second})
}

func flip(w *world, name string, at int) {
	data := slices.Clone(w.store[dataKey(1, name)])
	data[at] ^= 1
	w.store[dataKey(1, name)] = data
}

func TestMistakes(t *testing.T) {
	for _, m := range mistakes() {
		t.Run(m.kind+"/"+m.name, func(t *testing.T) {
			w := newWorld(t)
			if m.put != nil {
				m.put(w)
			}
			w.write()
			if m.after != nil {
				m.after(w)
			}
			r := w.audit(Options{})
			if r.Sound() {
				t.Fatal("it was not seen")
			}
			if !slices.ContainsFunc(r.Violations, func(v Violation) bool { return v.Kind == m.kind }) {
				t.Errorf("it was taken for something else: %v", r.Violations)
			}
			for _, v := range r.Violations {
				if v.Detail == "" || !strings.HasPrefix(v.String(), v.Kind) {
					t.Errorf("it says nothing: %+v", v)
				}
			}
		})
	}
}

func TestContent(t *testing.T) {
	w := newWorld(t)
	w.write()
	r := w.audit(Options{Content: func(s *Sample) error {
		if s.ID == "i2" {
			return errors.New("other bytes")
		}
		return nil
	}})
	if r.Wrong != 1 || r.Violations[0].Kind != "sample.content" {
		t.Error(r.Violations)
	}
}

// Workers that are killed over and over may give up a message that is not to blame.
func TestExcused(t *testing.T) {
	w := newWorld(t)
	w.campaign.Streams[0].Messages[1] = Message{Offset: 11, ID: "i1", Dataset: "d", Want: Samples, Samples: 1}
	w.write()
	if r := w.audit(Options{}); r.Sound() {
		t.Error("a refusal was taken for samples")
	}
	w.campaign.Excused = []string{"decode.invalid"}
	if r := w.audit(Options{}); !r.Sound() {
		t.Error(r.Violations)
	}
}

// While writers are under way, what has not ended yet is not lost.
func TestPending(t *testing.T) {
	w := newWorld(t)
	w.campaign.Complete = false
	w.campaign.Streams[0].Messages = append(w.campaign.Streams[0].Messages, Message{Offset: 17, ID: "i7", Dataset: "d", Want: Any})
	w.campaign.Streams = append(w.campaign.Streams, Stream{Cluster: "c", Topic: "in", Partition: 1, Messages: []Message{{ID: "j", Dataset: "d", Want: Any}}})
	w.write()
	if r := w.audit(Options{}); !r.Sound() || r.Pending != 2 {
		t.Error(r.Summary(), r.Violations)
	}
}

// Outcomes that are too many for a record lie beside it.
func TestTable(t *testing.T) {
	w := newWorld(t)
	data, err := json.Marshal(w.outcomes(4))
	if err != nil {
		t.Fatal(err)
	}
	r := w.records[4]
	key := dataKey(2, hexSum(data)+".outcomes.json")
	r[len(r)-1] = member{"table", object{{"key", key}, {"bytes", len(data)}, {"sha256", hexSum(data)}, {"count", 3}}}
	w.store[key] = data
	w.write()
	if r := w.audit(Options{}); !r.Sound() || r.Open != 0 || r.OK != 3 {
		t.Error(r.Summary(), r.Violations)
	}
	w.store[key] = data[:len(data)-1]
	if r := w.audit(Options{}); r.Sound() || r.Violations[0].Kind != "record.table" {
		t.Error(r.Violations)
	}
}

func TestCampaign(t *testing.T) {
	c, err := ParseCampaign([]byte(`{"complete":true,"streams":[{"cluster":"a b","topic":".in","partition":3,"first":1,"messages":[{"offset":1,"id":"x","want":"samples","samples":2}]}]}`))
	if err != nil || c.Streams[0].Path() != "a%20b~%2Ein~3" || c.Streams[0].Messages[0].Samples != 2 {
		t.Error(c, err)
	}
	for _, bad := range []string{
		`x`,
		`{"streams":[{"cluster":"a","topic":"b"},{"cluster":"a","topic":"b"}]}`,
		`{"streams":[{"messages":[{"want":"maybe"}]}]}`,
		`{"streams":[{"messages":[{"want":"samples"}]}]}`,
	} {
		if _, err := ParseCampaign([]byte(bad)); err == nil {
			t.Error(bad)
		}
	}
}

func FuzzTar(f *testing.F) {
	t := new(testing.T)
	f.Add(makeTar(t, made{"k0-0", "i0", "x"}, made{"k0-1", "i0", "y"}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		err := readTar(strings.NewReader(string(data)), func(s *Sample) error {
			n += len(s.Key)
			for _, f := range s.Fields {
				n += len(f.Data)
			}
			return nil
		})
		if n > len(data) {
			t.Errorf("%d bytes of samples in %d (%v)", n, len(data), err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"kind":"data","from":1,"to":2,"outcomes":[{"offset":1,"status":"ok"}]}`))
	f.Add([]byte(`{"v":1,"kind":"data","from":1,"to":9223372036854775807,"skipped":[{"from":1,"to":9,"reason":"x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseRecord(data); err == nil && r.account() == nil && r.To > r.From {
			if len(r.Outcomes)+len(r.Skipped) == 0 {
				t.Error("offsets are accounted for by nothing")
			}
		}
	})
}
