package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/codecs/audio"
	"github.com/millrace/millrace/codecs/video"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/settings"
)

type doctorCmd struct {
	storeFlags
	queueFlags
	ClaimLog      string   `name:"claim-log" help:"Kafka topic that decides what is created, for stores that ignore conditional writes." placeholder:"TOPIC"`
	AlsoEndpoint  []string `name:"also-endpoint" help:"Another endpoint of the same store, to race over too. May be repeated." placeholder:"URL" sep:"none"`
	SwitchMode    bool     `name:"switch-mode" help:"Let the settings say anew what decides creates: the store or the claim log. Stop every writer before."`
	RebuildClaims bool     `name:"rebuild-claims" help:"Go on with a new, empty claim log, after the old topic was lost. Stop every writer before."`
	Settings      bool     `help:"List the environment names of all settings instead."`
}

func (doctorCmd) Help() string {
	return `Example:  millrace doctor --brokers kafka:9092 --to s3://bucket/set

What is not named is not checked. The store check writes a few small objects below
_probe/ and races writers of several processes against each other, since a store that
ignores conditional writes loses data without a word; what it found is noted in the
store, so that workers need not do it again. Exit code 3 if anything fails.

A store without conditional writes needs a claim log (store.claim_log.topic). If that
topic is lost, stop every writer, make it anew, and run doctor --rebuild-claims.`
}

func (c doctorCmd) Run(a *app) error {
	if c.Settings {
		for _, n := range settings.Names() {
			fmt.Fprintln(a.out, n)
		}
		return nil
	}
	cfg, err := a.settings()
	if err != nil {
		return err
	}
	c.storeFlags.apply(&cfg)
	c.queueFlags.apply(&cfg)
	set(&cfg.Store.ClaimLog.Topic, c.ClaimLog)
	cfg.Store.OtherEndpoints = append(cfg.Store.OtherEndpoints, c.AlsoEndpoint...)
	ctx, cancel := context.WithTimeout(a.ctx, 2*time.Minute)
	defer cancel()
	d := &doctor{}
	d.program()
	d.mills(ctx, cfg)
	d.machine(cfg)
	if d.deeds(ctx, c, cfg) {
		d.store(ctx, cfg)
	}
	d.queue(ctx, cfg)
	return d.report(a)
}

// doctor collects findings.
type doctor struct{ findings []queue.Finding }

func (d *doctor) add(l queue.Level, what, advice, detail string, args ...any) {
	d.findings = append(d.findings, queue.Finding{Level: l, What: what, Detail: fmt.Sprintf(detail, args...), Advice: advice})
}

// program looks at what this binary can decode, by decoding.
func (d *doctor) program() {
	d.add(queue.LevelOK, "millrace", "", "%s, %s, %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if missing := append(video.Missing(), audio.Missing()...); len(missing) > 0 {
		d.add(queue.LevelFail, "FFmpeg", "install Debian 12's FFmpeg libraries, which have all of these", "version %s lacks %s", video.Version(), strings.Join(missing, ", "))
	} else {
		d.add(queue.LevelOK, "FFmpeg", "", "version %s, with every decoder, filter and resampler that is used", video.Version())
	}
}

// mills starts one, and tells what this machine lets it give up.
func (d *doctor) mills(ctx context.Context, cfg settings.Config) {
	m, err := cfg.OpenMills(ctx)
	if err != nil {
		d.add(queue.LevelFail, "mill", "", "%v", err)
		return
	}
	defer m.Close()
	p, ok := m.(*mill.Pool)
	if !ok {
		d.add(queue.LevelWarn, "mill", "set mill.isolation to process before media of others come", "%d for %d cores, isolation %s: a bad file can take the worker with it", cfg.Mill.Count, runtime.NumCPU(), cfg.Mill.Isolation)
		return
	}
	r, err := p.Check(ctx)
	switch {
	case err != nil:
		d.add(queue.LevelFail, "mill", "", "%v", err)
	case !r.Seccomp || r.Landlock == 0 || len(r.Missing) > 0:
		d.add(queue.LevelWarn, "mill", "use a kernel and a container that allow the rest, and mill.confinement: strict", "%d for %d cores, confinement %s: %s", cfg.Mill.Count, runtime.NumCPU(), cfg.Mill.Confinement, strings.Join(append([]string{r.String()}, r.Missing...), "; "))
	default:
		d.add(queue.LevelOK, "mill", "", "%d for %d cores, confinement %s: %s", cfg.Mill.Count, runtime.NumCPU(), cfg.Mill.Confinement, r)
	}
}

