package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
)

// A handle names a job to its sender: where in the topic it stands, signed for the
// tenant. So the fate of any job is found by one bisection of one stream's ledger,
// nothing is kept for it, and nobody can ask for another tenant's.
//
//	version (1) | partition (4) | offset (8) | HMAC-SHA-256 of these, tenant and topic, cut to 16
const (
	handleVersion = 1
	handleBody    = 1 + 4 + 8
	handleMAC     = 16
)

// handleKeyName is where gateways without a configured key find one. Who can read the
// store can read the ledger, and with it all that a handle gives access to.
const handleKeyName = "_gateway/handle-key"

const handleKeySize = 32

// handles makes and reads handles.
type handles struct {
	key   []byte
	topic string
}

func openHandles(ctx context.Context, s store.Store, key pipeline.Secret, topic string) (*handles, error) {
	if key.Set() {
		if len(key.Reveal()) < handleKeySize {
			return nil, fmt.Errorf("gateway.handle_key has %d bytes; it needs %d random ones", len(key.Reveal()), handleKeySize)
		}
		return &handles{key: []byte(key.Reveal()), topic: topic}, nil
	}
	fresh := make([]byte, handleKeySize)
	_, _ = rand.Read(fresh) // never fails
	// Whatever a create comes to, what is there afterwards is the key.
	err := s.Create(ctx, handleKeyName, fresh)
	rc, _, gerr := s.Get(ctx, handleKeyName, 0, handleKeySize)
	if gerr != nil {
		return nil, fmt.Errorf("the key of job handles: %w", errors.Join(gerr, err))
	}
	defer func() { _ = rc.Close() }()
	got := make([]byte, handleKeySize)
	if _, err := io.ReadFull(rc, got); err != nil {
		return nil, fmt.Errorf("the key of job handles: %w", err)
	}
	return &handles{key: got, topic: topic}, nil
}

func (h *handles) mac(body []byte, tenant string) []byte {
	m := hmac.New(sha256.New, h.key)
	m.Write(body)
	fmt.Fprintf(m, "%d:%s%d:%s", len(tenant), tenant, len(h.topic), h.topic)
	return m.Sum(nil)[:handleMAC]
}

// seal makes the handle of a job.
func (h *handles) seal(tenant string, at queue.Place) string {
	b := make([]byte, 0, handleBody+handleMAC)
	b = append(b, handleVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(at.Partition)) //nolint:gosec // Kafka's partitions are 32 bits
	b = binary.BigEndian.AppendUint64(b, uint64(at.Offset))    //nolint:gosec // not negative
	return base64.RawURLEncoding.EncodeToString(append(b, h.mac(b, tenant)...))
}

// open reads a handle; false for everything that seal did not make for this tenant.
func (h *handles) open(tenant, handle string) (queue.Place, bool) {
	if len(handle) != base64.RawURLEncoding.EncodedLen(handleBody+handleMAC) {
		return queue.Place{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(handle)
	if err != nil || b[0] != handleVersion || !hmac.Equal(h.mac(b[:handleBody], tenant), b[handleBody:]) {
		return queue.Place{}, false
	}
	partition, offset := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint64(b[5:])
	if partition > math.MaxInt32 || offset > math.MaxInt64 {
		return queue.Place{}, false
	}
	return queue.Place{Partition: int(partition), Offset: int64(offset)}, true //nolint:gosec // both fit
}
