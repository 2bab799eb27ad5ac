package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace/millrace/pipeline/stream"
)

// Serve gives /metrics (Prometheus), /healthz (the process lives) and /readyz (it is in the
// group, nothing is halted, and it does not drain; else 503 with the reason) at an address
// until stop is called. addr is where it listens, for a port of 0. more is shown besides.
func Serve(listen string, t *stream.Tally, status func() Status, log *slog.Logger, more ...prometheus.Collector) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", nil, fmt.Errorf("metrics.listen: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(tallied{t}, states{status}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(more...)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := status().Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the metrics server stopped", "error", err)
		}
	}()
	log.Info("metrics", "address", l.Addr())
	return l.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
		<-done
	}, nil
}

// states shows what a worker is at to Prometheus.
type states struct{ status func() Status }

var (
	joinedDesc     = prometheus.NewDesc("millrace_group_joined", "1 while the worker has a place in the consumer group.", nil, nil)
	drainingDesc   = prometheus.NewDesc("millrace_draining", "1 once the worker drains.", nil, nil)
	partitionDesc  = prometheus.NewDesc("millrace_partitions", "Partitions of this worker, by state.", []string{"state"}, nil)
	haltedDesc     = prometheus.NewDesc("millrace_partition_halted", "1 for each partition on which nothing goes on until somebody acts.", []string{"partition"}, nil)
	generationDesc = prometheus.NewDesc("millrace_group_generation", "The last generation of the group in which the partition was this worker's.", []string{"partition"}, nil)
	epochDesc      = prometheus.NewDesc("millrace_partition_epoch", "This worker's epoch in the partition's ledger.", []string{"partition"}, nil)
	committedDesc  = prometheus.NewDesc("millrace_partition_committed_offset", "Offset below which all is in the ledger.", []string{"partition"}, nil)
	inWorkDesc     = prometheus.NewDesc("millrace_window_offsets", "Offsets that were taken and are not in the ledger: in work, or packed and waiting for a commit.", []string{"partition", "at"}, nil)
	lostDesc       = prometheus.NewDesc("millrace_offsets_lost_total", "Offsets that retention removed before they were read.", nil, nil)
)

// Describe implements prometheus.Collector.
func (states) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{joinedDesc, drainingDesc, partitionDesc, haltedDesc, lostDesc, generationDesc, epochDesc, committedDesc, inWorkDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c states) Collect(ch chan<- prometheus.Metric) {
	s := c.status()
	flag := map[bool]float64{true: 1}
	ch <- prometheus.MustNewConstMetric(joinedDesc, prometheus.GaugeValue, flag[s.Joined])
	ch <- prometheus.MustNewConstMetric(drainingDesc, prometheus.GaugeValue, flag[s.Draining])
	ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(s.Lost))
	count := map[State]int{}
	for _, p := range s.Partitions {
		count[p.State]++
		if p.State == Halted {
			ch <- prometheus.MustNewConstMetric(haltedDesc, prometheus.GaugeValue, 1, strconv.Itoa(p.Partition))
		}
		p.collect(ch)
	}
	for _, state := range States {
		ch <- prometheus.MustNewConstMetric(partitionDesc, prometheus.GaugeValue, float64(count[state]), string(state))
	}
}

// collect shows where a partition stands, once it is known.
func (p Partition) collect(ch chan<- prometheus.Metric) {
	if p.Epoch == 0 {
		return
	}
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), append([]string{strconv.Itoa(p.Partition)}, labels...)...)
	}
	gauge(generationDesc, int64(p.Generation))
	gauge(epochDesc, p.Epoch)
	gauge(committedDesc, p.Committed)
	gauge(inWorkDesc, max(p.Taken-p.Packed, 0), "work")
	gauge(inWorkDesc, max(p.Packed-p.Committed, 0), "commit")
}

// tallied shows a tally's counts to Prometheus.
type tallied struct{ t *stream.Tally }

var (
	jobsDesc    = prometheus.NewDesc("millrace_jobs_total", "Jobs that ended, by status.", []string{"status"}, nil)
	faultsDesc  = prometheus.NewDesc("millrace_quarantined_total", "Jobs quarantined, by code.", []string{"code"}, nil)
	samplesDesc = prometheus.NewDesc("millrace_samples_total", "Samples packed.", nil, nil)
	framesDesc  = prometheus.NewDesc("millrace_frames_total", "Frames picked.", nil, nil)
	tokensDesc  = prometheus.NewDesc("millrace_tokens_total", "Tokens cut, without padding.", nil, nil)
	mediaDesc   = prometheus.NewDesc("millrace_media_seconds_total", "Presentation time of the media that ended as samples.", nil, nil)
	sourceDesc  = prometheus.NewDesc("millrace_source_bytes_total", "Bytes of media read.", nil, nil)
	recordsDesc = prometheus.NewDesc("millrace_records_total", "Commit records written.", nil, nil)
	shardsDesc  = prometheus.NewDesc("millrace_shards_total", "Shards committed.", nil, nil)
	bytesDesc   = prometheus.NewDesc("millrace_shard_bytes_total", "Bytes of shards committed.", nil, nil)
)

// Describe implements prometheus.Collector.
func (tallied) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{jobsDesc, faultsDesc, samplesDesc, framesDesc, tokensDesc, mediaDesc, sourceDesc, recordsDesc, shardsDesc, bytesDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c tallied) Collect(ch chan<- prometheus.Metric) {
	n := c.t.Counts()
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	count(jobsDesc, float64(n.OK), "ok")
	count(jobsDesc, float64(n.Duplicates), "dup-of")
	count(jobsDesc, float64(n.Quarantined), "quarantined")
	for code, k := range n.Codes {
		count(faultsDesc, float64(k), code)
	}
	count(samplesDesc, float64(n.Samples))
	count(framesDesc, float64(n.Frames))
	count(tokensDesc, float64(n.Tokens))
	count(mediaDesc, n.MediaSeconds)
	count(sourceDesc, float64(n.SourceBytes))
	count(recordsDesc, float64(n.Records))
	count(shardsDesc, float64(n.Shards))
	count(bytesDesc, float64(n.ShardBytes))
}
