package ledger

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	logPrefix  = "_log/"
	hintPrefix = "_hint/"
	snapPrefix = "_snap/"
	dataPrefix = "data/"
)

// RecordKey is the name of a stream's record.
func RecordKey(s Stream, seq int64) string { return logPrefix + s.Path() + "/" + number(seq) }

// SnapshotKey is the name of a snapshot.
func SnapshotKey(n int64) string { return snapPrefix + number(n) }

// DataPrefix is what the names of an epoch's shards begin with.
func DataPrefix(s Stream, epoch int64) string {
	return dataPrefix + s.Path() + "/" + number(epoch) + "/"
}

func hintKey(s Stream) string { return hintPrefix + s.Path() }

// number is written so that names sort as numbers do.
func number(n int64) string { return fmt.Sprintf("%020d", n) }

func parseNumber(text string) (int64, bool) {
	if len(text) != 20 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
