package settings

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/pipeline/store"
)

// slowMills holds each job until it is released.
type slowMills struct{ entered, release chan struct{} }

func (s slowMills) Do(context.Context, *mill.Assignment, mill.Sink) (pipeline.Verdict, error) {
	s.entered <- struct{}{}
	<-s.release
	return pipeline.Verdict{}, nil
}

func (slowMills) Close() {}

func TestMeters(t *testing.T) {
	m := newMeters()
	m.scratch = t.TempDir()
	var err error
	if m.sources, err = source.New(source.DefaultConfig()); err != nil {
		t.Fatal(err)
	}
	defer m.sources.Close()
	s := store.NewMetered(store.NewMemory(), m.stored)
	ctx := t.Context()
	if err := s.Put(ctx, "a", store.BytesBody([]byte("12345"))); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the first, which is an answer
		_ = s.Create(ctx, "b", []byte("xyz"))
	}
	if _, _, err := s.Get(ctx, "absent", 0, -1); !store.IsNotFound(err) {
		t.Fatal(err)
	}
	m.stored(store.Event{Op: "put", Err: errors.New("reset")})
	m.stored(store.Event{Op: "put", Err: context.Canceled})

	slow := slowMills{make(chan struct{}), make(chan struct{})}
	pool := m.milled(slow, 2)
	done := make(chan error)
	for range 3 {
		go func() { _, err := pool.Do(ctx, nil, nil); done <- err }()
	}
	for range 3 {
		<-slow.entered
	}
	got := scrape(t, m)
	for _, want := range []string{
		`millrace_store_seconds_count{op="put"} 3`, `millrace_store_seconds_count{op="create"} 2`, `millrace_store_seconds_count{op="get"} 1`,
		`millrace_store_bytes_total{op="put"} 5`, `millrace_store_errors_total{op="put"} 1`,
		"millrace_mills 2", "millrace_mills_busy 2", "millrace_mills_awaited 1", "millrace_source_outages 0", "millrace_source_waiting 0", "millrace_scratch_free_bytes ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(got, `errors_total{op="create"}`) || strings.Contains(got, `errors_total{op="get"}`) {
		t.Error("an answer is counted as a failure")
	}
	close(slow.release)
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := scrape(t, m); !strings.Contains(got, "millrace_mills_busy 0") || !strings.Contains(got, "millrace_mill_seconds_count 3") {
		t.Error("ended jobs are still in mills")
	}
}

func scrape(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	b, err := io.ReadAll(w.Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, err)
	}
	return string(bytes.TrimSpace(b))
}
