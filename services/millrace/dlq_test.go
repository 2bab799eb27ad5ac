package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/services/deadletter"
)

// letters are what dlq list gives.
func letters(t testing.TB, p place, flags ...string) []letterJSON {
	t.Helper()
	var all []letterJSON
	d := json.NewDecoder(strings.NewReader(output(t, exitDone, p.env, append([]string{"--json", "dlq", "list", p.url}, flags...)...)))
	for d.More() {
		var l letterJSON
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// A message that no recipe wanted is listed and told to the dead-letter topic; once there
// is a recipe it is replayed, ends as samples, and is listed no more.
func TestDeadLetters(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka; not with -short")
	}
	p, recipe, later := versitygw(t), recipeFile(t, "fleet"), recipeFile(t, "later")
	client, cfg := topic(t, 1)
	dead := cfg
	dead.Topic = cfg.Topic + "-dead"
	still := mustRead(t, filepath.Join(media(t, 1, 0), "still-0001.jpg"))
	send := func(value []byte, headers ...string) {
		t.Helper()
		m := queue.Message{Value: value}
		for i := 0; i < len(headers); i += 2 {
			m.Headers = append(m.Headers, queue.Header{Key: headers[i], Value: []byte(headers[i+1])})
		}
		if err := client.Producer(1).Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	send(still, "content-type", "image/jpeg", "dataset", "fleet", "id", "one")
	send(still, "content-type", "image/jpeg", "dataset", "later", "id", "two")
	send([]byte(`{"uri": "https://user:s3cret@example.org/a.mp4?sig=s3cret"`), "content-type", "application/json")
	env := "MILLRACE_DEAD_LETTERS_TOPIC=" + dead.Topic

	first := startWorker(t, p, cfg, recipe, env)
	until(t, "three outcomes", time.Minute, func() bool { return len(allOutcomes(t, p)) == 3 })
	told := deadLetters(t, dead, 2)
	first.Process.Signal(syscall.SIGTERM)
	if err := first.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}

	listed := letters(t, p)
	if len(listed) != 2 || listed[0].Code != "msg.no-recipe" || listed[0].ID != "two" || listed[1].Code != "msg.invalid" || listed[0].Advice == "" {
		t.Fatalf("listed: %+v", listed)
	}
	for i, l := range listed {
		want := strings.ReplaceAll(l.Place[:strings.LastIndex(l.Place, "/")], "/", "~") + "/" + strconv.FormatInt(l.Offset, 10)
		if string(told[i].Key) != want || headerOf(told[i], "millrace-code") != l.Code || headerOf(told[i], "__connect.errors.offset") != strconv.FormatInt(l.Offset, 10) {
			t.Errorf("letter %d: key %q, want %q; %v", i, told[i].Key, want, told[i].Headers)
		}
	}
	if string(told[0].Value) != string(still) || headerOf(told[0], "dataset") != "later" {
		t.Error("the first letter is not the message")
	}
	if strings.Contains(string(told[1].Value), "s3cret") || !strings.Contains(string(told[1].Value), "https://example.org/a.mp4") {
		t.Errorf("the second letter: %s", told[1].Value)
	}
	shown := output(t, exitDone, p.env, "dlq", "show", p.url, listed[0].Place, "--brokers", cfg.Brokers[0], "--topic", cfg.Topic)
	for _, want := range []string{"msg.no-recipe", `"two"`, "give them one", "content-type", "bytes:"} {
		if !strings.Contains(shown, want) {
			t.Errorf("dlq show does not say %q:\n%s", want, shown)
		}
	}
	output(t, exitFaults, p.env, "dlq", "show", p.url, "nobody")

	replay := func(flags ...string) (n deadletter.Replayed) {
		t.Helper()
		args := append([]string{"--json", "dlq", "replay", p.url, "--brokers", cfg.Brokers[0], "--topic", cfg.Topic, "--code", "msg.no-recipe"}, flags...)
		if err := json.Unmarshal([]byte(output(t, exitDone, p.env, args...)), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := replay("--dry-run"); n.Sent != 1 {
		t.Errorf("the dry run: %+v", n)
	}
	if n := replay(); n.Sent != 1 || n.Left != 0 {
		t.Errorf("the replay: %+v", n)
	}
	recipes := filepath.Dir(recipe)
	if err := os.WriteFile(filepath.Join(recipes, "later.yaml"), mustRead(t, later), 0o600); err != nil {
		t.Fatal(err)
	}
	second := startWorker(t, p, cfg, recipes, env)
	until(t, "the replayed message", time.Minute, func() bool { return len(allOutcomes(t, p)) == 4 })
	second.Process.Signal(syscall.SIGTERM)
	if err := second.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	last := outcomes(t, p)["two"]
	if last.Status != ledger.OK || last.ID != "two" || last.ReplayOf != listed[0].Place {
		t.Errorf("the replayed job ended as %+v", last)
	}
	if now := letters(t, p); len(now) != 1 || now[0].Code != "msg.invalid" {
		t.Errorf("listed after the replay: %+v", now)
	}
	if all := letters(t, p, "--settled"); len(all) != 2 || !all[0].Settled {
		t.Errorf("listed with those that are settled: %+v", all)
	}
	if n := replay(); n.Sent != 0 {
		t.Errorf("a second replay sends %d", n.Sent)
	}
	output(t, exitDone, p.env, "verify", p.url, "--deep")
}

// deadLetters reads n letters of a topic.
func deadLetters(t testing.TB, cfg queue.Config, n int) []queue.Record {
	t.Helper()
	c, err := queue.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	until(t, "the dead-letter topic", 30*time.Second, func() bool {
		o, err := c.Offsets(t.Context(), 0)
		return err == nil && o.High >= int64(n)
	})
	r := c.Read(0, 0, nil)
	defer r.Close()
	var all []queue.Record
	for range n {
		rec, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rec)
	}
	return all
}

func headerOf(r queue.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// A backfill of files that are nearly all broken stops by itself, says why, and goes on
// where it was once the alarm is off.
func TestBackfillAlarm(t *testing.T) {
	src, p, recipe := media(t, 4, 0), folder(t), recipeFile(t, "alarm")
	for i := range 30 {
		if err := os.WriteFile(filepath.Join(src, "broken-"+strconv.Itoa(100+i)+".jpg"), []byte("\xff\xd8\xff\xe0 "+strconv.Itoa(i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"backfill", "-q", src, "--recipe", recipe, "--to", p.url}
	c := command(t, []string{"MILLRACE_ALARM_SHARE=0.5", "MILLRACE_ALARM_WINDOW=10", "MILLRACE_WINDOW_MAX_DELIVERIES=4"}, args...)
	out, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(out), "alarm.share") || !strings.Contains(string(out), " decode.") {
		t.Fatalf("%v:\n%s", err, out)
	}
	stopped := len(allOutcomes(t, p))
	if stopped < 10 || stopped > 25 {
		t.Errorf("%d files were worked on before it stopped", stopped)
	}
	output(t, exitDone, nil, args...)
	if n := len(allOutcomes(t, p)); n != 34 {
		t.Errorf("%d files in the end, want 34", n)
	}
	output(t, exitDone, nil, "verify", p.url, "--deep")
}
