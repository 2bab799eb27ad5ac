package codecs

import (
	"errors"
	"io"
)

// Source is the media's bytes: random access of a known size. Decoders never
// see a path or a URL. Calls may come from one goroutine at a time only.
type Source interface {
	io.ReaderAt
	// Size is the number of bytes, fixed for the life of the Source.
	Size() int64
}

// Watched is a Source whose owner wants a sign of life: a few kilobytes can hold an hour
// of a still screen, which takes long to decode and no reading.
type Watched interface {
	Source
	// Alive is called between reads, at least once for each packet that is decoded.
	Alive()
}

// ErrWhole says that a decoder needs most of a source of which little was to be read.
var ErrWhole = errors.New("most of the medium is needed")

// Sparse is a Source whose bytes are far away: what is not needed should not be read.
type Sparse interface {
	Source
	// Sparse reports whether that is so. A decoder that needs most of such a source says
	// [ErrWhole] instead of reading it.
	Sparse() bool
}

// Exposed is a Source whose owner wants to know when its bytes come before code in C,
// which may break its process's memory over them, as code in Go can not.
type Exposed interface {
	Source
	// Expose is called before the first such reading; it may be called again.
	Expose()
}

// Timed is a Source whose owner wants to know how long the medium lasts: how long its
// decoding may take goes by that.
type Timed interface {
	Source
	// Lasts is called as soon as a duration in seconds is known; a later one corrects it.
	Lasts(seconds Rational)
}

// Lasts tells the source's owner, if that wants to know, how long the medium lasts. It
// does nothing where that is not known.
func Lasts(src Source, seconds Rational) {
	if t, ok := src.(Timed); ok && seconds.Known() {
		t.Lasts(seconds)
	}
}

// Expose tells the source's owner, if that wants to know, that C is about to see its bytes.
func Expose(src Source) {
	if e, ok := src.(Exposed); ok {
		e.Expose()
	}
}

// Kind is what a media item is to the line.
type Kind string

// The kinds that the line tells apart.
const (
	KindVideo Kind = "video"
	KindImage Kind = "image"
	KindAudio Kind = "audio"
)

// Pixels is an 8-bit RGB picture: Height x Width x 3 bytes, channel innermost,
// rows without padding. Alpha is gone, orientation and sample aspect are applied.
type Pixels struct {
	Width, Height int
	Pix           []byte // len = Height*Width*3
}

// Colour is how a picture's values became RGB, by FFmpeg's names
// ("bt709", "smpte170m", "tv", "pc", ...). Empty means that the notion does not apply.
type Colour struct {
	Matrix    string `json:"matrix,omitempty"`
	Range     string `json:"range,omitempty"`
	Primaries string `json:"primaries,omitempty"`
	Transfer  string `json:"transfer,omitempty"`
	// Assumed names the tags that the stream left out and that were chosen by rule.
	Assumed []string `json:"assumed,omitempty"`
}

// Info is what probing found, before anything is decoded. Immutable.
type Info struct {
	Kind      Kind   `json:"kind"`
	Container string `json:"container"` // by Millrace's own sniff: "mp4", "matroska", "jpeg", ...
	Codec     string `json:"codec"`     // FFmpeg's name: "h264", "mjpeg", ...
	Track     int    `json:"track"`     // stream index in the container

	// Width and Height are as coded, before rotation and sample aspect.
	Width  int `json:"width"`
	Height int `json:"height"`
	// Rotation in degrees clockwise that a viewer applies: 0, 90, 180, 270. Mirrored
	// is a left-right flip applied before it. Images: from EXIF.
	Rotation int      `json:"rotation,omitempty"`
	Mirrored bool     `json:"mirrored,omitempty"`
	SAR      Rational `json:"sample_aspect,omitzero"`

	FrameRate Rational `json:"frame_rate,omitzero"` // average, as declared
	TimeBase  Rational `json:"time_base,omitzero"`
	Duration  Rational `json:"duration,omitzero"` // seconds; zero where unknown
	Frames    int64    `json:"frames,omitempty"`  // 0 where unknown
	Colour    Colour   `json:"colour"`

	// Of sound only.
	SampleRate int    `json:"sample_rate,omitempty"` // as coded, Hz
	Channels   int    `json:"channels,omitempty"`    // as coded
	Language   string `json:"language,omitempty"`    // ISO 639-2, where the container says it
	// Start is the presentation time of the track's first sample of sound, in seconds.
	Start Rational `json:"start,omitzero"`
}

// Frame is one picked picture.
//
// Its Pixels are owned by the reader that returned it and are valid until the
// reader's next call; use [Frame.Clone] to keep them.
type Frame struct {
	Pixels
	Index    int64    // place in presentation order, from 0
	PTS      Rational // presentation time in seconds
	Duration Rational // seconds; zero where unknown
	Key      bool     // coded as a keyframe
	// Before is the size as decoded, ahead of rotation and sample aspect.
	BeforeWidth, BeforeHeight int
	Colour                    Colour
	// Applied lists what was done to the picture, in order, for the sample's JSON:
	// "rotate:90", "sar:4/3", "alpha:over:#ffffff", ...
	Applied []string
}

// Clone returns a copy whose pixels nobody else owns.
func (f *Frame) Clone() *Frame {
	c := *f
	c.Pix = append([]byte(nil), f.Pix...)
	c.Applied = append([]string(nil), f.Applied...)
	return &c
}

// Moment is a frame's place and time in its track.
type Moment struct {
	Index int64    `json:"index"`
	PTS   Rational `json:"pts"`
}

// Frames gives a medium's picked frames in presentation order.
type Frames interface {
	// Info describes the track. Valid from the start.
	Info() Info
	// Picks lists the frames that Next gives in all, in order. It is known from the
	// start; where a video turns out to be damaged, a call of Next may change what is
	// still to come. The slice is the caller's.
	Picks() []Moment
	// Next returns the next picked frame, or io.EOF after the last. Other errors
	// are of type *[Error] and final.
	Next() (*Frame, error)
	// Close frees all foreign memory. It may be called twice.
	Close() error
}

// Sound is a stretch of one track, mixed to one channel.
type Sound struct {
	Rate    int       // samples a second
	PTS     Rational  // of the first sample: seconds on the medium's clock, which its video shares
	Samples []float32 // -1..1
}

// Sounds gives stretches of a medium's sound.
type Sounds interface {
	// Info describes the track. Valid from the start.
	Info() Info
	// Span gives the sound that is heard from from up to to, in seconds on the medium's
	// clock; from must not descend from call to call. Where the track has nothing
	// between its first sample and its last it is silent. The result is shorter at the
	// track's ends, and io.EOF where the track has nothing there or later. It is owned
	// by the reader and valid until the next call. Other errors are of type *[Error], or
	// the source's own, and final.
	Span(from, to Rational) (*Sound, error)
	// Close frees all foreign memory. It may be called twice.
	Close() error
}
