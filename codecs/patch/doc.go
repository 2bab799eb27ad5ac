// Package patch turns pictures into the token arrays that a vision model's own
// processor would make: sizes, the Pillow-exact resampler, crops, normalising and
// patch layouts. Pure arithmetic: no files, no FFmpeg, no clock.
//
// [New] compiles a [Spec] into a [Cutter], which makes the tokens of one picture;
// [NewClip] compiles one into a [ClipCutter], which makes the tokens of a run of
// frames. Both reuse their buffers: what they return is valid until the next call.
//
// The arithmetic equals, bit for bit, the slow (Pillow) processors of transformers
// 4.57 on Pillow 11.3, which is what published models were trained with.
package patch
