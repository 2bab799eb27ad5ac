// Package simulation runs several workers in virtual time against a Kafka and an object
// store that fail in every way that the real ones may, and more often.
//
// The workers are the real ones: services/worker, pipeline/stream, pipeline/ledger,
// pipeline/shard and the retries of pipeline/store. Only what is outside of the process is
// played: the broker with its group (generations, sessions, zombies), the store with its
// network (late, lost, doubled and refused requests), and the mills, which give samples
// that follow from a job's id.
//
// A run follows from its seed alone. No fault is drawn from a shared stream of numbers,
// whose order would depend on the scheduler: each follows from the seed, the writer, the
// operation, the object and the moment. And each request and each reply has a
// nanosecond of its own, so that one goroutine wakes at a time. Two runs of a seed
// therefore give the same trace, bit for bit.
//
// Run must be called in a bubble of testing/synctest.
package simulation
