package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace/millrace/pipeline/stream"
)

// Serve gives /metrics (Prometheus) and /healthz at an address until stop is called. addr
// is where it listens, for a port of 0.
func Serve(listen string, t *stream.Tally, log *slog.Logger) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", nil, fmt.Errorf("metrics.listen: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(tallied{t}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
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
