// Package video decodes video with FFmpeg 5.1 through go-astiav: frames by true
// presentation time, in exact RGB.
//
// It plans first. All packets are read once without decoding, which gives every
// frame's time; [codecs.Pick] chooses; then only what the chosen frames depend on is
// decoded. Where a file does not allow such a plan (times missing or doubled, a codec
// whose packets are not understood, damage), everything is decoded, twice: once for
// the times, once for the pictures. Both ways give the same bytes.
//
// Times are the container's. A picture is shown until the next one's time, and that is
// its duration. Of pictures that share one time only the last is ever shown, and one that
// comes out after its time is not: they have no place in the timeline, no index, and no
// rule picks them. A picture without a time follows when the one before ends. A film
// whose times start over on the way is refused.
//
// Pictures become RGB once, at full size, by zimg and the frame's own matrix and
// range; then sample aspect and orientation are applied, but for aspects beyond 16 to 1
// ("sar:ignored") and turns that are no quarter turns ("matrix:ignored"). Woven fields, PQ and HLG stay
// as they are unless [Options] says otherwise; chroma of woven fields is spread over the
// lines of both, as the zscale filter does it. All of it is written down in the frame.
//
// All C memory is owned by the reader, belongs to one goroutine and never leaves the
// package; [LiveObjects] counts it. Input comes from a [codecs.Source] only: no path
// or URL is ever opened, whatever a file asks for.
package video
