package gateway

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/store"
)

// raw sends bytes as they are and reads the answer.
func (r *rig) raw(request string) (status int, head http.Header, body string) {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatalf("no answer to %.200q: %v", request, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(b)
}

// Requests that a proxy could read in another way, and heads without end.
func TestSmuggling(t *testing.T) {
	r := newRig(t)
	auth := "Host: x\r\nAuthorization: Bearer " + r.token + "\r\n"
	post := "POST /v1/ingest?dataset=cats HTTP/1.1\r\n" + auth + "Content-Type: image/png\r\n"
	tus := auth + "Tus-Resumable: 1.0.0\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"two lengths":           {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", 400},
		"a length below zero":   {post + "Content-Length: -1\r\n\r\n", 400},
		"a length with a plus":  {post + "Content-Length: +1\r\n\r\nx", 400},
		"an encoding of two":    {post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
		"an encoding of ours":   {post + "Transfer-Encoding: xchunked\r\n\r\n", 501},
		"a chunk of no size":    {post + "Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n", 400},
		"a space in a name":     {post + "Content-Length : 1\r\n\r\nx", 400},
		"a folded line":         {"POST /v1/ingest HTTP/1.1\r\n" + auth + "X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n", 415},
		"no host":               {"GET /healthz HTTP/1.1\r\n\r\n", 400},
		"two hosts":             {"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"a head of 64 KiB":      {"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
		"heads of 64 KiB":       {"GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: "+strings.Repeat("x", 60)+"\r\n", 1<<10) + "\r\n", 431},
		"a line of 64 KiB":      {"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		"two tokens":            {"GET /v1/jobs/x HTTP/1.1\r\n" + auth + "Authorization: Bearer x\r\n\r\n", 401},
		"two content types":     {post + "Content-Type: application/json\r\nContent-Length: 1\r\n\r\nx", 400},
		"two keys":              {post + "Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 1\r\n\r\nx", 400},
		"two lists of metadata": {"POST /v1/uploads/ HTTP/1.1\r\n" + tus + "Upload-Length: 1\r\nUpload-Metadata: dataset Y2F0cw==\r\nUpload-Metadata: dataset ZG9ncw==\r\nContent-Length: 0\r\n\r\n", 400},
		"two upload lengths":    {"POST /v1/uploads/ HTTP/1.1\r\n" + tus + "Upload-Length: 1\r\nUpload-Length: 2\r\nUpload-Metadata: dataset Y2F0cw==\r\nContent-Length: 0\r\n\r\n", 400},
		"a deferred length":     {"POST /v1/uploads/ HTTP/1.1\r\n" + tus + "Upload-Defer-Length: 1\r\nUpload-Metadata: dataset Y2F0cw==\r\nContent-Length: 0\r\n\r\n", 400},
		"a final upload":        {"POST /v1/uploads/ HTTP/1.1\r\n" + tus + "Upload-Concat: final;/v1/uploads/a /v1/uploads/b\r\nContent-Length: 0\r\n\r\n", 400},
		"another method inside": {"POST /v1/uploads/ HTTP/1.1\r\n" + tus + "X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n", 400},
		"a method of its own":   {"BREW /v1/ingest HTTP/1.1\r\n" + auth + "\r\n", 405},
		"a path of a proxy":     {"GET http://evil.example/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 401},
	} {
		if status, _, body := r.raw(c.request); status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.status)
		}
	}
	if n := r.size(); n != 0 {
		t.Errorf("%d records", n)
	}
	r.take("/v1/ingest?dataset=cats", "image/png", strings.NewReader("x")) // it serves on
}

