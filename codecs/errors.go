package codecs

import (
	"errors"
	"fmt"
)

// Code is the stable name of a fault, as it stands in quarantine entries and
// metrics. A code never changes its meaning.
type Code string

// Codes that decoders give. All are permanent: the same bytes fail again.
const (
	CodeInvalid       Code = "decode.invalid"     // the bytes are not what they claim
	CodeTruncated     Code = "decode.truncated"   // the bytes end early
	CodeNoVideo       Code = "decode.no-video"    // no video or image track (cover art does not count)
	CodeNoAudio       Code = "decode.no-audio"    // no audio track that the recipe takes
	CodeNoFrames      Code = "decode.no-frames"   // a track, but not one frame came out
	CodeEncrypted     Code = "decode.encrypted"   // protected content
	CodeUnsupported   Code = "decode.unsupported" // valid, but this build can not decode it
	CodeFormatDenied  Code = "format.denied"      // container or codec is not on the allow-list
	CodeLimitPixels   Code = "limit.pixels"       // see Limits, likewise below
	CodeLimitFrames   Code = "limit.frames"       //
	CodeLimitDuration Code = "limit.duration"     //
	CodeLimitFPS      Code = "limit.fps"          //
	CodeLimitStreams  Code = "limit.streams"      //
	CodeLimitChanges  Code = "limit.size-changes" //
	CodeLimitMetadata Code = "limit.metadata"     //
	CodeLimitTables   Code = "limit.tables"       // a table of more entries than the file has bytes for
	CodeLimitTokens   Code = "limit.tokens"       // more patches than a sample may have
	CodeStall         Code = "limit.stall"        // no progress: bytes are read, or time goes by, and no frame comes
	CodeLayout        Code = "patch.impossible"   // the layout can not take this picture (aspect over 200, ...)
	CodeOOM           Code = "decode.oom"         // the decoder was given no more memory
	CodeTime          Code = "decode.no-times"    // presentation times are missing and can not be made
)

// Stage is where in the line a fault arose, by the line's own words.
type Stage string

// The stages of the line.
const (
	StageTake     Stage = "take"
	StageFetch    Stage = "fetch"
	StageProbe    Stage = "probe"
	StageDecode   Stage = "decode"
	StagePick     Stage = "pick"
	StageScreen   Stage = "screen"
	StagePatchify Stage = "patchify"
	StagePack     Stage = "pack"
	StageCommit   Stage = "commit"
)

// Error is a fault of the media: permanent, with a stable code and a text for
// people. It says nothing about where the media came from; callers add that.
type Error struct {
	Code   Code
	Stage  Stage
	Detail string // one sentence, without the code
	Err    error  // cause, or nil
	// Attempts is how often it was tried before it was given up; 0 for once.
	Attempts int
}

// Errorf makes an Error. A %w verb's operand becomes its cause.
func Errorf(code Code, stage Stage, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Stage: stage, Detail: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns "stage: detail (code)".
func (e *Error) Error() string { return fmt.Sprintf("%s: %s (%s)", e.Stage, e.Detail, e.Code) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError returns the Error in err's chain, or nil.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
