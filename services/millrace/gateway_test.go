package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/services/gateway"
)

// canaries are secrets that must stand nowhere but where they were put.
type canaries []string

func (c *canaries) plant(what string) string {
	s := fmt.Sprintf("CANARY%02d%s", len(*c), strings.Repeat(what, 3))
	*c = append(*c, s)
	return s
}

// logged is what a background program has said so far.
func logged(t testing.TB, path string) string {
	t.Helper()
	return string(mustRead(t, path))
}

// Jobs and media go from HTTP through a real Kafka, a worker and a real S3 server to
// samples, and the gateway tells what became of each. Of some twenty secrets in settings,
// requests and jobs none is in a log, an answer, a metric, the store or a dead letter.
func TestGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka; not with -short")
	}
	p, recipe := versitygw(t), recipeFile(t, "fleet")
	client, cfg := topic(t, 2)
	secrets := &canaries{}
	for _, e := range p.env {
		if name, v, _ := strings.Cut(e, "="); strings.Contains(name, "SECRET") && !strings.HasPrefix(v, "env:") && !strings.HasPrefix(v, "file:") {
			*secrets = append(*secrets, v)
		}
	}
	tokens := filepath.Join(t.TempDir(), "tokens.yaml")
	token := func(tenant string, scopes ...string) string {
		args := []string{"gateway", "token", "--tenant", tenant, "--append", tokens}
		for _, s := range scopes {
			args = append(args, "--scope", s)
		}
		s := strings.TrimSpace(output(t, exitDone, nil, args...))
		*secrets = append(*secrets, s)
		return s
	}
	writer, admin := token("acme", "ingest:write", "jobs:read"), token("acme", "admin")
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(config, []byte("gateway:\n  drain: 0s\n  tenants: [{name: acme, datasets: [fleet], sources: ['https://127.0.0.1/', 's3://acme/']}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	letters := cfg.Topic + ".dead"
	env := append([]string{"MILLRACE_GATEWAY_AUTH_TOKENS_FILE=" + tokens, "HANDLES=" + secrets.plant("handlekey"), "MILLRACE_GATEWAY_HANDLE_KEY=env:HANDLES",
		"READER=" + secrets.plant("reader"), "MILLRACE_SOURCE_S3_ACCESS_KEY=reader", "MILLRACE_SOURCE_S3_SECRET_KEY=env:READER", "MILLRACE_DEAD_LETTERS_TOPIC=" + letters}, p.env...)

	start := func() (gw *exec.Cmd, log, url string) {
		t.Helper()
		gw = command(t, env, "--config", config, "--log", "debug", "gateway", "--listen", "127.0.0.1:0", "--brokers", cfg.Brokers[0], "--topic", cfg.Topic, "--to", p.url)
		background(t, gw)
		log = gw.Stderr.(*os.File).Name()
		const says = "the gateway listens at "
		until(t, "the gateway", time.Minute, func() bool { return strings.Contains(logged(t, log), says) })
		_, addr, _ := strings.Cut(logged(t, log), says)
		return gw, log, "http://" + strings.Fields(addr)[0]
	}
	gw, gwLog, url := start()

	var said bytes.Buffer // everything that the gateway answered
	ask := func(method, path string, body io.Reader, head ...string) (int, []byte, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+writer)
		for i := 0; i < len(head); i += 2 {
			req.Header.Set(head[i], head[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(path, "openapi") {
			fmt.Fprintln(&said, resp.Header, string(b))
		}
		return resp.StatusCode, b, resp.Header
	}
	jobs := map[string]string{} // handle of each, by the status that it must come to
	take := func(status, path, contentType string, body []byte, head ...string) {
		t.Helper()
		code, b, _ := ask("POST", path, bytes.NewReader(body), append([]string{"Content-Type", contentType}, head...)...)
		var a gateway.Accepted
		if err := json.Unmarshal(b, &a); err != nil || code != http.StatusAccepted {
			t.Fatalf("%s: %d %s", path, code, b)
		}
		jobs[a.Jobs[0].Job] = status
	}
	src := media(t, 2, 1)
	clip, still := mustRead(t, filepath.Join(src, "clip-0000.mp4")), mustRead(t, filepath.Join(src, "still-0001.jpg"))
	take("committed", "/v1/ingest?dataset=fleet&id=clip", "video/mp4", clip)
	take("duplicate", "/v1/ingest?dataset=fleet&id=clip", "video/mp4", still)
	take("committed", "/v1/ingest", "image/jpeg", still, "Idempotency-Key", "k")
	// Another gateway does not know the key's first answer: what it takes repeats the job.
	other, otherLog, otherURL := start()
	one := url
	url = otherURL
	take("duplicate", "/v1/ingest", "image/jpeg", still, "Idempotency-Key", "k")
	url = one
	// A free box after the film makes it too large for a record; the film stays one.
	free := make([]byte, 9<<20)
	copy(free, []byte{0, 0x90, 0, 0, 'f', 'r', 'e', 'e'})
	take("committed", "/v1/ingest?id=large", "video/mp4", append(bytes.Clone(clip), free...))
	take("quarantined", "/v1/ingest?id=broken", "video/mp4", []byte("this is no film"))
	jobs[tusUpload(t, ask, append(bytes.Clone(clip), free...))] = "committed"

	// Secrets in requests and jobs.
	sign := func() string {
		return "X-Amz-Signature=" + secrets.plant("sig") + "&X-Amz-Security-Token=" + secrets.plant("sts")
	}
	job := func(uri string) []byte { return fmt.Appendf(nil, `{"dataset":"fleet","media":[{"uri":%q}]}`, uri) }
	take("quarantined", "/v1/ingest?id=signed", "application/json", job("https://127.0.0.1/x.mp4?"+sign()))
	for _, c := range []struct {
		path, auth string
		body       []byte
	}{
		{"/v1/ingest", "Bearer " + secrets.plant("bearer"), job("s3://acme/x")},
		{"/v1/ingest", "Basic " + secrets.plant("basic"), job("s3://acme/x")},
		{"/v1/ingest?access_token=" + secrets.plant("query"), "", job("s3://acme/x")},
		{"/v1/ingest", "", job("https://user:" + secrets.plant("password") + "@127.0.0.1/x")},
		{"/v1/ingest", "", job("https://evil.example/x?" + sign())},
		{"/v1/ingest", "", job("https://127.0.0.1?" + sign())}, // no path, so no URI by the schema
		{"/v1/" + secrets.plant("path"), "", nil},
		{"/v1/jobs/" + secrets.plant("job"), "", nil},
	} {
		head := []string{"Content-Type", "application/json", "Cookie", secrets.plant("cookie")}
		if c.auth != "" {
			head = append(head, "Authorization", c.auth)
		}
		if code, b, _ := ask("POST", c.path, bytes.NewReader(c.body), head...); code < 400 {
			t.Errorf("%s: %d %s", c.path, code, b)
		}
	}
	// Around the gateway, what it would have refused.
	for i, uri := range []string{"https://user:" + secrets.plant("direct") + "@127.0.0.1/x", "https://127.0.0.1?" + sign(), "ftp://u:" + secrets.plant("ftp") + "@h/x", "store://_log/x", "store://_upload/acme/x"} {
		if err := client.Producer(1).Publish(t.Context(), queue.Message{Key: fmt.Append(nil, "direct", i), Value: job(uri)}); err != nil {
			t.Fatal(err)
		}
	}
	// In settings that are refused.
	for _, set := range []string{"MILLRACE_QUEUE_SASL_PASSWORD", "MILLRACE_STORE_SESSION_TOKEN"} {
		c := command(t, append(env, "S="+secrets.plant("setting"), set+"=env:S"), "--config", config, "gateway", "--brokers", cfg.Brokers[0], "--to", p.url)
		b, err := c.CombinedOutput()
		if err == nil {
			t.Errorf("%s alone is taken", set)
		}
		said.Write(b)
		c = command(t, append(env, set+"="+secrets.plant("literal")), "--config", config, "gateway")
		b, _ = c.CombinedOutput()
		said.Write(b)
	}

	w := command(t, env, "--log", "debug", "worker", "--brokers", cfg.Brokers[0], "--topic", cfg.Topic, "--group", cfg.Topic, "--to", p.url, "--recipe", recipe)
	background(t, w)
	for handle, want := range jobs {
		var j gateway.Job
		until(t, "the end of a job", 2*time.Minute, func() bool {
			code, b, _ := ask("GET", "/v1/jobs/"+handle, http.NoBody)
			if code != 200 || json.Unmarshal(b, &j) != nil {
				t.Fatalf("%d %s", code, b)
			}
			return j.Status != gateway.JobQueued && j.Status != gateway.JobInFlight
		})
		if string(j.Status) != want || j.Status == gateway.JobCommitted && (j.Samples == 0 || len(j.Shards) == 0) {
			t.Errorf("%s of %s: %+v, want %s", j.ID, handle, j, want)
		}
	}
	until(t, "all outcomes", time.Minute, func() bool { return len(allOutcomes(t, p)) >= len(jobs)+5 })
	ask("GET", "/metrics", http.NoBody, "Authorization", "Bearer "+admin)
	for _, c := range []*os.Process{gw.Process, other.Process, w.Process} {
		c.Signal(syscall.SIGTERM)
	}
	if err := errors.Join(gw.Wait(), other.Wait()); err != nil {
		t.Errorf("a gateway, told to stop, ended with %v", err)
	}
	if err := w.Wait(); err != nil {
		t.Errorf("the worker, told to stop, ended with %v", err)
	}
	output(t, exitDone, p.env, "verify", p.url, "--deep")

	places := map[string]string{"the gateway's log": logged(t, gwLog), "the other gateway's": logged(t, otherLog), "the worker's log": logged(t, w.Stderr.(*os.File).Name()), "an answer": said.String(), "the tokens' file": string(mustRead(t, tokens))}
	for info, err := range p.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		rc, _, err := p.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			t.Fatal(err)
		}
		places["the object "+info.Key] = string(b)
	}
	if n := readLetters(t, cfg, letters, places); n < 5 {
		t.Errorf("%d dead letters", n)
	}
	if len(*secrets) < 20 {
		t.Errorf("%d secrets are planted", len(*secrets))
	}
	for where, text := range places {
		for _, s := range *secrets {
			if at := strings.Index(text, s); at >= 0 {
				t.Errorf("%s has a secret: ...%q", where, text[max(0, at-100):at+10])
			}
		}
	}
}

// tusUpload sends a medium as a resumable upload, in two requests, and returns its job.
func tusUpload(t *testing.T, ask func(string, string, io.Reader, ...string) (int, []byte, http.Header), data []byte) string {
	t.Helper()
	half := len(data) / 2
	code, b, head := ask("POST", "/v1/uploads/", bytes.NewReader(data[:half]), "Tus-Resumable", "1.0.0", "Upload-Length", fmt.Sprint(len(data)),
		"Content-Type", "application/offset+octet-stream", "Upload-Metadata", "filename YS5tcDQ=,id dHVz")
	if code != http.StatusCreated {
		t.Fatalf("creation: %d %s", code, b)
	}
	code, b, head = ask("PATCH", head.Get("Location"), bytes.NewReader(data[half:]), "Tus-Resumable", "1.0.0", "Upload-Offset", fmt.Sprint(half), "Content-Type", "application/offset+octet-stream")
	if code != http.StatusNoContent || head.Get("Millrace-Job") == "" {
		t.Fatalf("the rest: %d %s", code, b)
	}
	return head.Get("Millrace-Job")
}

// readLetters adds the dead-letter topic's records to the places.
func readLetters(t *testing.T, cfg queue.Config, topic string, places map[string]string) (n int) {
	t.Helper()
	cfg.Topic = topic
	c, err := queue.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	parts, err := c.Partitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for q := range parts {
		o, err := c.Offsets(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		r := c.Read(q, 0, nil)
		for r.Offset() < o.High {
			rec, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			places[fmt.Sprintf("dead letter %d", n)] = fmt.Sprintf("%s %s %s", rec.Key, rec.Value, rec.Headers)
			n++
		}
		r.Close()
	}
	return n
}