// A body that nobody reads, as its sender is not known or there is nothing at its path,
// keeps no connection: the server would wait for it before it answers.
func TestUnreadBody(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Limits.Idle = 300 * time.Millisecond })
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"of nobody":         {"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nx", 401},
		"of nobody, chunks": {"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", 401},
		"to health":         {"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", 200},
		"to nothing":        {"POST /else HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", 404},
		"to a job":          {"GET /v1/jobs/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + r.token + "\r\nContent-Length: 1000\r\n\r\nx", 404},
		"of a wrong type":   {"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + r.token + "\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\nx", 415},
		"to an end":         {"DELETE /v1/uploads/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + r.token + "\r\nTus-Resumable: 1.0.0\r\nContent-Length: 1000\r\n\r\nx", 404},
	} {
		start := time.Now()
		if status, _, body := r.raw(c.request); status != c.status || time.Since(start) > 10*time.Second {
			t.Errorf("%s: %d %s after %v, want %d", name, status, body, time.Since(start), c.status)
		}
	}
}

// Heads that come slowly are cut off.
func TestSlowHeads(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Limits.Header = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	start := time.Now()
	if _, err := io.ReadAll(conn); err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// The store may take longer than a body may pause.
func TestSlowStore(t *testing.T) {
	r := newRig(t, func(p *Parts) {
		p.Config.Limits.Idle = 300 * time.Millisecond
		p.Store = store.NewFaulty(p.Store, func(op, key string, _ int) store.Fault {
			if op == "put" && strings.HasPrefix(key, "_upload/") {
				return store.Fault{Delay: time.Second}
			}
			return store.Fault{}
		})
	})
	large := noise(9 << 20)
	got := r.take("/v1/ingest?dataset=cats", "video/mp4", bytes.NewReader(large))
	if j, _ := r.jobAt(got.Jobs[0]); !bytes.Equal(r.stored(j.Media[0].URI), large) {
		t.Error("other bytes")
	}
	body, ct := parts(t, [4]string{"v", "a.mp4", "", string(large)})
	r.take("/v1/ingest?dataset=cats", ct, body)
}

// Names and metadata of uploads that mean something to somebody else.
func TestHostileUploads(t *testing.T) {
	r := newRig(t)
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, meta := range map[string]string{
		"twice":             metadata("dataset", "cats", "dataset", "dogs"),
		"no base64":         "dataset cats!",
		"raw base64":        "dataset Y2F0cw",
		"loose base64":      "dataset Y2F0cx==",
		"a digest of other": metadata("dataset", "cats", "sha256", strings.ToUpper(hexSum([]byte("x")))),
		"a short digest":    metadata("dataset", "cats", "sha256", "abc"),
		"no digest's text":  metadata("dataset", "cats") + ",sha256 " + "zz!",
		"three words":       "dataset " + b64("cats") + " x",
		"not UTF-8":         "dataset " + b64("cats") + ",filename " + b64("\xff\xfe"),
		"a name of its own": metadata("dataset", "cats", "tenant", "other"),
		"no name":           "," + metadata("dataset", "cats"),
		"a dataset's path":  metadata("dataset", "../cats"),
		"JSON of depth":     metadata("dataset", "cats", "meta", strings.Repeat("[", 5000)+strings.Repeat("]", 5000)),
	} {
		resp, b := r.ask("POST", "/v1/uploads/", http.NoBody, "Tus-Resumable", "1.0.0", "Upload-Length", "1", "Upload-Metadata", meta)
		if resp.StatusCode/100 != 4 || decode[Problem](t, b).Code == "" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, b)
		}
	}
	r.refused(400, "request.invalid", "POST", "/v1/uploads/", http.NoBody, "Tus-Resumable", "1.0.0", "Upload-Length", "1", "Upload-Metadata", metadata("dataset", "cats"), "Idempotency-Key", strings.Repeat("k", maxKey+1))
	// A file's name may be anything: it is text in the sample's metadata, and no path.
	name := "../../a\r\nX-Evil: 1\x00\"<script>.mp4"
	path := r.begin(3, metadata("dataset", "cats", "filename", name))
	resp, _ := r.ask("HEAD", path, http.NoBody, "Tus-Resumable", "1.0.0")
	if resp.Header.Get("X-Evil") != "" || resp.StatusCode != 200 {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	resp = r.patch(path, 0, strings.NewReader("abc"))
	p := r.find(resp.Header.Get(jobHeader))
	j, _ := r.jobAt(p)
	if !strings.HasPrefix(j.Media[0].URI, "store://_upload/acme/") || strings.Contains(j.Media[0].URI, "..") || !bytes.Contains(j.Meta, []byte(`\u0000`)) {
		t.Errorf("%+v %s", j.Media[0], j.Meta)
	}
	// Ids that would be other keys of the store.
	other := strings.TrimPrefix(path, uploadsPath)
	for _, id := range []string{other + ".info", other + ".done", other + "%2e%64one", "%2e%2e/other/" + other, "..%2fother%2f" + other, other + "%00", other + "/", "%2f" + other, strings.ToUpper(other), "%2e%2e%2f%2e%2e%2f_gateway%2fhandle-key"} {
		for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
			resp, _ := r.ask(method, uploadsPath+id, strings.NewReader("x"), "Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")
			if resp.StatusCode != 404 && resp.StatusCode != 405 {
				t.Errorf("%s %s: %d", method, id, resp.StatusCode)
			}
		}
	}
	// Another tenant does not learn that it is there.
	for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
		resp, _ := r.ask(method, path, strings.NewReader("x"), "Tus-Resumable", "1.0.0", "Upload-Offset", "3", "Content-Type", "application/offset+octet-stream", "Authorization", "Bearer "+r.other)
		if resp.StatusCode != 404 || resp.Header.Get(jobHeader) != "" {
			t.Errorf("%s of another tenant: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
	r.refused(404, "request.not-found", "GET", "/v1/jobs/"+p.Job, http.NoBody, "Authorization", "Bearer "+r.other)
	// What a proxy says of hosts is not repeated.
	resp, _ = r.ask("POST", "/v1/uploads/", http.NoBody, "Tus-Resumable", "1.0.0", "Upload-Length", "1", "Upload-Metadata", metadata("dataset", "cats"),
		"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example;proto=https")
	if at := resp.Header.Get("Location"); !strings.HasPrefix(at, uploadsPath) {
		t.Errorf("it goes on at %q", at)
	}
}

// Web pages of other origins get no leave to read or to send.
func TestNoCrossOrigin(t *testing.T) {
	r := newRig(t)
	for _, c := range [][2]string{{"OPTIONS", "/v1/ingest"}, {"OPTIONS", "/v1/uploads/"}, {"GET", "/healthz"}, {"HEAD", "/v1/uploads/x"}} {
		resp, _ := r.ask(c[0], c[1], http.NoBody, "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%v: %s", c, name)
			}
		}
	}
}

