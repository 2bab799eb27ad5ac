// Command torture attacks Millrace on the real thing, and counts.
//
// It starts a real Apache Kafka, a real versitygw and several real workers, produces
// thousands of tiny media, and meanwhile does to them what happens to fleets in years:
// kill -9 at random and at named points of the commit protocol, processes that sleep
// through a takeover, joins and leaves, new partitions, broker restarts, faults of the
// network and of the store, credentials that run out, full disks, offsets that somebody
// moved. Then it lets the fleet finish, and an independent checker (package audit)
// compares the store with what was produced.
//
// Production code has no hooks for this. Each worker reaches the store through a gate of
// its own, a proxy that sees every request: "the record has landed and its reply is not
// yet sent" is a moment in the gate, and there it kills the worker.
//
//	go run ./services/torture -seed 7 -campaign kills,store
//
// It exits with 0 when every message ended once and every goal was reached, else with 1.
// The last line has the counts.
package main
