package keeper

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/ledger"
)

// hit is a record with something that is asked for.
type hit struct {
	stream ledger.Stream
	record *ledger.Record
}

// hunt looks through all streams, several at a time, each from its end backwards: what
// people ask for is mostly young. It goes by the records' numbers and does not check their
// links; that is for verify.
type hunt struct {
	s     ledger.Store
	all   bool // do not stop at the first
	needs func(record []byte) bool
	// visit says whether a data record holds something that is asked for, and whether that
	// is the end of it. It is called from several goroutines.
	visit    func(context.Context, ledger.Stream, *ledger.Record) (found, done bool, err error)
	progress func(Searched)

	mu       sync.Mutex
	hits     []hit
	searched Searched
}

// Searched is how far a search is.
type Searched struct {
	Records int64 // read,
	Of      int64 // of so many that there are in the streams begun so far
	Streams int
}

const (
	huntStreams = 8  // at a time
	huntAhead   = 32 // records, in each stream
)

// run gives what was found, in no set order.
func (h *hunt) run(ctx context.Context) ([]hit, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(huntStreams)
	var over bool
	for stream, err := range ledger.Streams(ctx, h.s) {
		if err != nil {
			if h.enough(&over) {
				break
			}
			stop()
			_ = g.Wait()
			return nil, err
		}
		g.Go(func() error {
			done, err := h.stream(gctx, stream)
			if done && !h.all {
				h.mu.Lock()
				over = true
				h.mu.Unlock()
				stop()
				return nil
			}
			if err != nil && h.enough(&over) {
				return nil
			}
			return err
		})
	}
	return h.hits, g.Wait()
}

func (h *hunt) enough(over *bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *over
}

// loaded is a record's bytes as they come.
type loaded struct {
	data []byte
	err  error
}

// stream walks one chain.
func (h *hunt) stream(ctx context.Context, stream ledger.Stream) (done bool, err error) {
	c, err := ledger.Open(ctx, h.s, stream, ledger.Options{})
	if err != nil || c.Empty() {
		return false, err
	}
	last := c.Position().Seq
	h.tell(0, last+1)
	ctx, stop := context.WithCancel(ctx)
	var loading sync.WaitGroup
	defer loading.Wait()
	defer stop()
	ahead := make(chan chan loaded, huntAhead)
	loading.Go(func() {
		defer close(ahead)
		for seq := last; seq >= 0; seq-- {
			one := make(chan loaded, 1)
			select {
			case ahead <- one:
			case <-ctx.Done():
				return
			}
			loading.Go(func() {
				data, err := readRecord(ctx, h.s, ledger.RecordKey(stream, seq))
				one <- loaded{data, err}
			})
		}
	})
	for one := range ahead {
		l := <-one
		if l.err != nil {
			return false, l.err
		}
		h.tell(1, 0)
		if done, err := h.record(ctx, stream, l.data); (done && !h.all) || err != nil {
			return done, err
		}
	}
	return false, ctx.Err()
}

func (h *hunt) record(ctx context.Context, stream ledger.Stream, data []byte) (done bool, err error) {
	if !h.needs(data) {
		return false, nil
	}
	r, err := ledger.ParseRecord(data)
	if err != nil || r.Kind != ledger.Data {
		return false, err
	}
	found, done, err := h.visit(ctx, stream, r)
	if found && err == nil {
		h.mu.Lock()
		h.hits = append(h.hits, hit{stream, r})
		h.mu.Unlock()
	}
	return done, err
}

func (h *hunt) tell(read, more int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.searched.Records += read
	if h.searched.Of += more; more > 0 {
		h.searched.Streams++
	}
	if h.progress != nil {
		h.progress(h.searched)
	}
}

func readRecord(ctx context.Context, s ledger.Store, key string) ([]byte, error) {
	rc, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, ledger.MaxRecord+1))
	if err != nil {
		return nil, err
	}
	if len(data) > ledger.MaxRecord {
		return nil, fmt.Errorf("%s has more than %d bytes, the most that a record may have", key, ledger.MaxRecord)
	}
	return data, nil
}

// tableMark is in a record whose outcomes are elsewhere.
const tableMark = `"table":{`

// mayName says whether a record may name an id, by a look at its bytes: to parse them costs
// a hundred times as much.
func mayName(id string) func(record []byte) bool {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(id) // a string can be encoded
	quoted, _ := json.Marshal(id)
	a := append([]byte(`"id":`), bytes.TrimSpace(plain.Bytes())...)
	b := append([]byte(`"id":`), quoted...)
	return func(record []byte) bool {
		return bytes.Contains(record, a) || bytes.Contains(record, b) || bytes.Contains(record, []byte(tableMark))
	}
}

// any is for questions that bytes do not answer.
func anyRecord([]byte) bool { return true }
