package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A tenant sends so many bytes a day, of any kind of body, with a length or without; the
// others go on.
func TestQuota(t *testing.T) {
	at := &clock{t: time.Now()}
	r := newRig(t, func(p *Parts) {
		p.Now = at.now
		p.Config.Tenants[0].DayBytes = 100_000
		for i := range p.Config.Auth.Tokens { // they must live for the days of the test
			p.Config.Auth.Tokens[i].Expires = time.Now().Add(300 * time.Hour)
		}
	})
	send := func(status int, body io.Reader) *http.Response {
		t.Helper()
		code := ""
		if status == 429 {
			code = "rate.quota"
		}
		if status == 202 {
			resp, b := r.ask("POST", "/v1/ingest?dataset=cats", body, "Content-Type", "image/png")
			if resp.StatusCode != 202 {
				t.Errorf("%d %s", resp.StatusCode, b)
			}
			return resp
		}
		if status == 413 {
			code = "request.too-large"
		}
		resp, _ := r.refused(status, code, "POST", "/v1/ingest?dataset=cats", body, "Content-Type", "image/png")
		return resp
	}
	send(413, bytes.NewReader(noise(100_001))) // never
	send(202, bytes.NewReader(noise(60_000)))
	resp := send(429, bytes.NewReader(noise(50_000)))
	// 10,000 are missing: a tenth of a day.
	if s, _ := strconv.Atoi(resp.Header.Get("Retry-After")); s < 8600 || s > 8700 {
		t.Errorf("Retry-After is %q", resp.Header.Get("Retry-After"))
	}
	_, b := r.ask("GET", "/metrics", http.NoBody, "Authorization", "Bearer "+r.admin)
	if !strings.Contains(string(b), `millrace_gateway_quota_bytes{tenant="acme"} 40000`) {
		t.Errorf("%s", b)
	}
	send(202, bytes.NewReader(noise(30_000)))
	// Without a length it is known when they come.
	send(429, struct{ io.Reader }{bytes.NewReader(noise(3 << 20))})
	send(429, bytes.NewReader(noise(1)))
	resp, _ = r.ask("POST", "/v1/ingest?dataset=birds", bytes.NewReader(noise(200_000)), "Content-Type", "image/png", "Authorization", "Bearer "+r.other)
	if resp.StatusCode != 202 {
		t.Errorf("another tenant: %d", resp.StatusCode)
	}
	at.add(100 * time.Hour)
	send(202, bytes.NewReader(noise(100_000)))
	at.add(100 * time.Hour)

	// An upload keeps what has come within the quota, and goes on when there is more.
	data := noise(150_000)
	path := r.begin(len(data), metadata("dataset", "cats", "filetype", "video/mp4"))
	resp, _ = r.refused(429, "rate.quota", "PATCH", path, bytes.NewReader(data), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
	if s, _ := strconv.Atoi(resp.Header.Get("Retry-After")); s < 800 || s > 900 { // a hundredth of a day
		t.Errorf("Retry-After is %q", resp.Header.Get("Retry-After"))
	}
	from, _ := r.offset(path)
	if from != 100_000 {
		t.Errorf("it stands at %d", from)
	}
	at.add(20 * time.Hour)
	resp = r.patch(path, from, bytes.NewReader(data[from:]))
	if resp.StatusCode != 204 {
		t.Fatal(resp.StatusCode)
	}
	r.checkStored(r.find(resp.Header.Get("Millrace-Job")), data, "")
}

// One tenant of several does not get every place; one alone does.
func TestShares(t *testing.T) {
	l := DefaultConfig().Limits
	for of, want := range map[int]int{1: 16, 3: 8} {
		w, err := newTenant(Tenant{Name: "a"}, l, of, nil)
		if err != nil || cap(w.slots) != want || w.limiter.Limit() != 10_000 || w.limiter.Burst() != 10_000 || w.quota.most != 10<<40 || w.keys.most != 100_000/of || w.keys.room != memoryBytes/of {
			t.Errorf("of %d: %d places, %v at once %d, %d bytes a day, %v", of, cap(w.slots), w.limiter.Limit(), w.limiter.Burst(), w.quota.most, err)
		}
	}
	w, err := newTenant(Tenant{Name: "a", Uploads: 3, Rate: 0.5, DayBytes: 7}, l, 2, nil)
	if err != nil || cap(w.slots) != 3 || w.limiter.Burst() != 1 || w.quota.most != 7 {
		t.Errorf("%+v, %v", w, err)
	}
}

// A sender who drips the bytes of an upload is let go as well, and what has come is kept.
func TestSlowUpload(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Limits.Idle, p.Config.Limits.MinRate = 300*time.Millisecond, 1<<20 })
	path := r.begin(1000, metadata("dataset", "cats"))
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 1000\r\n\r\n", path, r.token)
	answer := make(chan string, 1)
	go func() {
		b := make([]byte, 12)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := io.ReadFull(conn, b)
		if err != nil {
			b = append(b[:n], err.Error()...)
		}
		answer <- string(b)
	}()
	for sent := 0; ; sent++ {
		select {
		case got := <-answer:
			if got != "HTTP/1.1 408" || sent > 100 {
				t.Errorf("%q after %d bytes", got, sent)
			}
			if at, _ := r.offset(path); at == 0 || at > sent {
				t.Errorf("of %d bytes %d are kept", sent, at)
			}
			return
		case <-time.After(50 * time.Millisecond): // never idle, and never done
			if _, err := conn.Write([]byte("x")); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Log(err)
			}
		}
	}
}
