package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/services/settings"
)

type pushCmd struct {
	queueFlags
	State   string        `help:"State folder of a running 'millrace up', to find its broker." default:".millrace" env:"MILLRACE_STATE"`
	Dataset string        `help:"Dataset; its recipe says what becomes of the media." default:"default"`
	ID      string        `help:"Id of the job, for a single file. Derived from the content unless said."`
	Text    string        `help:"Caption that goes with the media."`
	Meta    string        `help:"JSON object that travels into each sample." placeholder:"JSON"`
	Wait    time.Duration `help:"Wait until all is committed, for at most this long. Needs the state folder, or --to." placeholder:"DURATION"`
	To      string        `help:"Store to watch with --wait, where there is no state folder." placeholder:"URL"`
	Sources []string      `arg:"" name:"file|uri|-" help:"Media files, URIs (s3://, https://), or - for JSON jobs from standard input, one a line."`
}

func (pushCmd) Help() string {
	return `Examples:  millrace push clip.mp4
           millrace push --brokers kafka:9092 --dataset cats s3://bucket/cat.mp4 photo.jpg
           cat jobs.jsonl | millrace push --brokers kafka:9092 -

A file of up to 8 MiB travels in the message; a larger one is named by its path, which
only a worker on this machine can read: put it in a bucket for a fleet.`
}

func (c pushCmd) Run(a *app) error {
	cfg, err := a.settings()
	if err != nil {
		return err
	}
	if len(c.Brokers) == 0 && len(cfg.Queue.Brokers) == 0 {
		up, err := awaitUp(a, c.State)
		if err != nil {
			return err
		}
		cfg.Queue.Brokers, cfg.Queue.Topic = []string{up.Broker}, up.Topic
		cfg.Store.URL = up.Store
	}
	c.queueFlags.apply(&cfg)
	set(&cfg.Store.URL, c.To)
	jobs, err := c.jobs(a)
	if err != nil {
		return err
	}
	if c.Wait == 0 {
		return c.publish(a, cfg, jobs)
	}
	w, done, err := startWatch(a, cfg, jobs)
	if err != nil {
		return err
	}
	defer done()
	if err := c.publish(a, cfg, jobs); err != nil {
		return err
	}
	return w.wait(a, c.Wait)
}

// jobs are what the arguments name.
func (c pushCmd) jobs(a *app) ([]*pipeline.Job, error) {
	if c.ID != "" && len(c.Sources) != 1 {
		return nil, usageError{errors.New("--id is for a single file or URI")}
	}
	if c.Meta != "" && !json.Valid([]byte(c.Meta)) {
		return nil, usageError{errors.New("--meta is not JSON")}
	}
	var jobs []*pipeline.Job
	for _, s := range c.Sources {
		if s == "-" {
			more, err := readJobs(os.Stdin, c.Dataset)
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, more...)
			continue
		}
		m, err := medium(s)
		if err != nil {
			return nil, err
		}
		j := &pipeline.Job{ID: c.ID, Dataset: c.Dataset, Media: []pipeline.Media{m}, Text: c.Text}
		if c.Meta != "" {
			j.Meta = json.RawMessage(c.Meta)
		}
		j.DeriveID()
		if _, err := message.Encode(*j); len(m.Data) > 0 && tooLarge(err) { // as JSON its bytes are a third more
			if j.Media[0], err = byPath(s, m.Type); err != nil {
				return nil, err
			}
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// medium is a URI as it is, a small file by its bytes, a large one by its path.
func medium(s string) (pipeline.Media, error) {
	if strings.Contains(s, "://") {
		return pipeline.Media{URI: s}, nil
	}
	st, err := os.Stat(s)
	if err != nil {
		return pipeline.Media{}, err
	}
	typ := mime.TypeByExtension(filepath.Ext(s))
	if !st.Mode().IsRegular() {
		return pipeline.Media{}, usageError{fmt.Errorf("%s is not a file; folders are for 'millrace backfill'", s)}
	}
	if st.Size() > message.MaxValue {
		return byPath(s, typ)
	}
	b, err := os.ReadFile(s)
	if len(b) == 0 && err == nil {
		err = fmt.Errorf("%s has no bytes", s)
	}
	return pipeline.Media{Data: b, Type: typ}, err
}

func byPath(file, typ string) (pipeline.Media, error) {
	abs, err := filepath.Abs(file)
	return pipeline.Media{URI: source.FileURI(abs), Type: typ}, err
}

func tooLarge(err error) bool {
	e := codecs.AsError(err)
	return e != nil && e.Code == pipeline.CodeMsgLimit
}

// readJobs reads JSON jobs, one a line, as a consumer would.
func readJobs(r io.Reader, dataset string) ([]*pipeline.Job, error) {
	var jobs []*pipeline.Job
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, message.MaxValue)
	n := 1
	for ; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		parts, err := message.Parse(message.Record{Value: bytes.Clone(line)}, message.Options{Dataset: dataset})
		if err != nil {
			return nil, fmt.Errorf("standard input, line %d: %w", n, err)
		}
		for i := range parts {
			if parts[i].Fault != nil {
				return nil, fmt.Errorf("standard input, line %d: %w", n, parts[i].Fault)
			}
			jobs = append(jobs, &parts[i].Job)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("standard input, line %d: %w", n, err)
	}
	return jobs, nil
}

// publish sends the jobs and waits until the broker has them all.
func (c pushCmd) publish(a *app, cfg settings.Config, jobs []*pipeline.Job) error {
	client, err := queue.Open(cfg.Queue)
	if err != nil {
		return usageError{err}
	}
	defer client.Close()
	p := client.Producer(1)
	ctx, cancel := context.WithTimeout(a.ctx, 2*time.Minute)
	defer cancel()
	for _, j := range jobs {
		m, err := message.Encode(*j)
		if err != nil {
			return err
		}
		if err := p.Publish(ctx, toQueue(m)); err != nil {
			return fmt.Errorf("pushing %s: %w", j.ID, err)
		}
		if a.json {
			if err := a.printJSON(map[string]string{"id": j.ID, "dataset": j.Dataset}); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(a.errOut, "pushed %d jobs to %s\n", len(jobs), cfg.Queue.Topic)
	return nil
}

func toQueue(m message.Record) queue.Message {
	q := queue.Message{Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		q.Headers = append(q.Headers, queue.Header(h))
	}
	return q
}
