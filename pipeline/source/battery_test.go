package source

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// innerRanges are made addresses of the namespace's own, so that whatever would be asked
// for there reaches the canary.
//
//nolint:gochecknoglobals // a constant table
var innerRanges = []string{
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "168.63.129.16/32", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"fc00::/7", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "fec0::/10",
	"::/96", "2606:4700:0:0:0:5efe::/96", "2606:4700:0:0:200:5efe::/96", "100::/64", "4000::/16",
}

// TestBattery asks a fetcher for what lies inside, in every disguise. It runs in a network
// namespace where all inner addresses lead to a canary, without as well as with the guard:
// the first shows that the canary sees what gets through.
func TestBattery(t *testing.T) {
	const inside = "SOURCE_BATTERY_INSIDE"
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBattery$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		id := func(n int) []syscall.SysProcIDMap { return []syscall.SysProcIDMap{{HostID: n, Size: 1}} }
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, UidMappings: id(os.Getuid()), GidMappings: id(os.Getgid())}
		out, err := cmd.CombinedOutput()
		if len(out) == 0 && err != nil {
			t.Skipf("no network namespace may be made here: %v", err)
		}
		t.Logf("%s", out)
		if err != nil {
			t.Error(err)
		}
		return
	}
	setUp(t)
	canary := newCanary(t)
	for _, off := range []bool{true, false} {
		t.Run(map[bool]string{true: "without the guard", false: "with it"}[off], func(t *testing.T) { battery(t, canary, off) })
	}
}

func setUp(t *testing.T) {
	run := func(args ...string) {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v %s", args, err, out)
		}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the program ip is not installed")
	}
	run("link", "set", "lo", "up")
	for _, r := range innerRanges {
		family := "-4"
		if strings.Contains(r, ":") {
			family = "-6"
		}
		run(family, "route", "add", "local", r, "dev", "lo")
	}
}

// canary counts the connections that arrive on any address of this machine.
type canary struct{ hits atomic.Int64 }

//nolint:gochecknoglobals // a constant table: web ports, those of other services, and one that is allowed here
var canaryPorts = []string{"80", "443", "22", "6379", "8080"}

func newCanary(t *testing.T) *canary {
	c := &canary{}
	for _, port := range canaryPorts {
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				c.hits.Add(1)
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret"))
				_ = conn.Close()
			}
		})
		t.Cleanup(func() { l.Close(); wg.Wait() })
	}
	return c
}

// packets are those that crossed the loopback device: all there are in the namespace.
func packets(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "lo:" {
			n, _ := strconv.ParseInt(f[2], 10, 64)
			return n
		}
	}
	t.Fatal("no loopback device is listed")
	return 0
}

func battery(t *testing.T, c *canary, off bool) {
	cfg := denying(t)
	cfg.HTTP.Ports, cfg.HTTP.PerHost = []int{80, 443, 8080}, PerHost{Concurrent: 64}
	cfg.HTTP.Connect, cfg.HTTP.Header = 300*time.Millisecond, 300*time.Millisecond
	f := newFetcher(t, cfg)
	names := &names{}
	f.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	site := newSite(t)
	guarded := f.transport.DialContext
	if off {
		plain := &net.Dialer{Timeout: cfg.HTTP.Connect, Resolver: f.dialer.Resolver}
		guarded = plain.DialContext
	}
	f.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "site.example:80" {
			return site.dial()
		}
		return guarded(ctx, network, address)
	}
	if off {
		f.client.CheckRedirect = nil
	}
	before, through, total := packets(t), 0, 0
	for kind, urls := range batteryURLs() {
		hits := c.hits.Load()
		var wg sync.WaitGroup
		turn := make(chan struct{}, 32)
		for _, u := range urls {
			turn <- struct{}{}
			wg.Go(func() {
				defer func() { <-turn }()
				if off {
					unguarded(t.Context(), f, u)
				} else if s, err := f.Fetch(t.Context(), pipeline.Media{URI: u}); s != nil || !denied(codecs.AsError(err)) {
					t.Errorf("%q: %v; want %s or msg.*", u, err, pipeline.CodeSourceDenied)
				}
			})
		}
		wg.Wait()
		n := len(urls)
		let := int(min(c.hits.Load()-hits, int64(n)))
		t.Logf("%-28s %4d URLs, %4d reached the inside", kind, n, let)
		through, total = through+let, total+n
	}
	sent := packets(t) - before
	t.Logf("%-28s %4d URLs, %4d reached the inside, %d packets", "all", total, through, sent)
	switch {
	case total < 300:
		t.Errorf("the battery has %d URLs; want 300 or more", total)
	case off && through*2 <= total:
		t.Errorf("without the guard only %d of %d URLs get through: the canary proves little", through, total)
	case !off && (through != 0 || sent != 0):
		t.Errorf("%d connections and %d packets got through the guard", through, sent)
	}
}

