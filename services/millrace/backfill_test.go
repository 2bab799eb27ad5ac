package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

func versitygw(t testing.TB) place {
	t.Helper()
	s := s3test.Start(t)
	st, err := store.Open(t.Context(), "s3://sets/one", s.Config)
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(s.Config.SecretKey.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	return place{"s3://sets/one", []string{
		"MILLRACE_STORE_ENDPOINT=" + s.Config.Endpoint, "MILLRACE_STORE_REGION=us-east-1", "MILLRACE_STORE_PATH_STYLE=true",
		"MILLRACE_STORE_ACCESS_KEY=" + s.Config.AccessKey, "MILLRACE_STORE_SECRET_KEY=file:" + secret,
	}, st}
}

// A backfill of 200 files that is killed ten times at random moments, and run again, ends
// with the samples of an undisturbed run, none twice.
func TestBackfillKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills the whole program; not with -short")
	}
	src, recipe := media(t, 160, 40), recipeFile(t, "killed")
	calm := folder(t)
	output(t, exitDone, nil, "backfill", "-q", src, "--recipe", recipe, "--to", calm.url)
	want := keys(t, calm)
	if len(want) != 160+40*4 {
		t.Fatalf("the undisturbed run has %d samples, want %d", len(want), 160+40*4)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for name, open := range map[string]func(testing.TB) place{"folder": folder, "versitygw": versitygw} {
		t.Run(name, func(t *testing.T) {
			p, dice := open(t), rand.New(rand.NewPCG(seed, 0))
			args := []string{"backfill", "-q", src, "--recipe", recipe, "--to", p.url, "--mills", "2"}
			done := 0
			for range 10 {
				c := command(t, p.env, args...)
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan struct{})
				go func() { defer close(ended); c.Wait() }()
				// At a random moment after none, one or two more commits, or its end.
				for want, going := done+dice.IntN(3), true; going && done < want; done = records(t, p) {
					select {
					case <-ended:
						going = false
					case <-time.After(20 * time.Millisecond):
					}
				}
				time.Sleep(time.Duration(dice.IntN(400)) * time.Millisecond)
				c.Process.Kill()
				<-ended
				done = records(t, p)
			}
			out := output(t, exitDone, p.env, append([]string{"--json"}, args...)...)
			var last struct {
				Jobs       int64 `json:"jobs"`
				DoneBefore int64 `json:"done_before"`
			}
			if err := json.Unmarshal([]byte(out), &last); err != nil || last.Jobs+last.DoneBefore != 200 {
				t.Errorf("the last run says %s (%v); want 200 jobs, old and new", out, err)
			}
			t.Logf("%d jobs were committed by the ten runs that were killed, %d by the last", last.DoneBefore, last.Jobs)
			if last.DoneBefore == 0 {
				t.Error("no killed run committed anything: the test proves nothing")
			}
			same(t, keys(t, p), want)
			output(t, exitDone, p.env, "verify", p.url, "--deep")
			out = output(t, exitDone, p.env, append([]string{"--json"}, args...)...)
			if err := json.Unmarshal([]byte(out), &last); err != nil || last.Jobs != 0 || last.DoneBefore != 200 {
				t.Errorf("a run with nothing to do says %s (%v)", out, err)
			}
		})
	}
}

// Files that come later are picked up by the same command; bad ones are quarantined and
// tried again only when asked.
func TestBackfillAgain(t *testing.T) {
	src, recipe, p := media(t, 5, 0), recipeFile(t, "again"), folder(t)
	if err := os.WriteFile(filepath.Join(src, "bad.jpg"), []byte("not a picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"backfill", "-q", src, "--recipe", recipe, "--to", p.url}
	output(t, exitQuarantined, nil, append(args, "--strict")...)
	count := func(status ledger.Status) (n int) {
		for _, o := range outcomes(t, p) {
			if o.Status == status {
				n++
			}
		}
		return n
	}
	if ok, bad := count(ledger.OK), count(ledger.Quarantined); ok != 5 || bad != 1 {
		t.Fatalf("%d ok and %d quarantined, want 5 and 1", ok, bad)
	}
	good, err := os.ReadFile(filepath.Join(src, "still-0001.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "new.jpg"), good, 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, exitDone, nil, append(args, "--strict")...) // the bad one is not tried again
	if ok := count(ledger.OK); ok != 6 {
		t.Errorf("%d ok after a file was added, want 6", ok)
	}
	output(t, exitQuarantined, nil, append(args, "--strict", "--retry")...)
	output(t, exitDone, nil, "verify", p.url, "--deep")
}

// verify must be able to fail.
func TestVerifyFindsDamage(t *testing.T) {
	src, recipe, p := media(t, 4, 0), recipeFile(t, "damaged"), folder(t)
	output(t, exitDone, nil, "backfill", "-q", src, "--recipe", recipe, "--to", p.url)
	output(t, exitDone, nil, "verify", p.url)
	shards, err := filepath.Glob(filepath.Join(p.url, "data", "*", "*", "*.tar"))
	if err != nil || len(shards) == 0 {
		t.Fatalf("shards: %v, %v", shards, err)
	}
	b, err := os.ReadFile(shards[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(shards[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(shards[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, exitFaults, nil, "verify", p.url, "--deep")
	if err := os.Remove(shards[0]); err != nil {
		t.Fatal(err)
	}
	output(t, exitFaults, nil, "verify", p.url)
	output(t, exitFaults, nil, "verify", t.TempDir())
}
