// Package packing joins samples of uneven length into sequences of at most so many
// tokens, so that a trainer's rows are nearly full.
//
// The rule is bounded first-fit: samples are collected into a window, a full window is
// packed, and nothing is carried over to the next one. A pack depends on its window
// alone, so that the same samples in the same order always give the same packs, and
// going on where a run ended needs only the number of samples packed so far. There are
// no random numbers: who wants a shuffle shuffles before.
//
// [Packer] places samples; [NewArrays] and [VisionSegments] give what attention kernels
// need to keep a pack's samples apart. Pure arithmetic.
package packing
