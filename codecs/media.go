package codecs

import "io"

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

// Kind is what a media item is to the line.
type Kind string

// The kinds that the line tells apart.
const (
	KindVideo Kind = "video"
	KindImage Kind = "image"
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

// Frames gives a medium's picked frames in presentation order.
type Frames interface {
	// Info describes the track. Valid from the start.
	Info() Info
	// Next returns the next picked frame, or io.EOF after the last. Other errors
	// are of type *[Error] and final.
	Next() (*Frame, error)
	// Close frees all foreign memory. It may be called twice.
	Close() error
}