// denied tells the codes that the battery may end in. Schemes that nothing reads are
// refused as such.
func denied(e *codecs.Error) bool {
	return e != nil && e.Stage == codecs.StageFetch &&
		(e.Code == pipeline.CodeSourceDenied || e.Code == pipeline.CodeSourceScheme || strings.HasPrefix(string(e.Code), "msg."))
}

// unguarded asks as a careless client would.
func unguarded(ctx context.Context, f *Fetcher, uri string) {
	u, err := url.Parse(uri)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return
	}
	if resp, err := (&http.Client{Transport: f.transport}).Do(req); err == nil {
		resp.Body.Close()
	}
}

// site is a harmless public server that redirects to wherever it is told, over pipes:
// it sends no packets.
type site struct {
	conns chan net.Conn
	done  chan struct{}
}

func newSite(t *testing.T) *site {
	s := &site{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		to := q.Get("to")
		if n, _ := strconv.Atoi(q.Get("hops")); n > 0 {
			to = siteURL(to, n-1, q.Get("status"))
		}
		w.Header().Set("Location", to)
		status, _ := strconv.Atoi(q.Get("status"))
		w.WriteHeader(status)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(s) })
	t.Cleanup(func() { server.Close(); wg.Wait() })
	return s
}

func siteURL(to string, hops int, status string) string {
	return "http://site.example/?" + url.Values{"to": {to}, "hops": {strconv.Itoa(hops)}, "status": {status}}.Encode()
}

func (s *site) dial() (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case s.conns <- b:
		return a, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *site) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *site) Close() error   { close(s.done); return nil }
func (s *site) Addr() net.Addr { return &net.TCPAddr{} }

// names is a hostile name server, over pipes. It reads numbers as inet_aton does, and
// knows the names of [nameTable].
type names struct{ asked sync.Map }

func (n *names) dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	go n.serve(b)
	return a, nil
}

// serve answers queries with their length before them, as over TCP (RFC 1035, 4.2.2).
func (n *names) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		var head [2]byte
		if _, err := readFull(r, head[:]); err != nil {
			return
		}
		q := make([]byte, int(head[0])<<8|int(head[1]))
		if _, err := readFull(r, q); err != nil || len(q) < 17 {
			return
		}
		a := n.answer(q)
		if _, err := c.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...)); err != nil {
			return
		}
	}
}

func readFull(r *bufio.Reader, p []byte) (int, error) {
	for i := range p {
		b, err := r.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = b
	}
	return len(p), nil
}

// answer makes a response (RFC 1035, 4.1) with the addresses of the asked type.
func (n *names) answer(q []byte) []byte {
	end, labels := 12, []string(nil)
	for q[end] != 0 {
		labels = append(labels, string(q[end+1:end+1+int(q[end])]))
		end += 1 + int(q[end])
	}
	end += 5
	typ := q[end-3]
	name := strings.ToLower(strings.Join(labels, "."))
	var records []byte
	count := 0
	for _, a := range n.lookup(name, fmt.Sprint(typ)) {
		ip := net.ParseIP(a)
		data := ip.To4()
		if typ == 28 {
			data = ip.To16()
		}
		if (strings.Contains(a, ":")) != (typ == 28) {
			continue
		}
		count++
		records = append(append(records, 0xc0, 12, 0, typ, 0, 1, 0, 0, 0, 0, 0, byte(len(data))), data...)
	}
	head := []byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, byte(count), 0, 0, 0, 0}
	return append(append(head, q[12:end]...), records...)
}

func (n *names) lookup(name, typ string) []string {
	if ip := aton(name); ip != nil {
		return []string{ip.String()}
	}
	answers := nameTable[name]
	if rest, ok := strings.CutPrefix(name, "rebind"); ok { // another answer each time
		_, after, _ := strings.Cut(rest, ".")
		i, _ := n.asked.LoadOrStore(name+typ, new(atomic.Int64))
		if i.(*atomic.Int64).Add(1)%2 == 1 {
			return []string{"93.184.216.34"}
		}
		return []string{strings.ReplaceAll(strings.TrimSuffix(after, ".example"), "-", ".")}
	}
	return answers
}
