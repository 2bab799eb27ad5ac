package settings

import (
	"context"
	"log/slog"
	"slices"

	"github.com/millrace/millrace/codecs/video"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
	"github.com/millrace/millrace/services/worker"
)

// Worker is a worker with all that it works with.
type Worker struct {
	*worker.Worker
	Tally  *stream.Tally
	closed []func()
}

// Close ends what OpenWorker opened, last first.
func (w *Worker) Close() {
	for _, c := range slices.Backward(w.closed) {
		c()
	}
}

// Tools are the versions that records name.
func (c Config) Tools() map[string]string {
	return map[string]string{"millrace": c.Version, "ffmpeg": video.Version()}
}

// OpenWorker builds a worker, in order: store, mills, fetcher, recipes, the worker itself,
// and what watches it. raise is called once if too many jobs are refused.
func (c Config) OpenWorker(ctx context.Context, log *slog.Logger, raise func(*stream.AlarmError)) (w *Worker, err error) {
	w = &Worker{Tally: &stream.Tally{}}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	meters := newMeters()
	s, closeStore, err := c.openStore(ctx, func(s store.Store) store.Store { return store.NewMetered(s, meters.stored) })
	if err != nil {
		return w, err
	}
	w.closed = append(w.closed, closeStore)
	mode, err := c.ProveStore(ctx, s, false)
	if err != nil {
		return w, err
	}
	log.Info("the store decides creates exclusively", "mode", mode.Mode, "proved", mode.Time, "rounds", mode.Rounds, "racers", mode.Racers)
	mills, err := c.OpenMills(ctx)
	if err != nil {
		return w, err
	}
	w.closed = append(w.closed, mills.Close)
	mills = meters.milled(mills, c.Mill.Count)
	c.Source.Log = log
	fetcher, err := c.openFetcher()
	if err != nil {
		return w, err
	}
	w.closed = append(w.closed, func() { fetcher.Close() })
	meters.sources = fetcher
	recipes, err := c.LoadRecipes()
	if err != nil {
		return w, err
	}
	window := c.Window
	if window.Dir, err = c.ScratchDir(); err != nil {
		return w, err
	}
	meters.scratch = window.Dir
	fetch := fromUploads(s, window.Dir, c.Source.S3.MaxBytes, fetchWith(fetcher))
	client, err := queue.Open(c.Queue)
	if err != nil {
		return w, err
	}
	w.closed = append(w.closed, func() { client.Close() })
	var outbox worker.Outbox
	if c.DeadLetters.Topic != "" {
		o, closeOutbox, err := c.openOutbox(ctx, store.Plain{Store: s}, client, log)
		if err != nil {
			return w, err
		}
		w.closed = append(w.closed, closeOutbox)
		outbox = o
	}
	w.Worker = worker.New(worker.Parts{
		Config: c.Worker, StartPolicy: c.Queue.Start.String(), RetentionGap: c.Queue.OnRetentionLoss == queue.LossGap,
		Topic: worker.Kafka(client), Message: c.MessageOptions(), Window: window, Store: s, Mills: mills, Fetch: fetch,
		Recipes: recipes, Count: c.Mill.Count, Observe: stream.NewAlarm(w.Tally, c.Alarm, raise), Log: log, Tools: c.Tools(), Keep: keepIn(s),
		Outbox: outbox,
	})
	w.closed = append(w.closed, c.Publish.start(ctx, s, log))
	if c.Metrics.Listen != "" {
		_, stop, err := worker.Serve(c.Metrics.Listen, w.Tally, w.Status, log, meters, w.Worker.Lag())
		if err != nil {
			return w, err
		}
		w.closed = append(w.closed, stop)
	}
	return w, nil
}
