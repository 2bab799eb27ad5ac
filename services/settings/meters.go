package settings

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/pipeline/store"
)

// Meters count what a process's parts do, for Prometheus. No label comes from a message:
// which origin is down stands in the log.
type Meters struct {
	seconds *prometheus.HistogramVec // of operations of the store
	bytes   *prometheus.CounterVec
	errors  *prometheus.CounterVec
	jobs    prometheus.Histogram

	mills   int
	inMills atomic.Int64 // jobs in a mill, or waiting for one
	scratch string
	sources *source.Fetcher
}

func newMeters() *Meters {
	return &Meters{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "millrace_store_seconds", Help: "Time of each operation of the store, by operation.",
			Buckets: prometheus.ExponentialBuckets(0.002, 4, 8)}, []string{"op"}),
		bytes:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_store_bytes_total", Help: "Bytes sent to the store or received, by operation."}, []string{"op"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_store_errors_total", Help: "Operations of the store that failed, each attempt for itself."}, []string{"op"}),
		jobs: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "millrace_mill_seconds", Help: "Time of each job in mills, the wait for one included.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10)}),
	}
}

// stored hears of each operation of the store. What is absent, or there already, is an
// answer, and what was given up is no failure; a list's bytes are objects, not counted.
func (m *Meters) stored(e store.Event) {
	m.seconds.WithLabelValues(e.Op).Observe(e.Took.Seconds())
	if e.Op != "list" {
		m.bytes.WithLabelValues(e.Op).Add(float64(max(e.Bytes, 0)))
	}
	if e.Err != nil && !store.IsNotFound(e.Err) && !errors.Is(e.Err, store.ErrExists) && !errors.Is(e.Err, context.Canceled) {
		m.errors.WithLabelValues(e.Op).Inc()
	}
}

// milled counts the jobs of a pool of count mills.
func (m *Meters) milled(pool Mills, count int) Mills {
	m.mills = count
	return meteredMills{pool, m}
}

type meteredMills struct {
	Mills
	m *Meters
}

// Do implements stream.Mills.
func (p meteredMills) Do(ctx context.Context, a *mill.Assignment, sink mill.Sink) (pipeline.Verdict, error) {
	p.m.inMills.Add(1)
	defer p.m.inMills.Add(-1)
	start := time.Now()
	v, err := p.Mills.Do(ctx, a, sink)
	p.m.jobs.Observe(time.Since(start).Seconds())
	return v, err
}

var (
	millsDesc   = prometheus.NewDesc("millrace_mills", "Mills of this process.", nil, nil)
	busyDesc    = prometheus.NewDesc("millrace_mills_busy", "Mills with a job.", nil, nil)
	queuedDesc  = prometheus.NewDesc("millrace_mills_awaited", "Jobs that are fetched and wait for a mill.", nil, nil)
	scratchDesc = prometheus.NewDesc("millrace_scratch_free_bytes", "Room on the disk of the scratch folder.", nil, nil)
	outageDesc  = prometheus.NewDesc("millrace_source_outages", "Origins of media that are down and waited for.", nil, nil)
	waitingDesc = prometheus.NewDesc("millrace_source_waiting", "Fetches that wait for an origin to come back.", nil, nil)
	longestDesc = prometheus.NewDesc("millrace_source_outage_seconds", "How long the longest of these outages lasts.", nil, nil)
	optOutDesc  = prometheus.NewDesc("millrace_source_optouts_total", "Media refused because their host forbids the use, by signal.", []string{"signal"}, nil)
)

// Describe implements prometheus.Collector.
func (m *Meters) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.seconds, m.bytes, m.errors, m.jobs} {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{millsDesc, busyDesc, queuedDesc, scratchDesc, outageDesc, waitingDesc, longestDesc, optOutDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Meters) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.seconds, m.bytes, m.errors, m.jobs} {
		c.Collect(ch)
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	in := int(m.inMills.Load())
	gauge(millsDesc, float64(m.mills))
	gauge(busyDesc, float64(min(in, m.mills)))
	gauge(queuedDesc, float64(max(in-m.mills, 0)))
	var fs syscall.Statfs_t
	if m.scratch != "" && syscall.Statfs(m.scratch, &fs) == nil {
		gauge(scratchDesc, float64(fs.Bavail)*float64(fs.Bsize))
	}
	if m.sources != nil {
		m.collectSources(ch, gauge)
	}
}

func (m *Meters) collectSources(ch chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64)) {
	down := m.sources.Outages() // longest first
	waiting, longest := 0, 0.0
	for _, o := range down {
		waiting += o.Waiting
	}
	if len(down) > 0 {
		longest = time.Since(down[0].Since).Seconds()
	}
	gauge(outageDesc, float64(len(down)))
	gauge(waitingDesc, float64(waiting))
	gauge(longestDesc, longest)
	for signal, n := range m.sources.OptOuts() {
		ch <- prometheus.MustNewConstMetric(optOutDesc, prometheus.CounterValue, float64(n), signal)
	}
}