// leastFree is what the scratch folder should have: the window, and some open shards.
const leastFree = 4 << 30

func (d *doctor) machine(cfg settings.Config) {
	dir, err := cfg.ScratchDir()
	if err != nil {
		d.add(queue.LevelFail, "scratch", "set scratch to a folder that this user may write to", "%v", err)
		return
	}
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		d.add(queue.LevelFail, "scratch", "set scratch to a folder that this user may write to", "%v", err)
		return
	}
	f.Close()
	os.Remove(f.Name())
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil {
		free := int64(st.Bavail) * st.Bsize
		if free < leastFree {
			d.add(queue.LevelWarn, "scratch", "free some space, or set scratch to another disk", "%s has %s free; %s are wise", dir, size(free), size(leastFree))
		} else {
			d.add(queue.LevelOK, "scratch", "", "%s, %s free", filepath.Clean(dir), size(free))
		}
	}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err == nil && lim.Cur < 1024 {
		d.add(queue.LevelWarn, "open files", "raise the limit to 4096 or more (ulimit -n, or LimitNOFILE)", "%d may be open", lim.Cur)
	} else {
		d.add(queue.LevelOK, "open files", "", "%d may be open", lim.Cur)
	}
}

// deeds does what was asked for besides checking. It is false if that failed.
func (d *doctor) deeds(ctx context.Context, c doctorCmd, cfg settings.Config) bool {
	if c.RebuildClaims {
		was, is, err := cfg.RebuildClaims(ctx)
		if err != nil {
			d.add(queue.LevelFail, "claim log", "see that every writer is stopped, and that the topic is new and empty", "%v", err)
			return false
		}
		d.add(queue.LevelOK, "claim log", "", "the store goes on with %s (%s), in place of %s (%s)", is.Topic, is.TopicID, was.Topic, was.TopicID)
	}
	if c.SwitchMode {
		if err := cfg.SwitchMode(ctx); err != nil {
			d.add(queue.LevelFail, "store", "check the URL, the endpoint and the credentials", "%v", err)
			return false
		}
	}
	return true
}

func (d *doctor) store(ctx context.Context, cfg settings.Config) {
	if cfg.Store.URL == "" {
		d.add(queue.LevelWarn, "store", "name one with --to or store.url", "none is named; not checked")
		return
	}
	s, done, err := cfg.OpenStore(ctx)
	if err != nil {
		d.add(queue.LevelFail, "store", "check the URL, the endpoint and the credentials", "%v", err)
		return
	}
	defer done()
	m, err := cfg.ProveStore(ctx, s, true)
	if err != nil {
		d.add(queue.LevelFail, "store", "use a store with conditional writes (AWS S3, MinIO, versitygw 1.8 or newer, a directory), or a claim log: store.claim_log.topic", "%v", err)
		return
	}
	how := "by its conditional writes"
	if m.Mode == store.Claims {
		how = "by the claim log " + cfg.Store.ClaimLog.Topic
	}
	d.add(queue.LevelOK, "store", "", "%s: written, read and listed; of racing creates exactly one wins, %s: %d races of %d in %d processes, %s", cfg.Location(), how, m.Rounds, m.Racers, m.Crews, m.Took.Round(time.Millisecond))
}

func (d *doctor) queue(ctx context.Context, cfg settings.Config) {
	if len(cfg.Queue.Brokers) == 0 {
		d.add(queue.LevelWarn, "broker", "name one with --brokers or queue.brokers", "none is named; not checked")
		return
	}
	r := queue.Check(ctx, cfg.Queue)
	d.findings = append(d.findings, r.Findings...)
}

func (d *doctor) report(a *app) error {
	failed := 0
	for _, f := range d.findings {
		if f.Level == queue.LevelFail {
			failed++
		}
	}
	if a.json {
		if err := a.printJSON(d.findings); err != nil {
			return err
		}
	} else {
		for _, f := range d.findings {
			fmt.Fprintf(a.out, "%-5s %-12s %s\n", f.Level, f.What, f.Detail)
			if f.Advice != "" {
				fmt.Fprintf(a.out, "%-5s %-12s -> %s\n", "", "", f.Advice)
			}
		}
	}
	if failed > 0 {
		return faultsError{fmt.Errorf("%d checks failed", failed)}
	}
	return nil
}
