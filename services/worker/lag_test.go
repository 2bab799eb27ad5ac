package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/store"
)

// Lag is what the topic has beyond the ledger, whatever is in work.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := newTopic(20)
		m, release, _ := held("job-7")
		w := start(parts(t, topic, store.NewMemory(), m))
		synctest.Wait()
		if got := gathered(t, w.Lag()); len(got) != 0 {
			t.Errorf("a worker without partitions shows %v", got)
		}
		topic.deal(true)
		time.Sleep(10 * time.Second)
		p := w.Status().Partitions[0]
		if p.Epoch != 1 || p.Committed > 7 || p.Taken != 20 || p.Generation < 0 {
			t.Errorf("before the seventh job ended it stands at %+v", p)
		}
		if got := gathered(t, w.Lag()); got["0"] != float64(20-p.Committed) {
			t.Errorf("with %d of 20 in the ledger the lag is %v", p.Committed, got)
		}
		release()
		time.Sleep(2 * time.Minute)
		topic.produce(3)
		if got, p := gathered(t, w.Lag()), w.Status().Partitions[0]; got["0"] != float64(23-p.Committed) || p.Committed < 20 {
			t.Errorf("at %+v of 23 the lag is %v", p, got)
		}
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// gathered are a collector's values by partition.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			values[m.Label[0].GetValue()] = m.Gauge.GetValue()
		}
	}
	return values
}
