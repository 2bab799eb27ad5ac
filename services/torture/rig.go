package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

// bucket is where everything is written.
const bucket = "torture"

// rig is a broker, a store, and what stands between them and the workers.
type rig struct {
	options
	work   string // the folder of all files
	counts *counts
	broker *kafkatest.Broker
	server *s3test.Server
	keys   *keys
	watch  *watch
	fronts []string // addresses of the wires before Kafka
	say    func(format string, args ...any)
	closed []func()
	gates  []*gate
	// ledger is what was produced, by all that produced.
	ledger audit.Campaign
}

// random gives a part of the run its own draws, so that it does not depend on the others'.
func (r *rig) random(part string) *mathrand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(part))
	return mathrand.New(mathrand.NewPCG(r.seed, h.Sum64())) //nolint:gosec // seeded on purpose
}

// newRig starts the servers. The caller closes the rig, also after an error.
func newRig(ctx context.Context, o options, say func(string, ...any)) (*rig, error) {
	r := &rig{options: o, work: o.dir, counts: newCounts(), watch: newWatch(), say: say}
	if r.work == "" {
		dir, err := os.MkdirTemp("", "millrace-torture-")
		if err != nil {
			return r, err
		}
		r.work = dir
	}
	for _, d := range []string{"logs", "kafka", "s3", "recipes"} {
		if err := os.MkdirAll(filepath.Join(r.work, d), 0o700); err != nil {
			return r, err
		}
	}
	if err := os.WriteFile(filepath.Join(r.work, "recipes", "torture.yaml"), []byte(recipe), 0o600); err != nil {
		return r, err
	}
	if err := r.program(ctx); err != nil {
		return r, err
	}
	if err := r.servers(ctx); err != nil {
		return r, err
	}
	return r, r.doctor(ctx)
}

// doctor proves the store at length before the first worker, which need not then.
func (r *rig) doctor(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, r.binary, "doctor", "--to", "s3://"+bucket+"/"+prefix) //nolint:gosec // our own
	cmd.Env = r.direct()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("millrace doctor: %w\n%s", err, out)
	}
	return nil
}

// direct is the environment of a program that reaches the store without a gate.
func (r *rig) direct() []string {
	a := r.server.Config.Access
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.work, "MILLRACE_SCRATCH=" + r.work,
		"MILLRACE_STORE_ENDPOINT=" + a.Endpoint, "MILLRACE_STORE_REGION=" + a.Region, "MILLRACE_STORE_PATH_STYLE=true",
		"MILLRACE_STORE_ACCESS_KEY=" + a.AccessKey, "MILLRACE_STORE_SECRET_KEY=env:TORTURE_SECRET", "TORTURE_SECRET=" + a.SecretKey.Reveal(),
	}
}

// program builds millrace, unless one was given.
func (r *rig) program(ctx context.Context) (err error) {
	if r.binary != "" {
		r.binary, err = filepath.Abs(r.binary)
		return err
	}
	r.binary = filepath.Join(r.work, "millrace")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", r.binary, "github.com/millrace/millrace/services/millrace").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building millrace: %w\n%s", err, out)
	}
	return nil
}

func (r *rig) servers(ctx context.Context) (err error) {
	if r.keys, err = newKeys(r.work, rand.Text()); err != nil {
		return err
	}
	if r.server, err = s3test.Launch(filepath.Join(r.work, "s3"), "--iam-dir", r.keys.iam()); err != nil {
		return err
	}
	r.closed = append(r.closed, r.server.Close)
	s, err := r.open(ctx, prefix) // makes the bucket
	if err != nil {
		return err
	}
	_ = s.Close()
	if r.wires {
		for range r.workers + r.extra + naiveSinks {
			addr, err := freeAddress()
			if err != nil {
				return err
			}
			r.fronts = append(r.fronts, addr)
		}
	}
	r.broker, err = kafkatest.Launch(filepath.Join(r.work, "kafka"), r.fronts...)
	if err != nil {
		return err
	}
	r.closed = append(r.closed, func() { _ = r.broker.Close() })
	return nil
}

