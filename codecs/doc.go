// Package codecs holds the words that every decoder and the patch cutter share:
// [Info], [Frame], [Pixels], [Limits], [Rational] and the media [Error].
//
// It has no cgo and imports nothing of Millrace. The packages below it decode
// (video, still) or compute (patch); none of them knows where bytes come from
// or where samples go.
package codecs
