package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Each fault is to the client, and to the store, what its name says.
func TestGateFaults(t *testing.T) {
	const body = "the whole of an object"
	for _, c := range []struct {
		fault   fault
		method  string
		status  int // 0: the connection breaks
		applied int32
	}{
		{noFault, "PUT", 200, 1}, {slowDown, "PUT", 503, 0}, {failed, "PUT", 500, 0}, {failedAfter, "PUT", 500, 1},
		{conflict, "PUT", 409, 0}, {reset, "PUT", 0, 0}, {resetAfter, "PUT", 0, 1}, {landsLate, "PUT", 0, 1},
		{slowRequest, "PUT", 200, 1}, {slowResponse, "GET", 200, 1}, {noFault, "GET", 200, 1}, {slowDown, "HEAD", 503, 0},
	} {
		var applied atomic.Int32
		g, url := gateBefore(t, func(w http.ResponseWriter, r *http.Request) {
			got, _ := io.ReadAll(r.Body)
			if r.Method == "PUT" && string(got) != body {
				t.Errorf("%s: the store got %q", c.fault, got)
			}
			if r.Host != "signed.example" || r.Header.Get("Authorization") != "x" {
				t.Errorf("%s: the store sees host %q", c.fault, r.Host)
			}
			applied.Add(1)
			_, _ = io.WriteString(w, body)
		}, c.fault)
		resp, err := send(t, c.method, url, body)
		<-g.handled
		g.late.Wait()
		switch {
		case c.status == 0 && err == nil:
			t.Errorf("%s %s: answered with %s", c.method, c.fault, resp.Status)
		case c.status != 0 && (err != nil || resp.StatusCode != c.status):
			t.Errorf("%s %s: %v, %v; want %d", c.method, c.fault, resp, err, c.status)
		}
		if applied.Load() != c.applied {
			t.Errorf("%s %s: applied %d times, want %d", c.method, c.fault, applied.Load(), c.applied)
		}
	}
}

func TestGateTruncates(t *testing.T) {
	_, url := gateBefore(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) }, truncated)
	resp, err := send(t, "GET", url, "")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil || len(b) >= 1000 || resp.ContentLength != 1000 {
		t.Errorf("%d bytes of %d, %v", len(b), resp.ContentLength, err)
	}
}

// A user whose credentials were changed is refused, the other is not.
func TestKeysRotate(t *testing.T) {
	k, err := newKeys(t.TempDir(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	signed := func(user string) *http.Request {
		return &http.Request{Header: http.Header{"Authorization": {"AWS4-HMAC-SHA256 Credential=" + user + "/20260101/us-east-1/s3/aws4_request"}}}
	}
	if k.refuses(signed("worker-0")) || k.refuses(signed("worker-1")) {
		t.Error("a user is refused before any change")
	}
	for _, good := range []string{"worker-1", "worker-0"} {
		if err := k.rotate(); err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"worker-0", "worker-1"} {
			if k.refuses(signed(user)) == (user == good) {
				t.Errorf("with %s in force, %s is refused: %v", good, user, k.refuses(signed(user)))
			}
		}
	}
}

// The same seed makes the same messages.
func TestCorpusRepeats(t *testing.T) {
	make := func() (all []*message) {
		c := &corpus{rng: rand.New(rand.NewPCG(7, 7)), videos: [][]byte{bytes.Repeat([]byte("video"), 100)}}
		for range 500 {
			all = append(all, c.next(all))
		}
		return all
	}
	kinds := map[string]int{}
	a, b := make(), make()
	for i := range a {
		if !bytes.Equal(a[i].value, b[i].value) || a[i].id != b[i].id || len(a[i].headers) != len(b[i].headers) {
			t.Fatalf("message %d differs", i)
		}
		kinds[string(a[i].want)+" "+a[i].code]++
	}
	for _, want := range []string{"samples ", "refused ", "refused msg.empty", "refused msg.invalid", "refused msg.no-recipe"} {
		if kinds[want] == 0 {
			t.Errorf("of 500 messages none is to end as %q; there are %v", want, kinds)
		}
	}
}

// handled is a gate that says when it is through with a request.
type handled struct {
	*gate
	handled chan struct{}
}

// gateBefore puts a gate, which does one fault, before a store.
func gateBefore(t *testing.T, store http.HandlerFunc, f fault) (*handled, string) {
	t.Helper()
	up := httptest.NewServer(store)
	t.Cleanup(up.Close)
	g := &gate{
		upstream: strings.TrimPrefix(up.URL, "http://"), slot: &slot{}, counts: newCounts(), traps: &traps{},
		faults: newFaults(rand.New(rand.NewPCG(1, 1))), keys: &keys{}, watch: newWatch(), transport: &http.Transport{},
	}
	h := &handled{g, make(chan struct{}, 1)}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { h.handled <- struct{}{} }()
		body, _ := io.ReadAll(r.Body)
		g.suffer(f, 1, w, r, describe(r, body, ""), body)
	}))
	t.Cleanup(front.Close)
	t.Cleanup(g.transport.CloseIdleConnections)
	return h, front.URL + "/torture/fleet/_log/c~t~0/00000000000000000001"
}

func send(t *testing.T, method, url, body string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "signed.example"
	r.Header.Set("Authorization", "x")
	return (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r) // keep-alive: Go would try again unseen
}
