#ifndef MILLRACE_AVX2_H
#define MILLRACE_AVX2_H

#include <stddef.h>
#include <stdint.h>

// The two passes of a resize, and cutting; see kernel in reference.go for the words, and axis in
// axis.go for first, count, halves and slots. Results equal the Go reference.

// Reads up to 13 bytes past the last weighted pixel of each row.
void millrace_across_avx2(uint8_t *dst, size_t dst_stride, const uint8_t *src,
                          size_t src_stride, size_t rows, size_t outs, int32_t skip,
                          const int32_t *first, const int32_t *count,
                          const int16_t *halves, size_t slots);

// n, the bytes of a row, is 32 or more. Reads and writes nothing outside them.
void millrace_down_avx2(uint8_t *dst, size_t dst_stride, const uint8_t *src,
                        size_t src_stride, size_t n, size_t outs, int32_t skip,
                        const int32_t *first, const int32_t *count,
                        const int16_t *halves, size_t slots);

// Cuts gh x gw patches of p x p pixels, channel by channel, each 8 or more wide; see
// order in order.go for the words. dst is where the first token's first frame or a later
// one begins. Reads and writes nothing outside the patches.
void millrace_cut_avx2(uint8_t *dst, const uint8_t *src, size_t src_stride, size_t gh,
                       size_t gw, size_t p, size_t merge, size_t values, size_t run);

#endif
