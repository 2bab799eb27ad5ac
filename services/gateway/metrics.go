package gateway

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what Prometheus is told. No label comes from a request: routes are
// patterns, tenants are those of the configuration, codes are ours.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	jobs     *prometheus.CounterVec
	received *prometheus.CounterVec
	stored   prometheus.Counter
	underway prometheus.Gauge
	uploads  *prometheus.CounterVec
	stale    *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_gateway_requests_total", Help: "Requests answered, by route and status."}, []string{"route", "status"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "millrace_gateway_request_seconds", Help: "Time to answer a request.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"route"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_gateway_refusals_total", Help: "Requests refused, by code."}, []string{"code"}),
		jobs:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_gateway_jobs_total", Help: "Jobs that the topic has acknowledged."}, []string{"tenant"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_gateway_received_bytes_total", Help: "Bytes of request bodies."}, []string{"tenant"}),
		stored:   prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_gateway_stored_bytes_total", Help: "Bytes of media put into the store."}),
		underway: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_gateway_requests_underway", Help: "Requests with jobs or media under way."}),
		uploads:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_gateway_uploads_total", Help: "Resumable uploads, by what became of them: begun, complete, expired, damaged."}, []string{"event"}),
		stale:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "millrace_gateway_credentials_stale", Help: "1 while a file of credentials has changed and can not be used, so that what was read before counts."}, []string{"setting"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.refusals, m.jobs, m.received, m.stored, m.underway, m.uploads, m.stale)
	return m
}

// quota tells what a tenant may send still.
func (m *metrics) quota(t *tenant) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_gateway_quota_bytes", Help: "Bytes that the tenant may send now, of those of a day.", ConstLabels: prometheus.Labels{"tenant": t.Name},
	}, func() float64 { return max(t.quota.available(), 0) }))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
