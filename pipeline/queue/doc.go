// Package queue is Millrace's side of Kafka: which partitions this process works
// on, what stands at each offset, and publishing.
//
// Three things are kept apart on purpose:
//
//   - Membership ([Join]) says which partitions to work on. It is a hint: two
//     members may believe that they own one partition, for a moment (see [Join]),
//     and only the ledger decides whose work counts.
//   - Reading ([Client.Read]) starts at an absolute offset, which comes from the
//     ledger and never from the group's committed offset. Each offset comes out
//     exactly once, as a record or inside a skipped range with a reason.
//   - Committed offsets ([Assignment.CommitAdvisory]) are for lag dashboards.
//
// Everything runs over segmentio/kafka-go: ConsumerGroup for membership,
// Client.Fetch for reading. The record batches of a fetch are parsed here rather
// than by the library (see exchange.go), because its parser allocates what a batch
// claims, decompresses without bound, and drops where a batch ends.
package queue
