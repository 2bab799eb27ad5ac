package ledger

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Item is a record as its readers see it.
type Item struct {
	Record   *Record
	Position Position
	Bytes    int // of the record
}

// readAhead is how many records are fetched at a time: at 20 ms a request, a million in
// ten minutes.
const readAhead = 32

// Read gives a stream's records from sequence number from on to the end of its chain,
// each checked against the one before. An error is the last pair. A stream without
// records gives none.
func Read(ctx context.Context, s Store, stream Stream, from int64) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if err := read(ctx, s, stream, from, yield); err != nil {
			yield(Item{}, fmt.Errorf("read the stream %s: %w", stream, err))
		}
	}
}

func read(ctx context.Context, s Store, stream Stream, from int64, yield func(Item, error) bool) error {
	if err := stream.Validate(); err != nil {
		return err
	}
	var tail *Record
	var pos Position
	if from > 0 {
		var err error
		if tail, pos, err = loadRecord(ctx, s, stream, from-1); err != nil {
			if notFound(err) {
				return nil
			}
			return err
		}
	}
	ahead := newAhead(ctx, readAhead, max(from, 0), func(ctx context.Context, seq int64) (*link, error) {
		return loadLink(ctx, s, stream, seq)
	})
	defer ahead.stop()
	for seq := max(from, 0); ; seq++ {
		l, err := ahead.next()
		if notFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := follows(tail, pos, stream, seq, l.Record); err != nil {
			return broken(stream, seq, "%w", err)
		}
		tail, pos = l.Record, l.position()
		if !yield(Item{Record: tail, Position: pos, Bytes: len(l.data)}, nil) {
			return nil
		}
	}
}

// Streams gives the streams that have a chain, in the order of their paths, with one
// short listing for each.
func Streams(ctx context.Context, s Store) iter.Seq2[Stream, error] {
	return func(yield func(Stream, error) bool) {
		after := logPrefix
		for {
			key, err := firstKey(ctx, s, logPrefix, after)
			if err != nil {
				yield(Stream{}, fmt.Errorf("list the streams: %w", err))
				return
			}
			if key == "" {
				return
			}
			path, _, _ := strings.Cut(strings.TrimPrefix(key, logPrefix), "/")
			// '0' is the byte after '/', so what comes next is of another stream.
			after = logPrefix + path + "0"
			stream, err := ParseStream(path)
			if err != nil {
				yield(Stream{}, fmt.Errorf("list the streams: %s does not belong there: %w", key, err))
				return
			}
			if !yield(stream, nil) {
				return
			}
		}
	}
}

func firstKey(ctx context.Context, s Store, prefix, after string) (string, error) {
	for key, err := range s.Keys(ctx, prefix, after) {
		return key, err
	}
	return "", nil
}
