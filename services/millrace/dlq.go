package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/deadletter"
	"github.com/millrace/millrace/services/keeper"
)

type dlqCmd struct {
	List   dlqListCmd   `cmd:"" help:"List the jobs that were refused and have not ended as samples since."`
	Show   dlqShowCmd   `cmd:"" help:"Show one refused job, and its message if brokers are given."`
	Replay dlqReplayCmd `cmd:"" help:"Send refused messages through the ingest topic again."`
}

func (dlqCmd) Help() string {
	return `Examples:  millrace dlq list s3://bucket/set --code 'source.*' --since 24h
           millrace dlq show s3://bucket/set ingest/3/1042 --brokers kafka:9092
           millrace dlq replay s3://bucket/set --code transient.source --brokers kafka:9092

The ledger is what counts; the dead-letter topic (dead_letters.topic) is told of it for other
tools. A replayed message is the one of the ingest topic, which must still have it.`
}

// dlqFilter chooses among the refused jobs.
type dlqFilter struct {
	Code    []string `help:"Code or family, as in source.gone or decode.*. May be repeated." placeholder:"CODE" sep:"none"`
	Since   string   `help:"Refused since: a time (RFC 3339) or a duration back, like 24h." placeholder:"TIME"`
	Dataset string   `help:"Of this dataset." placeholder:"NAME"`
	Stream  string   `help:"Of this stream: TOPIC/PARTITION, or a backfill's name." placeholder:"NAME"`
	ID      string   `help:"Of this job."`
}

func (f dlqFilter) query() (deadletter.Query, error) {
	since, err := sinceTime(f.Since, time.Now())
	if err != nil {
		return deadletter.Query{}, usageError{fmt.Errorf("--since: %w", err)}
	}
	q := deadletter.Query{Codes: f.Code, Since: since, Dataset: f.Dataset, Stream: f.Stream, ID: f.ID}
	if err := q.Validate(); err != nil {
		return q, usageError{fmt.Errorf("--code: %w", err)}
	}
	return q, nil
}

// sinceTime reads a time, or a duration before now; "" is the zero time.
func sinceTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a time like 2026-01-31T12:00:00Z nor a duration like 24h", s)
	}
	return t, nil
}

// letterJSON is what scripts read of a refused job.
type letterJSON struct {
	Place  string    `json:"place"`
	Record string    `json:"record"`
	Time   time.Time `json:"time"`
	ledger.Outcome
	Settled bool   `json:"settled"`
	Advice  string `json:"advice"`
}

func jsonOf(l *deadletter.Letter) letterJSON {
	return letterJSON{l.Place(), ledger.RecordKey(l.Stream, l.Seq), l.Time, l.Outcome, l.Settled, keeper.Advice(l.Code)}
}

type dlqListCmd struct {
	storeArg
	dlqFilter
	Settled bool  `help:"List those too that have ended as samples since."`
	Limit   int64 `help:"Stop after so many; 0 lists all." default:"0"`
}

func (c dlqListCmd) Run(a *app) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	q.Settled = c.Settled
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	codes := map[string]int64{}
	var n int64
	for l, err := range deadletter.Letters(a.ctx, store.Plain{Store: s}, q) {
		if err != nil {
			return err
		}
		codes[l.Code]++
		n++
		if a.json {
			if err := a.printJSON(jsonOf(&l)); err != nil {
				return err
			}
		} else {
			printLetterLine(a.out, &l)
		}
		if c.Limit > 0 && n >= c.Limit {
			break
		}
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		parts = append(parts, fmt.Sprintf("%d %s", codes[code], code))
	}
	fmt.Fprintf(a.errOut, "%d refused jobs", n)
	if n > 0 {
		fmt.Fprintf(a.errOut, ": %s", strings.Join(parts, ", "))
	}
	fmt.Fprintln(a.errOut)
	return nil
}

func printLetterLine(w io.Writer, l *deadletter.Letter) {
	state := ""
	if l.Settled {
		state = " (samples since)"
	}
	name := l.ID
	if name == "" {
		name = "-"
	}
	fmt.Fprintf(w, "%s  %-18s %s  %s  %s%s\n", l.Time.Format(time.RFC3339), l.Code, l.Place(), name, l.Detail, state)
}

type dlqShowCmd struct {
	storeArg
	queueFlags
	What string `arg:"" help:"Place, as list prints it: [CLUSTER/]TOPIC/PARTITION/OFFSET or STREAM/OFFSET; or a job's id."`
}

