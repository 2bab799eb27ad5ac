// Package broker is the broker of the embedded stack: one node that speaks Kafka's
// protocol, in this process, with its state in one folder. It is franz-go's kfake.
//
// It is for one machine and one person: it listens on loopback only, has no
// authentication and no replicas. What it acknowledged is on disk, and outlives a
// crash of the process or of the machine.
package broker
