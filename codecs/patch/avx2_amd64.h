#ifndef MILLRACE_AVX2_H
#define MILLRACE_AVX2_H

#include <stddef.h>
#include <stdint.h>

// The two passes of a resize; see kernel in reference.go for the words, and axis in
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

#endif