// Neither the log nor a refusal repeats what a request held that might be a secret.
func TestNoSecretsSaid(t *testing.T) {
	r := newRig(t)
	const canary = "CANARY0123456789"
	said := ""
	for _, c := range []struct {
		method, path, body string
		head               []string
	}{
		{"POST", "/v1/ingest?dataset=cats&sig=" + canary, "x", []string{"Content-Type", "image/png"}},
		{"GET", "/v1/jobs/" + canary, "", nil},
		{"GET", "/" + canary, "", nil},
		{"HEAD", "/v1/uploads/" + canary, "", nil},
		{"POST", "/v1/ingest", `{"dataset":"cats","media":[{"uri":"https://evil.example/x?X-Amz-Signature=` + canary + `"}]}`, []string{"Content-Type", "application/json"}},
		{"POST", "/v1/ingest", `{"dataset":"cats","text":"` + canary + `","x":"` + canary + `"}`, []string{"Content-Type", "application/json"}},
		{"POST", "/v1/ingest", `{"dataset":"cats","text":1,"` + canary, []string{"Content-Type", "application/json"}},
		{"POST", "/v1/ingest?dataset=cats", "x", []string{"Content-Type", "image/png", "Idempotency-Key", canary + " " + canary}},
		{"POST", "/v1/ingest?dataset=cats", "x", []string{"Content-Type", "image/png", "Cookie", canary, "X-Api-Key", canary}},
		{"GET", "/v1/jobs/x", "", []string{"Authorization", "Bearer " + canary}},
		{"GET", "/v1/jobs/x", "", []string{"Authorization", "Basic " + canary}},
		{"GET", "/v1/jobs/x", "", []string{"Authorization", "Bearer a." + canary + ".c"}},
		{"POST", "/v1/uploads/", "", []string{"Tus-Resumable", "1.0.0", "Upload-Length", canary, "Upload-Metadata", metadata("dataset", "cats")}},
		{"POST", "/v1/uploads/", "", []string{"Tus-Resumable", "1.0.0", "Upload-Length", "1", "Upload-Metadata", metadata("dataset", "cats", "meta", canary)}},
	} {
		resp, b := r.ask(c.method, c.path, strings.NewReader(c.body), c.head...)
		said += fmt.Sprint(c.path[:4], resp.StatusCode, string(b), resp.Header, "\n")
	}
	said += r.log.String()
	if at := strings.Index(said, canary); at >= 0 {
		t.Errorf("...%s", said[max(0, at-300):min(at+100, len(said))])
	}
	if strings.Contains(said, r.token) {
		t.Error("a token is repeated")
	}
}

// Who knows the name of another tenant's upload can not cut it off: tus lets a request of
// the same upload take it over, and that is for its own tenant alone.
func TestNobodyElseInterrupts(t *testing.T) {
	r := newRig(t)
	data := noise(3 << 20)
	path := r.begin(len(data), metadata("dataset", "cats", "filetype", "video/mp4"))
	body, feed := io.Pipe()
	done := make(chan *http.Response)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), "PATCH", r.url+path, body)
		req.ContentLength = int64(len(data))
		for k, v := range map[string]string{"Authorization": "Bearer " + r.token, "Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"} {
			req.Header.Set(k, v)
		}
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Error(err)
			close(done)
			return
		}
		resp.Body.Close()
		done <- resp
	}()
	if _, err := feed.Write(data[:1<<20]); err != nil { // it is under way
		t.Fatal(err)
	}
	for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
		resp, _ := r.ask(method, path, strings.NewReader("x"), "Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream", "Authorization", "Bearer "+r.other)
		if resp.StatusCode != 404 {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
	time.Sleep(100 * time.Millisecond)
	if _, err := feed.Write(data[1<<20:]); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
	if resp := <-done; resp == nil || resp.StatusCode != 204 {
		t.Fatalf("%v", resp)
	} else {
		r.checkStored(r.find(resp.Header.Get(jobHeader)), data, "")
	}
}
