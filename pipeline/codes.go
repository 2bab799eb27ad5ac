package pipeline

import "github.com/millrace/millrace/codecs"

// Codes of faults that arise before decoding or around the mill. Like those of
// package codecs they never change their meaning.
const (
	CodeMsgEmpty    codecs.Code = "msg.empty"     // empty value or tombstone
	CodeMsgInvalid  codecs.Code = "msg.invalid"   // not a job: syntax, schema, headers
	CodeMsgLimit    codecs.Code = "msg.limit"     // over a size, depth or count limit
	CodeMsgType     codecs.Code = "msg.type"      // a content type that nothing here reads
	CodeMsgVersion  codecs.Code = "msg.version"   // a format version from the future
	CodeMsgNoRecipe codecs.Code = "msg.no-recipe" // no recipe for the dataset
	CodeMsgNotTaken codecs.Code = "msg.not-taken" // the recipe does not want it
	CodeMsgBucket   codecs.Code = "msg.bucket"    // a notification of a bucket that no dataset claims

	CodeSourceGone     codecs.Code = "source.gone"     // 404, 410, delete marker, no such file
	CodeSourceDenied   codecs.Code = "source.denied"   // by our rules or by the other side's
	CodeSourceEmpty    codecs.Code = "source.empty"    // zero bytes
	CodeSourceChanged  codecs.Code = "source.changed"  // not the version or digest that was asked for
	CodeSourceProtocol codecs.Code = "source.protocol" // the other side broke its protocol
	CodeSourceLimit    codecs.Code = "source.limit"    // larger or slower than allowed
	CodeSourceScheme   codecs.Code = "source.scheme"   // a URI scheme that nothing here reads
	CodeSourceArchived codecs.Code = "source.archived" // an object in cold storage
	// its host alone can not be reached
	CodeSourceUnreachable codecs.Code = "source.unreachable"
	CodeSourceOptOut      codecs.Code = "source.opt-out"   // withheld by its owner, as the recipe honours
	CodeSourceTransient   codecs.Code = "transient.source" // may work again; retried

	CodeCrash       codecs.Code = "decode.crash"   // the mill died on it, twice
	CodeOOM                     = codecs.CodeOOM   // the mill ran out of its memory, twice
	CodeLimitTime   codecs.Code = "limit.time"     // would be over its wall time by far
	CodeTimeout     codecs.Code = "decode.timeout" // over its wall time
	CodeStall                   = codecs.CodeStall // no progress
	CodeLimitOutput codecs.Code = "limit.output"   // more bytes out than a record may have

	CodePoison codecs.Code = "poison.crash-loop" // the worker itself died of it, time and again
)
