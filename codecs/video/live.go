package video

import "github.com/millrace/millrace/codecs/internal/ffmpeg"

// LiveObjects is how many C objects (contexts, packets, frames, graphs) the FFmpeg
// packages hold at the moment. It is 0 when every reader is closed; tests rely on it.
func LiveObjects() int64 { return ffmpeg.LiveObjects() }
