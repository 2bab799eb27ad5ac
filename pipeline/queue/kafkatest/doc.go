// Package kafkatest starts a real Apache Kafka broker for tests: one node, KRaft,
// on free ports of loopback, in a temporary folder. It needs Java 17 and the jars
// that "make tools" fetches.
//
// A broker takes about 3 seconds to start and 350 MB while it runs, so tests that
// only need topics of their own use [Shared], and [Topic] for a name. Tests that
// stop or kill their broker use [Start].
package kafkatest
