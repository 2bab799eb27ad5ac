// Package audit checks from outside that every message ended exactly once.
//
// It knows two things: what was produced (a [Campaign], written down by whoever produced
// it) and what stands in the store. It decodes records and shards by itself, from their
// description, and shares no code with the writers that it checks: a mistake in common
// would hide itself. It trusts nothing that it can compute.
//
// What it asserts:
//
//   - each stream's log is one chain from genesis on: no holes, canonical bytes, the
//     digest of the record before, ranges that touch, epochs that a fence raises by one,
//     data of the epoch and the writer in force, no token twice;
//   - every offset below the end of a chain has one fate, and it is the one that was to be
//     expected; every produced offset has one, if the campaign is complete;
//   - a repeated id is dup-of the offset at which it became samples;
//   - the samples of an id are in the shards once, as many as its outcome says, in shards
//     of the record with the outcome, under keys that no other sample of the dataset has;
//   - every shard that a record names is there, of the size, the digests and the number of
//     samples that the record says, and is named once;
//   - snapshots are a chain too, and pin records that are there.
//
// Objects that no record names are counted: those of epochs that are over are orphans.
package audit
