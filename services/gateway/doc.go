// Package gateway takes jobs and media over HTTP, puts large media into the store, and
// publishes jobs to the ingest topic; it tells senders what became of them.
//
// It is a claim check: a record of the topic holds up to 8 MiB, and what is larger
// stands in the store under _upload/<tenant>/ and is named by the job. A 202 is sent
// when all replicas of the topic that are in sync have the job, not before.
//
// Several gateways may run side by side. They share nothing but the store and the
// topic, and need no order among them.
package gateway
