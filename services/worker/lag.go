package worker

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagWithin bounds how long a scrape waits for the brokers.
const lagWithin = 3 * time.Second

// Lag shows, for each partition that is this worker's, how many offsets of the topic are
// not in the ledger yet. The brokers are asked when somebody looks; a partition whose
// broker does not answer is left out, which alarms can see.
func (w *Worker) Lag() prometheus.Collector { return lags{w} }

type lags struct{ w *Worker }

var lagDesc = prometheus.NewDesc("millrace_partition_lag", "Offsets of the topic that are not in the ledger yet.", []string{"partition"}, nil)

// Describe implements prometheus.Collector.
func (lags) Describe(ch chan<- *prometheus.Desc) { ch <- lagDesc }

// Collect implements prometheus.Collector.
func (c lags) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lagWithin)
	defer cancel()
	var asked sync.WaitGroup
	for _, p := range c.w.Status().Partitions {
		if p.Epoch == 0 {
			continue
		}
		asked.Go(func() {
			o, err := c.w.Topic.Offsets(ctx, p.Partition)
			if err == nil {
				ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(max(o.High-p.Committed, 0)), strconv.Itoa(p.Partition))
			}
		})
	}
	asked.Wait()
}
