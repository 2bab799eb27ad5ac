package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/segmentio/kafka-go"
)

// The naive sink's environment.
const (
	sinkEnv      = "TORTURE_SINK" // the topic: this process is a naive sink
	sinkBroker   = "TORTURE_SINK_BROKER"
	sinkEndpoint = "TORTURE_SINK_ENDPOINT"
	naiveFolder  = "naive"
	sinkBatch    = 24
	sinkAge      = 700 * time.Millisecond
)

// runSink is what people write first, and what most sinks promise: consume in a group,
// write a tar for each batch under a key of the time, then commit the offsets. It is at
// least once, and the checker must be able to tell that. It runs until it is killed or
// told to stop.
func runSink(topic string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := minio.New(os.Getenv(sinkEndpoint), &minio.Options{
		Creds: credentials.New(&credentials.FileAWSCredentials{}), Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return err
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{os.Getenv(sinkBroker)}, Topic: topic, GroupID: topic + "-naive", MaxWait: 300 * time.Millisecond,
		SessionTimeout: 3 * time.Second, HeartbeatInterval: 500 * time.Millisecond, RebalanceTimeout: 6 * time.Second,
		WatchPartitionChanges: true,
	})
	defer reader.Close()
	for ctx.Err() == nil {
		if err := sinkOnce(ctx, reader, store); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "sink:", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
	return nil
}

// sinkOnce writes one batch.
func sinkOnce(ctx context.Context, reader *kafka.Reader, store *minio.Client) error {
	var batch []kafka.Message
	until, cancel := context.WithTimeout(ctx, sinkAge)
	defer cancel()
	for len(batch) < sinkBatch {
		m, err := reader.FetchMessage(until)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
		batch = append(batch, m)
	}
	if len(batch) == 0 {
		return nil
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range batch {
		name := fmt.Sprintf("%d-%d.bin", m.Partition, m.Offset)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(m.Value))}); err != nil {
			return err
		}
		if _, err := w.Write(m.Value); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	key := prefix + "/" + naiveFolder + "/" + strconv.FormatInt(time.Now().UnixNano(), 10) + ".tar"
	for { // at least once: until it is there
		_, err := store.PutObject(ctx, bucket, key, bytes.NewReader(out.Bytes()), int64(out.Len()), minio.PutObjectOptions{})
		if err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return reader.CommitMessages(ctx, batch...)
}
