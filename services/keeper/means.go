package keeper

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
)

// statusMeans says in words how an outcome is to be read, and what to do.
func statusMeans(stream ledger.Stream, o ledger.Outcome) string {
	switch o.Status {
	case ledger.OK:
		return fmt.Sprintf("it ended as %d samples, in the shards below (each format has them all)", o.Samples)
	case ledger.DupOf:
		if o.Of == nil {
			return "a repeat of an earlier job of this dataset and id, whose samples stand for both; nothing to do"
		}
		return fmt.Sprintf("a repeat of the job at offset %d, whose samples stand for both; nothing to do (that one: explain %s/%d)", *o.Of, stream, *o.Of)
	case ledger.Quarantined:
		return "it was refused and has no samples; " + Advice(o.Code)
	case ledger.Gap:
		return "it was given up and has no samples; " + Advice(o.Code)
	case ledger.None:
		return "the message asked for nothing (a bucket's test event, or the deletion of an object); nothing to do"
	}
	return fmt.Sprintf("the status %q is of a later version of Millrace; use that", o.Status)
}

// again ends the advice on what a second attempt can mend: an id that ended in quarantine
// is no repeat.
const again = "then send it again (backfill --retry, or push)"

// advice by code.
var advice = map[codecs.Code]string{
	pipeline.CodeMsgEmpty:    "the message has no value: mend the producer, " + again,
	pipeline.CodeMsgInvalid:  "the message is no job (recipe schema message prints what one is): mend the producer, " + again,
	pipeline.CodeMsgLimit:    "the message is larger or deeper than one may be: send a URI instead of inline bytes, or split the job",
	pipeline.CodeMsgType:     "nothing here reads its content-type: set it to what the value is, " + again,
	pipeline.CodeMsgVersion:  "a later version wrote the message: upgrade the workers, " + again,
	pipeline.CodeMsgNoRecipe: "the workers had no recipe for its dataset: give them one (worker --recipe), " + again,
	pipeline.CodeMsgNotTaken: "the recipe does not want such jobs: leave it, or change the recipe's take or pack section, " + again,
	pipeline.CodeMsgBucket:   "no dataset claims its bucket and prefix: map them to one in the settings, " + again,

	pipeline.CodeSourceGone:        "the medium is not where the job says: put it there or mend the URI, " + again,
	pipeline.CodeSourceDenied:      "our rules or the other side refuse the medium: see the detail for which; give access or allow the address, " + again,
	pipeline.CodeSourceEmpty:       "the medium has no bytes: upload it anew, " + again,
	pipeline.CodeSourceChanged:     "the medium is not the version or digest that the job names: send a job for what is there now",
	pipeline.CodeSourceProtocol:    "the other side's answers were not what its protocol allows: see the detail, mend or change the server, " + again,
	pipeline.CodeSourceLimit:       "the medium is larger, or came slower, than the source limits allow: raise them if it is trusted, " + again,
	pipeline.CodeSourceScheme:      "nothing here reads URIs of that scheme: use s3, http, https or file",
	pipeline.CodeSourceArchived:    "the object is in cold storage: restore it, " + again,
	pipeline.CodeSourceUnreachable: "its host could not be reached, however often it was tried: see the detail; when it answers, " + again[len("then "):],
	pipeline.CodeSourceOptOut:      "its owner says that it is not to be used for training: leave it, or change the recipe's rule where you have the right to it",
	pipeline.CodeSourceTransient:   "the source failed for longer than it was tried: when it is well, " + again[len("then "):],

	pipeline.CodeCrash:       "the decoder died of it, twice, in its own process: the file is hostile or meets a decoder's bug; transcode it elsewhere, or leave it",
	pipeline.CodeOOM:         "decoding took more than a mill's memory, twice: raise the mill's memory if the file is trusted, " + again,
	pipeline.CodeTimeout:     "decoding took more than its wall time: raise the mill's time if the file is trusted, " + again,
	pipeline.CodeLimitTime:   "decoding would take more than twice the most that a job may: pick fewer frames in the recipe, split the medium, or raise mill.max_wall, " + again,
	pipeline.CodeStall:       "decoding made no progress: the file is damaged or hostile; transcode it elsewhere, or leave it",
	pipeline.CodeLimitOutput: "it gives more bytes than a record may have: pick fewer frames or smaller arrays in the recipe, or split the medium, " + again,

	pipeline.CodePoison: "the worker itself died each time that it had this message in hand: look at the workers' logs of that time, and report it; send the job again once it is mended",

	codecs.CodeInvalid:      "the bytes are not the medium that they claim to be: upload it anew, " + again,
	codecs.CodeTruncated:    "the bytes end early: upload the whole medium, " + again,
	codecs.CodeNoVideo:      "it has no picture: leave it, or take sound alone in the recipe",
	codecs.CodeNoAudio:      "it has no sound track that the recipe takes: leave it, or change the recipe's audio section, " + again,
	codecs.CodeNoFrames:     "it has a track, but no frame could be decoded: transcode it elsewhere, or leave it",
	codecs.CodeEncrypted:    "it is encrypted, and no keys are read here: decrypt it, " + again,
	codecs.CodeUnsupported:  "this build can not decode it: transcode it to H.264, HEVC, VP9 or AV1 (a still to JPEG, PNG or WebP), " + again,
	codecs.CodeFormatDenied: "its container or codec is not on the allow-list: transcode it to one that is, " + again,
	codecs.CodeLayout:       "the token layout can not take a picture of that shape: leave it, or choose another layout or a crop in the recipe, " + again,
	codecs.CodeTime:         "its frames have no times, and none can be made: remux it with times, " + again,
	codecs.CodeLimitTokens:  "it gives more patches than a record may have: pick fewer frames or fewer patches in the recipe, " + again,
}

// Advice says in words what a code of a quarantined job means for whoever looks after the
// dataset: what to do.
func Advice(code string) string {
	if text, ok := advice[codecs.Code(code)]; ok {
		return text
	}
	family, _, _ := strings.Cut(code, ".")
	switch family {
	case "limit":
		return "it is over a limit of media: see the detail for which; raise it if the medium is trusted, " + again
	case "msg":
		return "the message can not be used: mend the producer, " + again
	case "source", "transient":
		return "the medium could not be fetched: see the detail, mend that, " + again
	}
	return "see the detail, mend that, " + again
}

// skipMeans says why a range of offsets has no messages. The reasons are the queue's.
func skipMeans(reason string) string {
	switch reason {
	case "control":
		return "a transaction's marker; nothing to do"
	case "aborted":
		return "records of a transaction that was aborted; nothing to do"
	case "gap", "retention":
		return "the topic has no records there (compaction, or retention was faster than the workers: check the topic's cleanup.policy and retention)"
	case "batch-limit":
		return "a batch over the size limit: lower the producer's batch size, or set the topic's compression.type to uncompressed, then send its messages again"
	case "batch-broken":
		return "a batch that can not be read though its checksum holds: mend the producer, then send its messages again"
	case "batch-format":
		return "a message format older than Kafka 0.11: use a newer client, then send its messages again"
	}
	return reason
}
