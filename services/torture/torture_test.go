package main

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if topic := os.Getenv(sinkEnv); topic != "" { // a naive sink, started by a test
		main()
		return
	}
	os.Exit(m.Run())
}

// A fleet that is killed, stopped, moved about and lied to by its store loses nothing and
// doubles nothing.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka and a real S3 server; not with -short")
	}
	o := tiny()
	o.binary, o.dir = os.Getenv("TORTURE_BINARY"), os.Getenv("TORTURE_DIR") // to look into what went wrong
	out, err := run(t.Context(), o, t.Logf)
	if err == nil {
		err = out.verdict()
	}
	t.Log(out.line())
	if err != nil {
		t.Error(err)
		if out.Audit == nil {
			return
		}
		for _, v := range out.Audit.Violations {
			t.Log(v)
		}
	}
}
