package gateway

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
)

// A job's fate, from queued to its end, as a worker's ledger tells it; and nobody else's.
func TestJob(t *testing.T) {
	r := newRig(t)
	var jobs []Placed
	for _, text := range []string{"a", "b", "c", "d", "e"} { // one id, so one partition
		jobs = append(jobs, r.take("/v1/ingest", "application/json", strings.NewReader(`{"dataset":"cats","id":"same","text":"`+text+`"}`)).Jobs...)
	}
	fate := func(i int) Job {
		t.Helper()
		resp, b := r.ask("GET", jobs[i].Href, http.NoBody)
		if resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
		j := decode[Job](t, b)
		if j.Job != jobs[i].Job || j.Offset != jobs[i].Offset || j.Partition != jobs[i].Partition || (resp.Header.Get("Retry-After") != "") != (j.Status == JobQueued || j.Status == JobInFlight) {
			t.Errorf("%s, %v", b, resp.Header)
		}
		return j
	}
	if j := fate(0); j.Status != JobQueued {
		t.Errorf("without a worker it is %+v", j)
	}
	chain := openChain(t, r.fates.store, r.topic.stream(jobs[0].Partition))
	r.fates = newFates(r.fates.store)
	if j := fate(0); j.Status != JobInFlight {
		t.Errorf("with a worker it is %+v", j)
	}
	of := jobs[0].Offset
	sh := ledger.Shard{Key: ledger.DataPrefix(r.topic.stream(jobs[0].Partition), chain.Epoch()) + "x.tar", Dataset: "cats", Format: "webdataset", SHA256: hexSum(nil), CRC32C: "00000000", Samples: 2, From: of, To: of + 1, Bytes: 1}
	end := jobs[3].Offset + 1
	if err := chain.Commit(t.Context(), ledger.Entry{To: end, Shards: []ledger.Shard{sh}, Outcomes: []ledger.Outcome{
		{Offset: of, ID: "same", Dataset: "cats", Status: ledger.OK, Samples: 2},
		{Offset: jobs[1].Offset, ID: "same", Dataset: "cats", Status: ledger.DupOf, Of: &of},
		{Offset: jobs[2].Offset, ID: "same", Dataset: "cats", Status: ledger.Quarantined, Code: "decode.crash", Stage: "decode", Detail: "why"},
		{Offset: jobs[3].Offset, Status: ledger.None},
	}}); err != nil {
		t.Fatal(err)
	}
	r.fates = newFates(r.fates.store)
	if j := fate(0); j.Status != JobCommitted || j.Samples != 2 || len(j.Shards) != 1 || j.Shards[0].Key != sh.Key || len(j.KeyPrefix) != 25 || j.ID != "same" {
		t.Errorf("%+v", j)
	}
	if j := fate(1); j.Status != JobDuplicate || *j.DuplicateOf != of {
		t.Errorf("%+v", j)
	}
	if j := fate(2); j.Status != JobQuarantined || j.Code != "decode.crash" || j.Detail != "why" {
		t.Errorf("%+v", j)
	}
	if j := fate(3); j.Status != JobGone {
		t.Errorf("%+v", j)
	}
	if j := fate(4); j.Status != JobInFlight {
		t.Errorf("%+v", j)
	}

	// Nobody else's, and no handle that is not ours.
	r.refused(404, "request.not-found", "GET", jobs[0].Href, http.NoBody, "Authorization", "Bearer "+r.other)
	for _, h := range []string{"x", jobs[0].Job[:len(jobs[0].Job)-1], jobs[0].Job[:4] + "B" + jobs[0].Job[5:], strings.Repeat("A", 39)} {
		r.refused(404, "request.not-found", "GET", "/v1/jobs/"+h, http.NoBody)
	}
}

// Who polls costs the store nothing: what is final is kept, and so is a stream's end.
func TestFatesAreKept(t *testing.T) {
	counting := &countingStore{Store: store.NewMemory()}
	stream := ledger.KafkaStream("c", "t", 0)
	f := newFates(store.Plain{Store: counting})
	chain := openChain(t, store.Plain{Store: counting}, stream)
	if err := chain.Commit(t.Context(), ledger.Entry{To: 1, Outcomes: []ledger.Outcome{{ID: "a", Dataset: "d", Status: ledger.Quarantined, Code: "decode.crash", Stage: "decode"}}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset int64
		want   JobStatus
	}{{0, JobQuarantined}, {1, JobInFlight}, {1 + inFlight, JobQueued}} {
		at := queue.Place{Offset: c.offset}
		for i := range 20 {
			before := counting.n.Load()
			j, err := f.of(t.Context(), stream, at)
			if err != nil || j.Status != c.want {
				t.Fatalf("%+v, %v", j, err)
			}
			if i == 1 && counting.n.Load() != before {
				t.Errorf("offset %d, asked again, costs %d requests", c.offset, counting.n.Load()-before)
			}
		}
	}
}

// openChain takes a stream as a worker does, from offset 0 on.
func openChain(t *testing.T, s ledger.Store, stream ledger.Stream) *ledger.Chain {
	t.Helper()
	c, err := ledger.Open(t.Context(), s, stream, ledger.Options{})
	if err == nil {
		err = c.Begin(t.Context(), 0)
	}
	if err == nil {
		err = c.Fence(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type countingStore struct {
	store.Store
	n atomic.Int64
}

func (s *countingStore) Stat(ctx context.Context, key string) (store.Info, error) {
	s.n.Add(1)
	return s.Store.Stat(ctx, key)
}
