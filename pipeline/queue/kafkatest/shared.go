package kafkatest

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// shared is the test binary's one broker.
var shared struct {
	sync.Mutex
	dir    string
	broker *Broker
	err    error
}

// Shared returns the one broker of this test binary, and starts it for the first
// test that asks. Nobody stops it but [StopShared]; without that it dies with the
// process, and leaves its folder behind.
func Shared(t testing.TB) *Broker {
	t.Helper()
	skipIfShort(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.broker == nil && shared.err == nil {
		if shared.dir, shared.err = os.MkdirTemp("", "millrace-kafka-"); shared.err == nil {
			shared.broker, shared.err = newBroker(shared.dir, nil)
		}
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.broker
}

// StopShared ends the shared broker, if there is one, and removes its files. Call it
// from TestMain after Run.
func StopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.broker != nil {
		_ = shared.broker.kill()
		shared.broker = nil
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
}

var topics atomic.Int64

// Topic returns a topic name that no other call in this process returns, with the
// test's name in it.
func Topic(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, t.Name())
	return fmt.Sprintf("%s-%d", name[:min(len(name), 150)], topics.Add(1))
}
