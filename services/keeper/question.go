package keeper

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
)

// keyForm is that of pipeline.SampleKey, and of the keys of sequences.
var keyForm = regexp.MustCompile(`^[0-9a-f]{24}-(?:seq|[0-9]+-[0-9]+-(?:x|n?[0-9]{15,}))$`)

// question is one that has been understood.
type question struct {
	by      string
	text    string // id or key
	offset  int64
	streams []ledger.Stream // that the offset can be of
}

// sequence reports that it is about a sequence's key, which tells nothing of its jobs.
func (q question) sequence() bool { return q.by == ByKey && strings.HasSuffix(q.text, "-seq") }

// understand finds out what is asked: an offset if a stream of that name is there, else a
// key if it has the form of one, else an id. by, if set, leaves no choice.
func understand(ctx context.Context, s ledger.Store, text, by string) (question, error) {
	q := question{by: by, text: text}
	if text == "" {
		return q, errors.New("the question is empty: ask for TOPIC/PARTITION/OFFSET, STREAM/OFFSET, an id or a sample's key")
	}
	if by == ByID || by == ByKey {
		return q, nil
	}
	name, number, _ := cutLast(text)
	offset, err := strconv.ParseInt(number, 10, 64)
	if name != "" && err == nil && offset >= 0 {
		q.offset = offset
		if q.streams, err = named(ctx, s, name); err != nil {
			return q, err
		}
	}
	switch {
	case len(q.streams) > 0 || by == ByOffset:
		q.by = ByOffset
	case keyForm.MatchString(text):
		q.by = ByKey
	default:
		q.by = ByID
	}
	return q, nil
}

// named gives the streams that people may mean by a name: its own, its path in the store,
// or a partition of a topic without the cluster.
func named(ctx context.Context, s ledger.Store, name string) ([]ledger.Stream, error) {
	var found []ledger.Stream
	for st, err := range ledger.Streams(ctx, s) {
		if err != nil {
			return nil, err
		}
		if name == st.String() || name == st.Path() || st.Name == "" && name == fmt.Sprintf("%s/%d", st.Topic, st.Partition) {
			found = append(found, st)
		}
	}
	return found, nil
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// jobPrefix is what the keys of all samples of a job begin with.
func jobPrefix(dataset, id string) string {
	hash, _, _ := strings.Cut(pipeline.SampleKey(dataset, id, 0, 0, codecs.Rational{}), "-")
	return hash + "-"
}
