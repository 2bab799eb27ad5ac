package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Want is how a message is expected to end.
type Want string

// The ends that a message may be expected to have. Repeats need no word: of several
// messages of a stream with one id and dataset, those after the first that ended as
// samples are expected to be dup-of.
const (
	Samples Want = "samples" // as Message.Samples samples
	Refused Want = "refused" // in quarantine, with Message.Code
	Nothing Want = "nothing" // it asks for nothing
	Void    Want = "void"    // there is no message: a control record, an aborted one, a hole
	Any     Want = "any"     // as samples or in quarantine: it is not known beforehand
)

// Message is what the producer knows of an offset. A message of several jobs is several
// of these, with parts counted from 0.
type Message struct {
	Offset  int64  `json:"offset"`
	Part    int    `json:"part,omitempty"`
	ID      string `json:"id,omitempty"`
	Dataset string `json:"dataset,omitempty"`
	Want    Want   `json:"want"`
	Samples int64  `json:"samples,omitempty"` // below 0: any number
	Code    string `json:"code,omitempty"`    // "": any code
}

// Stream is what was produced to one partition. It is its own, with every id: the ids of
// one stream are told from those of another only by being different.
type Stream struct {
	Cluster   string    `json:"cluster"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	First     int64     `json:"first"` // the offset that the chain must begin at
	Messages  []Message `json:"messages"`
}

// Path is the stream's part of the names of its objects.
func (s *Stream) Path() string {
	return escape(s.Cluster) + "~" + escape(s.Topic) + "~" + strconv.Itoa(int(s.Partition))
}

// escape percent-encodes all but letters, digits, '-', '_' and inner dots.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Campaign is what a producer has written down.
type Campaign struct {
	Streams []Stream `json:"streams"`
	// Complete says that the writers have had time to finish: then every message must
	// have its end.
	Complete bool `json:"complete"`
	// Swept says that what dead writers had left was collected after the last of them
	// died: then no orphans may be left.
	Swept bool `json:"swept,omitempty"`
	// Excused are codes with which any message may end in quarantine instead, as that of
	// messages that seem to kill their worker, where workers are killed.
	Excused []string `json:"excused,omitempty"`
}

// ParseCampaign reads a campaign from JSON.
func ParseCampaign(data []byte) (*Campaign, error) {
	var c Campaign
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read what was produced: %w", err)
	}
	return &c, c.Validate()
}

// Validate refuses what no producer could have done.
func (c *Campaign) Validate() error {
	seen := map[string]bool{}
	for i := range c.Streams {
		s := &c.Streams[i]
		if seen[s.Path()] {
			return fmt.Errorf("the stream %s is there twice", s.Path())
		}
		seen[s.Path()] = true
		for _, m := range s.Messages {
			switch m.Want {
			case Samples, Refused, Nothing, Void, Any:
			default:
				return fmt.Errorf("stream %s, offset %d: it is to end as %q, which is not known", s.Path(), m.Offset, m.Want)
			}
			if m.Want == Samples && m.ID == "" {
				return fmt.Errorf("stream %s, offset %d: what ends as samples needs an id", s.Path(), m.Offset)
			}
		}
	}
	return nil
}

// sorted gives the messages in the order of their offsets and parts.
func (s *Stream) sorted() []Message {
	ms := slices.Clone(s.Messages)
	slices.SortStableFunc(ms, func(a, b Message) int { return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Part, b.Part)) })
	return ms
}
