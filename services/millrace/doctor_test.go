package main

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/claim"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
	"github.com/millrace/millrace/services/settings"
)

// TestDoctorProvesStores: doctor races writers of two processes, passes a good server,
// refuses one that ignores conditional writes, and passes that too with a claim log.
func TestDoctorProvesStores(t *testing.T) {
	server := s3test.Start(t)
	t.Setenv("MILLRACE_STORE_ACCESS_KEY", server.Config.AccessKey)
	t.Setenv("DOCTOR_TEST_SECRET", server.Config.SecretKey.Reveal())
	t.Setenv("MILLRACE_STORE_SECRET_KEY", "env:DOCTOR_TEST_SECRET")
	t.Setenv("MILLRACE_STORE_PATH_STYLE", "true")
	t.Setenv("MILLRACE_STORE_CREATE_BUCKET", "true")
	good, careless := server.Config.Endpoint, server.Careless(t).Endpoint
	store := func(args ...string) string {
		_, out, errOut := call(append([]string{"doctor"}, args...)...)
		for line := range strings.Lines(out) {
			if strings.Contains(line, " store ") {
				return line
			}
		}
		return out + errOut
	}
	location := server.URL()
	if line := store("--to", location, "--endpoint", good); !strings.HasPrefix(line, "ok") || !strings.Contains(line, "20 races of 32 in 2 processes") {
		t.Errorf("of a good server it says %s", line)
	}
	if line := store("--to", server.URL(), "--endpoint", careless, "--also-endpoint", good); !strings.HasPrefix(line, "fail") || !strings.Contains(line, "ignores If-None-Match") {
		t.Errorf("of a careless server it says %s", line)
	}
	t.Setenv("MILLRACE_STORE_CLAIM_LOG_REPLICAS", "1")
	t.Setenv("MILLRACE_STORE_CLAIM_LOG_MIN_INSYNC", "1")
	t.Setenv("MILLRACE_STORE_CLAIM_LOG_CREATE", "true")
	broker, topic := kafkatest.Shared(t).Addr(), kafkatest.Topic(t)
	claims := []string{"--endpoint", careless, "--brokers", broker, "--claim-log", topic}
	bound := server.URL()
	if line := store(append(claims, "--to", bound)...); !strings.HasPrefix(line, "ok") || !strings.Contains(line, "by the claim log "+topic) {
		t.Errorf("with a claim log it says %s", line)
	}
	if line := store("--to", bound, "--endpoint", careless); !strings.HasPrefix(line, "fail") || !strings.Contains(line, "--switch-mode") {
		t.Errorf("of a store that has a claim log, without one, it says %s", line)
	}
	if line := store(append(claims, "--to", location)...); !strings.HasPrefix(line, "fail") || !strings.Contains(line, "--switch-mode") {
		t.Errorf("of a store that was proved without a claim log, with one, it says %s", line)
	}
	other := append(claims[:4:4], "--claim-log", kafkatest.Topic(t), "--to", bound)
	if line := store(other...); !strings.HasPrefix(line, "fail") || !strings.Contains(line, "--rebuild-claims") {
		t.Errorf("with another topic it says %s", line)
	}
	if line := store(append(other, "--rebuild-claims")...); !strings.HasPrefix(line, "ok") {
		t.Errorf("after a rebuild it says %s", line)
	}
	if line := store("--to", bound, "--endpoint", good, "--switch-mode"); !strings.HasPrefix(line, "ok") || !strings.Contains(line, "conditional writes") {
		t.Errorf("after a switch it says %s", line)
	}
}

// TestStoreIsProvedOnce: a fleet proves a store at length once, and every command that
// writes minds what was found.
func TestStoreIsProvedOnce(t *testing.T) {
	server := s3test.Start(t)
	cfg := settings.Default()
	cfg.Store.URL, cfg.Store.Config = server.URL(), server.Config
	s, done, err := cfg.OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	first, err := cfg.ProveStore(t.Context(), s, false)
	if err != nil || first.Rounds != store.ProbeRounds {
		t.Fatal(first, err)
	}
	second, err := cfg.ProveStore(t.Context(), s, false)
	if err != nil || !second.Time.Equal(first.Time) || second.Rounds != store.ProbeRounds {
		t.Errorf("the second found %+v, %v; the first wrote %+v", second, err, first)
	}
	cfg.Queue.Brokers = []string{kafkatest.Shared(t).Addr()}
	cfg.Store.ClaimLog = claim.Config{Topic: kafkatest.Topic(t), Replicas: 1, MinInsync: 1, Create: true}
	if _, err := cfg.ProveStore(t.Context(), s, false); err == nil || !strings.Contains(err.Error(), "--switch-mode") {
		t.Errorf("a worker that knows of a claim log got %v", err)
	}
	if err := cfg.Validate(false); err != nil {
		t.Error(err)
	}
	cfg.Queue = queue.Default()
	if err := cfg.Validate(false); err == nil || !strings.Contains(err.Error(), "queue.brokers") {
		t.Errorf("a claim log without brokers got %v", err)
	}
}
