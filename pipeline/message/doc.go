// Package message reads the records of an ingest topic and writes them.
//
// A record is a job in one of four forms, told apart by its content-type header and
// then by its shape:
//
//  1. a job as a JSON object ([Schema] documents it),
//  2. the media bytes themselves, with the rest in headers,
//  3. a CloudEvent 1.0, binary or structured, whose data is 1 or 2,
//  4. an S3 bucket notification, bare or inside SNS, SQS or EventBridge envelopes.
//
// Everything here is untrusted: sizes, depth, repeated keys and text encoding are
// checked by a scan that allocates nothing for values, before anything is decoded.
package message
