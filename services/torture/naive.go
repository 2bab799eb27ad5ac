package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/millrace/millrace/pipeline/audit"
)

// naiveSinks is how many of them run.
const naiveSinks = 2

// sink gives a slot naive sinks to run: this very program.
func (r *rig) sink(s *slot, topic string) {
	s.group = naiveKills
	s.command = func() *exec.Cmd {
		c := exec.Command("/proc/self/exe")
		c.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + r.work, "AWS_SHARED_CREDENTIALS_FILE=" + r.keys.profile(),
			sinkEnv + "=" + topic, sinkBroker + "=" + s.kafka, sinkEndpoint + "=" + s.endpoint,
		}
		return c
	}
}

// naiveReport is what the checker says of the naive sink: of the messages that were to
// become samples, how many it has not, and how often too often.
type naiveReport struct {
	Messages int `json:"messages"`
	Lost     int `json:"lost"`
	Doubled  int `json:"doubled"`
	Tars     int `json:"tars"`
	Kills    int `json:"kills"`
}

// checkNaive counts what is in the naive sink's tars.
func checkNaive(ctx context.Context, s audit.Store, c *audit.Campaign) (*naiveReport, error) {
	keys, err := s.List(ctx, naiveFolder+"/")
	if err != nil {
		return nil, err
	}
	times := map[string]int{}
	for _, k := range keys {
		if err := countTar(ctx, s, k, times); err != nil {
			return nil, fmt.Errorf("the naive sink's %s: %w", k, err)
		}
	}
	r := &naiveReport{Tars: len(keys)}
	for _, stream := range c.Streams {
		for _, m := range stream.Messages {
			r.Messages++
			switch n := times[fmt.Sprintf("%d-%d.bin", stream.Partition, m.Offset)]; n {
			case 0:
				r.Lost++
			default:
				r.Doubled += n - 1
			}
		}
	}
	return r, nil
}

func countTar(ctx context.Context, s audit.Store, key string, times map[string]int) error {
	rc, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		return err
	}
	t := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		times[h.Name]++
	}
}
