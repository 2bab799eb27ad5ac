// Package ffmpeg opens containers with FFmpeg 5.1 through go-astiav, for the packages
// that decode: from a [codecs.Source] only, with white-lists of what may be opened, and
// with a count of every C object.
//
// An [Input] belongs to one goroutine.
package ffmpeg
