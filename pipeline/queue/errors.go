package queue

import "fmt"

// BelowStartError says that retention removed what was to be read. It is final:
// going on at LogStart leaves a gap that must be written down.
type BelowStartError struct {
	Topic     string
	Partition int
	Offset    int64 // wanted
	LogStart  int64 // the oldest that there is
}

// Error says what is lost and what to do.
func (e *BelowStartError) Error() string {
	return fmt.Sprintf("%s/%d: offset %d is gone, the log begins at %d: retention removed %d offsets before they were read; raise the topic's retention, and set queue.on_retention_loss to gap to write the loss down and go on",
		e.Topic, e.Partition, e.Offset, e.LogStart, e.LogStart-e.Offset)
}

// RecreatedError says that the topic was deleted and made anew since. It is final: the
// offsets no longer mean what they meant.
type RecreatedError struct {
	Topic     string
	Partition int
	Was, Is   string // see Client.TopicID
}

// Error says what is wrong and what to do.
func (e *RecreatedError) Error() string {
	return fmt.Sprintf("%s/%d: the topic was deleted and made anew (it was %s, it is %s); its offsets do not continue the old ones, so it needs a ledger of its own: write to another store.url, or give the topic a new name",
		e.Topic, e.Partition, e.Was, e.Is)
}

// AboveEndError says that the log ends before the offset to read next: the topic
// was made anew, or lost records in an unclean election. It is final: the offsets
// no longer mean what they meant.
type AboveEndError struct {
	Topic     string
	Partition int
	Offset    int64 // wanted
	High      int64 // where the log ends
}

// Error says what is wrong and what to do.
func (e *AboveEndError) Error() string {
	return fmt.Sprintf("%s/%d: offset %d is wanted, but the log ends at %d: the topic was truncated, or made anew by a broker that tells no ids; its offsets do not continue the old ones, so it needs a ledger of its own: write to another store.url, or give the topic a new name",
		e.Topic, e.Partition, e.Offset, e.High)
}
