// Package claim makes creates exclusive on object stores that ignore conditional
// writes: a Kafka topic, the claim log, decides them.
//
// # How a create is decided
//
// A create appends a record with the object's key and bytes to a partition of the
// claim log, and waits until all in-sync replicas have it. Then it reads the partition
// up to that record. The first record of a key in the log's order has the key; every
// later one, be it a repeat, a rival's or one that a writer sent before it fell asleep,
// is passed over by everybody. The winning bytes are put into the object store, by
// whoever comes to the record first, with a plain put: all who do it put the same bytes.
//
// Nobody is told that a create has won, nor that another has, before the winner is in
// the object store. So the object store alone answers all reads, and what anybody has
// ever seen is there: losing the claim log loses nothing that was told to anyone. A
// record that a writer appended before it died is put by the next writer that creates
// in that partition, which the ledger does before it takes a stream.
//
// # The follower
//
// A process keeps, for each partition that it creates in, one number: the offset below
// which every winner is in the object store. To move it over a record it asks the
// store for the key: if there is none, no earlier record had that key, so this one is
// the winner and is put; if there is one, the record is passed over. There is no index,
// so memory does not grow with the log, nor do listings with the number of records.
// Every few records the number is noted in the store, under _claim/, for those who come
// later. A note is true for ever, so the plain puts of notes need no order.
//
// # What is assumed
//
// That the log keeps what it has acknowledged, in order (topics are checked for it: no
// retention, no compaction, three replicas of which two must answer, no unclean
// election), and that the object store's reads see completed puts. A topic that was
// deleted, made anew or cut is noticed by its id and by the notes, and halts every
// writer until Rebind has been run with all writers stopped.
package claim
