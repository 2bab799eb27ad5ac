// Package ledger keeps, for each stream, the chain of records that says what became
// of every message: the only thing that decides what a dataset holds.
//
// # Protocol
//
// A record is an object _log/<stream>/<20-digit sequence number>, written once by a
// create-only put, never changed and never deleted. It holds the SHA-256 of the
// record before it. There are three kinds: genesis fixes where the stream starts,
// fence gives the stream to a writer under a new epoch, data accounts for a range of
// offsets and names the shards that hold their samples. Ranges join end to end, and
// each offset in a data record has an outcome: samples, a repeat, a quarantine entry,
// or a named gap.
//
// A writer takes a stream by appending a fence, then reads messages from where the
// chain ends, never from a broker's committed offset. It only ever aims at the
// position after its own last record, and stops for good at the first record there
// that is not its own. So of two writers that both think they own a stream, one is
// fenced by the other's record, however long it slept.
//
// If the outcome of a put is unknown, the same bytes are put again until a read or an
// answer tells: no other record for that position is ever built.
//
// Assumed of the store: a create is exclusive, and a read after a completed create
// sees it. Nothing is assumed of clocks, of the broker's group membership or committed
// offsets, or of decoding the same bytes twice with the same result. It follows that
// there is one chain, without holes or overlaps, and that each offset below its end is
// in exactly one record.
//
// # Names
//
//	_log/<stream>/<seq>                     records
//	_hint/<stream>                          a recent position; only a speed-up
//	_snap/<n>                               snapshots: a position for each stream
//	_edit/<sha256>.json                     edits: shards that a snapshot leaves out, or has instead
//	data/<stream>/<epoch>/<ulid>.<ext>      shards, named by records of that epoch only
//	edited/<ulid>.<ext>                     shards that edits add
//	data/<stream>/<epoch>/<sha256>.outcomes.json   outcome tables too large for a record
package ledger