func (c dlqShowCmd) Run(a *app) error {
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	found := false
	for l, err := range deadletter.Letters(a.ctx, store.Plain{Store: s}, deadletter.Query{Settled: true}) {
		if err != nil {
			return err
		}
		if l.ID != c.What && l.Place() != c.What && !strings.HasSuffix(l.Place(), "/"+c.What) {
			continue
		}
		found = true
		if err := c.show(a, &l); err != nil {
			return err
		}
	}
	if !found {
		return faultsError{fmt.Errorf("no refused job is at %s, or has that id: explain says what became of it", c.What)}
	}
	return nil
}

func (c dlqShowCmd) show(a *app, l *deadletter.Letter) error {
	if a.json {
		return a.printJSON(jsonOf(l))
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.out, "  %-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(a.out, "%s: %s\n", l.Place(), l.Status)
	line("job", "%q of dataset %q", l.ID, l.Dataset)
	line("code", "%s, in %s: %s", l.Code, l.Stage, l.Detail)
	if l.Attempts > 1 {
		line("attempts", "%d", l.Attempts)
	}
	line("advice", "%s", keeper.Advice(l.Code))
	line("record", "%s, %s", ledger.RecordKey(l.Stream, l.Seq), l.Time.Format(time.RFC3339))
	for _, src := range l.Sources {
		line("source", "%s", sourceText(src))
	}
	if l.ReplayOf != "" {
		line("replay", "of %s", l.ReplayOf)
	}
	if l.Settled {
		line("since", "the same job has ended as samples")
	}
	if len(c.Brokers) == 0 || l.Stream.Name != "" {
		return nil
	}
	r, client, err := c.ingest(a)
	if err != nil {
		return err
	}
	defer client.Close()
	m, err := r.Original(a.ctx, l.Stream.Partition, l.Offset)
	if err != nil || m == nil {
		if err == nil {
			line("message", "the topic no longer has it")
		}
		return err
	}
	for _, h := range m.Headers {
		line("header", "%s: %s", h.Key, preview(h.Value))
	}
	line("message", "%d bytes: %s", len(m.Value), preview(m.Value))
	return nil
}

// preview is the beginning of bytes, quoted.
func preview(b []byte) string {
	const most = 200
	cut := b[:min(len(b), most)]
	for len(cut) < len(b) && len(cut) > most-utf8.UTFMax && !utf8.Valid(cut) {
		cut = cut[:len(cut)-1]
	}
	s := fmt.Sprintf("%q", cut)
	if len(cut) < len(b) {
		s += "..."
	}
	return s
}

type dlqReplayCmd struct {
	storeArg
	queueFlags
	dlqFilter
	Limit  int64 `help:"Send at most so many messages; 0 sends all." default:"0"`
	DryRun bool  `help:"Say what would be sent, and send nothing."`
}

func (c dlqReplayCmd) Run(a *app) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	r, client, err := c.ingest(a)
	if err != nil {
		return err
	}
	defer client.Close()
	r.DryRun = c.DryRun
	r.Each = func(l *deadletter.Letter, why string) {
		switch {
		case why != "":
			fmt.Fprintf(a.errOut, "left %s: %s\n", l.Place(), why)
		case !a.json:
			fmt.Fprintf(a.out, "%s  %s  %s\n", l.Code, l.Place(), l.ID)
		}
	}
	n, err := r.Replay(a.ctx, deadletter.Letters(a.ctx, store.Plain{Store: s}, q), c.Limit)
	if a.json {
		err = errors.Join(err, a.printJSON(n))
	}
	verb := "sent"
	if c.DryRun {
		verb = "would send"
	}
	fmt.Fprintf(a.errOut, "%s %d messages again; %d can not be\n", verb, n.Sent, n.Left)
	return err
}

// ingest reaches the ingest topic of the flags and settings.
func (f queueFlags) ingest(a *app) (*deadletter.Replayer, *queue.Client, error) {
	cfg, err := a.settings()
	if err != nil {
		return nil, nil, err
	}
	f.apply(&cfg)
	client, err := queue.Open(cfg.Queue)
	if err != nil {
		return nil, nil, usageError{err}
	}
	cluster, err := client.ClusterID(a.ctx)
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return &deadletter.Replayer{
		Original: deadletter.FromTopic(client), Publish: client.Producer(1).Publish,
		Options: cfg.MessageOptions(), Cluster: cluster, Topic: cfg.Queue.Topic,
	}, client, nil
}
