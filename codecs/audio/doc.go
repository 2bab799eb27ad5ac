// Package audio decodes sound with FFmpeg 5.1 through go-astiav: one track, mixed to one
// channel, resampled as librosa does it (soxr, high quality), at its true time.
//
// # From samples to samples
//
// Channels are averaged first, in float32, by FFmpeg's pan filter; then aresample with
// soxr, precision 20, gives the rate that was asked for. That is what librosa.load gives,
// bit for bit, but for a zero that librosa appends where the length is not whole and
// soxr rounds it down. Where the track has that rate already, nothing is resampled.
//
// # Time
//
// The clock is the container's own, as FFmpeg reads it: edit lists are applied, samples
// that an encoder put in front (priming) are cut off, and a track may start before zero.
// A track's video has the same clock.
//
// The grid of a track's samples starts at its first one: sample n is at Start + n/rate. A
// time t is sample round((t-Start)*rate), halves up. So the sound of a span [a, b) is
// the samples from that of a up to that of b, and spans that touch join without a seam.
//
// Stamps jitter, by what a container's ticks can say. Sound is taken as continuous
// until a stamp is more than [Tolerance] away from where the samples before it end. Then,
// if it is late, the gap is silence; if it is early, what overlaps is cut off the later
// packet. In containers of sound alone (all that [Sniff] names but M4A) an early stamp
// cuts nothing and moves the clock: there the links of a chained Ogg file start anew, and
// no other track has to keep step. Each stretch without a gap is resampled as one, from its first sample,
// whatever the spans that were asked for: a sample never depends on them.
//
// All C memory is owned by the reader, belongs to one goroutine and never leaves the
// package; [LiveObjects] counts it.
package audio
