package worker

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/stream"
)

func TestMetrics(t *testing.T) {
	tally := &stream.Tally{}
	addr, stop, err := Serve("127.0.0.1:0", tally, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	get := func(path string) string {
		t.Helper()
		r, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
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
	} {
		if !strings.Contains(got, want+"\n") && !strings.Contains(got, want+" ") {
			t.Errorf("/metrics has no %s", want)
		}
	}
	if get("/healthz") != "ok\n" {
		t.Error("/healthz is not ok")
	}
	if _, _, err := Serve(addr, tally, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "metrics.listen") {
		t.Errorf("a taken address gives %v", err)
	}
}
