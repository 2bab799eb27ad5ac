package message

// Limits of one record. They are constants, not settings: producers and consumers
// must agree on them, and every one is finite.
const (
	MaxValue       = 8 << 20  // bytes of a record's value, whatever its form
	MaxHeaders     = 64       // headers of a record
	MaxHeaderBytes = 16 << 10 // bytes of all header names and values
	MaxDepth       = 16       // nested JSON objects and arrays
	MaxMembers     = 10_000   // members of one JSON object
	MaxRecords     = 1000     // objects of one bucket notification
	MaxMedia       = 64       // media of one job
	MaxText        = 64 << 10 // bytes of a job's text
	MaxID          = 512      // bytes of an id
	MaxURI         = 8 << 10  // bytes of a URI
	maxParents     = 1024     // ids in provenance.parents
	maxEnvelopes   = 3        // envelopes around a notification: SQS around SNS around S3, and one to spare
	maxShown       = 80       // bytes of foreign text in a fault's sentence
)