// open reaches the store without a gate.
func (r *rig) open(ctx context.Context, prefix string) (*store.S3, error) {
	s, err := store.Open(ctx, "s3://"+bucket+"/"+prefix, r.server.Config)
	if err != nil {
		return nil, err
	}
	return s.(*store.S3), nil
}

// close ends everything, last first, and removes the files of a run that went well.
func (r *rig) close(keep bool) {
	for i := len(r.closed) - 1; i >= 0; i-- {
		r.closed[i]()
	}
	if r.dir == "" && !keep {
		_ = os.RemoveAll(r.work)
	}
}

// slot makes a place for a worker: its disk, its gate, its wires. front is the number of
// its wire before Kafka, -1 for none.
func (r *rig) slot(name string, t *traps, front int) (*slot, error) {
	d, err := newDisk(filepath.Join(r.work, "scratch", name))
	if err != nil {
		return nil, err
	}
	r.closed = append(r.closed, d.close)
	s := &slot{name: name, group: kills, counts: r.counts, disk: d, log: filepath.Join(r.work, "logs", name+".log")}
	s.gate = &gate{
		upstream: r.server.Config.Endpoint[len("http://"):], slot: s, counts: r.counts, traps: t,
		faults: newFaults(r.random("faults of " + name)), keys: r.keys, watch: r.watch,
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32, ResponseHeaderTimeout: time.Minute},
	}
	r.gates = append(r.gates, s.gate)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: s.gate, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	r.closed = append(r.closed, func() { _ = server.Close(); s.gate.transport.CloseIdleConnections() })
	endpoint, kafka := l.Addr().String(), r.broker.Addr()
	if front >= 0 && r.wires {
		if s.store, err = newWire("store", "127.0.0.1:0", endpoint); err != nil {
			return nil, err
		}
		if s.broker, err = newWire("kafka", r.fronts[front], r.broker.Front(front)); err != nil {
			return nil, err
		}
		endpoint, kafka = s.store.addr(), s.broker.addr()
		r.closed = append(r.closed, s.store.close, s.broker.close)
	}
	s.endpoint, s.kafka = endpoint, kafka
	return s, nil
}

// worker gives a slot millrace workers to run.
func (r *rig) worker(s *slot, topic string, env ...string) {
	s.command = func() *exec.Cmd {
		c := exec.Command(r.binary, "worker") //nolint:gosec // our own
		c.Env = append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + r.work, "TMPDIR=" + s.disk.dir,
			"AWS_SHARED_CREDENTIALS_FILE=" + r.keys.profile(),
			"MILLRACE_QUEUE_BROKERS=" + s.kafka, "MILLRACE_QUEUE_TOPIC=" + topic, "MILLRACE_QUEUE_GROUP=" + topic,
			"MILLRACE_STORE_URL=s3://" + bucket + "/" + prefix, "MILLRACE_STORE_ENDPOINT=http://" + s.endpoint,
			"MILLRACE_STORE_REGION=us-east-1", "MILLRACE_STORE_PATH_STYLE=true",
			"MILLRACE_RECIPES=" + filepath.Join(r.work, "recipes"), "MILLRACE_SCRATCH=" + s.disk.dir,
			"MILLRACE_MILL_COUNT=1", "MILLRACE_WINDOW_MAX_DELIVERIES=64",
		}, env...)
		return c
	}
}

// quick are settings with which a group finds out soon that a member is gone.
func quick() []string {
	return []string{"MILLRACE_QUEUE_SESSION_TIMEOUT=1500ms", "MILLRACE_QUEUE_HEARTBEAT_INTERVAL=400ms", "MILLRACE_QUEUE_REBALANCE_TIMEOUT=6s"}
}

// rest waits for requests that are still to land.
func (r *rig) rest() {
	for _, g := range r.gates {
		g.late.Wait()
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// errGoals says that a run attacked less than it was to.
var errGoals = errors.New("not every goal was reached")
