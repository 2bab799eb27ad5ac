package worker

import (
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/stream"
)

func TestMetrics(t *testing.T) {
	tally := &stream.Tally{}
	status := Status{Joined: true, Lost: 7, Partitions: []Partition{
		{Partition: 0, State: Running, Generation: 4, Epoch: 2, Taken: 30, Packed: 25, Committed: 21},
		{Partition: 3, State: Running}, // not taken yet
	}}
	addr, stop, err := Serve("127.0.0.1:0", tally, func() Status { return status }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	get := func(path string, code ...int) string {
		t.Helper()
		r, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || !slices.Contains(append(code, http.StatusOK), r.StatusCode) {
			t.Fatalf("%s: %s, %v", path, r.Status, err)
		}
		return string(b)
	}
	job := &pipeline.Job{}
	tally.Ended(job, ledger.OK, pipeline.Verdict{Samples: 3, Frames: 3, Tokens: 300, MediaSeconds: 1.5}, 1000)
	tally.Ended(job, ledger.DupOf, pipeline.Verdict{}, 0)
	tally.Ended(job, ledger.Quarantined, pipeline.Verdict{Fault: &pipeline.Fault{Code: "decode.invalid"}}, 10)
	tally.Committed(&ledger.Entry{Shards: []ledger.Shard{{Bytes: 500, Samples: 3}}})
	got := get("/metrics")
	for _, want := range []string{
		`millrace_jobs_total{status="ok"} 1`, `millrace_jobs_total{status="dup-of"} 1`, `millrace_jobs_total{status="quarantined"} 1`,
		`millrace_quarantined_total{code="decode.invalid"} 1`, "millrace_samples_total 3", "millrace_tokens_total 300",
		"millrace_media_seconds_total 1.5", "millrace_source_bytes_total 1010", "millrace_shards_total 1", "millrace_shard_bytes_total 500", "go_goroutines",
		"millrace_group_joined 1", "millrace_draining 0", `millrace_partitions{state="running"} 2`, `millrace_partitions{state="halted"} 0`, "millrace_offsets_lost_total 7",
		`millrace_group_generation{partition="0"} 4`, `millrace_partition_epoch{partition="0"} 2`, `millrace_partition_committed_offset{partition="0"} 21`,
		`millrace_window_offsets{at="work",partition="0"} 5`, `millrace_window_offsets{at="commit",partition="0"} 4`,
	} {
		if !strings.Contains(got, want+"\n") && !strings.Contains(got, want+" ") {
			t.Errorf("/metrics has no %s", want)
		}
	}
	if strings.Contains(got, `partition="3"`) {
		t.Error("a partition that is not taken yet has a position")
	}
	if get("/healthz") != "ok\n" {
		t.Error("/healthz is not ok")
	}
	if got := get("/readyz"); got != "ok\n" {
		t.Errorf("/readyz says %q", got)
	}
	for want, s := range map[string]Status{
		"draining\n":                           {Joined: true, Draining: true},
		"not in the consumer group\n":          {},
		"partition 3 is halted: log is gone\n": {Joined: true, Partitions: []Partition{{Partition: 0, State: Running}, {Partition: 3, State: Halted, Cause: "log is gone"}}},
	} {
		status = s
		if got := get("/readyz", http.StatusServiceUnavailable); got != want {
			t.Errorf("/readyz says %q, want %q", got, want)
		}
	}
	if got := get("/metrics"); strings.Contains(got, `millrace_partition_halted{partition="3"} 1`) != (len(status.Partitions) == 2) {
		t.Error("the halted partition is not shown as it is")
	}
	if _, _, err := Serve(addr, tally, func() Status { return status }, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "metrics.listen") {
		t.Errorf("a taken address gives %v", err)
	}
}
