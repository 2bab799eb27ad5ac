//go:build cgo

#include "avx2_amd64.h"

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline))

// A weight has 23 bits and a sign, so it does not fit the 16-bit multiply-add. It comes
// in two halves (high << SPLIT) + low; each half's sum wraps modulo 2^32, and so does
// the recombined one, which is therefore the 32-bit sum of the reference.
enum { SPLIT = 12, BITS = 22 };

AVX2 INLINE __m256i recombine(__m256i high, __m256i low) {
  return _mm256_add_epi32(_mm256_slli_epi32(high, SPLIT), low);
}

AVX2 INLINE __m256i load16(const uint8_t *p) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
}

// across resizes `rows` rows (a constant where it is inlined) side by side, so that
// they share the loading of weights. A step takes 4 pixels: taps 0, 1 in the low lane
// and 2, 3 in the high one, each as 16-bit pairs R0 R1 G0 G1 B0 B1.
AVX2 INLINE void across(int rows, uint8_t *dst, size_t dst_stride, const uint8_t *src,
                        size_t src_stride, size_t outs, int32_t skip,
                        const int32_t *first, const int32_t *count,
                        const int16_t *halves, size_t slots) {
  const __m256i pixels = _mm256_setr_epi8(
      0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
      6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m256i highs = _mm256_setr_epi32(
      0x03020100, 0x03020100, 0x03020100, 0x03020100,
      0x07060504, 0x07060504, 0x07060504, 0x07060504);
  const __m256i lows = _mm256_or_si256(highs, _mm256_set1_epi8(8));
  const __m128i half = _mm_set1_epi32(1 << (BITS - 1));

  for (size_t i = 0; i < outs; i++) {
    const uint8_t *p = src + 3 * (ptrdiff_t)(first[i] - skip);
    const int16_t *w = halves + 2 * i * slots;
    __m256i high[4], low[4];
    for (int r = 0; r < rows; r++) high[r] = low[r] = _mm256_setzero_si256();

    for (int32_t n = count[i]; n > 0; n -= 4, p += 12, w += 8) {
      __m256i q = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)w));
      __m256i qh = _mm256_shuffle_epi8(q, highs), ql = _mm256_shuffle_epi8(q, lows);
      for (int r = 0; r < rows; r++) {
        __m128i raw = _mm_loadu_si128((const __m128i *)(p + (size_t)r * src_stride));
        __m256i v = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(raw), pixels);
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(v, qh));
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(v, ql));
      }
    }
    for (int r = 0; r < rows; r++) {
      __m256i s = recombine(high[r], low[r]);
      __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
      t = _mm_srai_epi32(_mm_add_epi32(t, half), BITS);
      t = _mm_packs_epi32(t, t);
      uint32_t rgb = (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(t, t));
      memcpy(dst + (size_t)r * dst_stride + 3 * i, &rgb, 2);
      dst[(size_t)r * dst_stride + 3 * i + 2] = (uint8_t)(rgb >> 16);
    }
  }
}

AVX2 void millrace_across_avx2(uint8_t *dst, size_t dst_stride, const uint8_t *src,
                               size_t src_stride, size_t rows, size_t outs, int32_t skip,
                               const int32_t *first, const int32_t *count,
                               const int16_t *halves, size_t slots) {
  for (; rows >= 4; rows -= 4, dst += 4 * dst_stride, src += 4 * src_stride)
    across(4, dst, dst_stride, src, src_stride, outs, skip, first, count, halves, slots);
  for (; rows > 0; rows--, dst += dst_stride, src += src_stride)
    across(1, dst, dst_stride, src, src_stride, outs, skip, first, count, halves, slots);
}

// down32 makes 32 bytes of one output row from `count` input rows, two at a time.
AVX2 INLINE void down32(uint8_t *dst, const uint8_t *src, size_t stride, int32_t count,
                        const int16_t *halves) {
  __m256i high[4], low[4];
  for (int k = 0; k < 4; k++) high[k] = low[k] = _mm256_setzero_si256();

  for (int32_t j = 0; j < count; j += 2, src += 2 * stride) {
    const int16_t *w = halves + 2 * (j & ~3) + (j & 3);
    int32_t pair;
    memcpy(&pair, w, 4);
    __m256i qh = _mm256_set1_epi32(pair);
    memcpy(&pair, w + 4, 4);
    __m256i ql = _mm256_set1_epi32(pair);
    // The last row of an odd count is paired with itself: its partner weighs 0.
    const uint8_t *next = j + 1 < count ? src + stride : src;
    for (int k = 0; k < 2; k++) {
      __m256i a = load16(src + 16 * k), b = load16(next + 16 * k);
      __m256i v = _mm256_unpacklo_epi16(a, b);
      high[2 * k] = _mm256_add_epi32(high[2 * k], _mm256_madd_epi16(v, qh));
      low[2 * k] = _mm256_add_epi32(low[2 * k], _mm256_madd_epi16(v, ql));
      v = _mm256_unpackhi_epi16(a, b);
      high[2 * k + 1] = _mm256_add_epi32(high[2 * k + 1], _mm256_madd_epi16(v, qh));
      low[2 * k + 1] = _mm256_add_epi32(low[2 * k + 1], _mm256_madd_epi16(v, ql));
    }
  }
  const __m256i half = _mm256_set1_epi32(1 << (BITS - 1));
  __m256i s[4];
  for (int k = 0; k < 4; k++)
    s[k] = _mm256_srai_epi32(_mm256_add_epi32(recombine(high[k], low[k]), half), BITS);
  __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(s[0], s[1]), _mm256_packs_epi32(s[2], s[3]));
  _mm256_storeu_si256((__m256i *)dst, _mm256_permute4x64_epi64(bytes, 0xD8));
}

AVX2 void millrace_down_avx2(uint8_t *dst, size_t dst_stride, const uint8_t *src,
                             size_t src_stride, size_t n, size_t outs, int32_t skip,
                             const int32_t *first, const int32_t *count,
                             const int16_t *halves, size_t slots) {
  for (size_t i = 0; i < outs; i++, dst += dst_stride, halves += 2 * slots) {
    const uint8_t *rows = src + (ptrdiff_t)(first[i] - skip) * (ptrdiff_t)src_stride;
    size_t x = 0;
    for (; x + 32 <= n; x += 32) down32(dst + x, rows + x, src_stride, count[i], halves);
    // The rest is made together with some bytes that are there already.
    if (x < n) down32(dst + n - 32, rows + n - 32, src_stride, count[i], halves);
  }
}

// planar picks one channel's bytes out of interleaved ones: of 16 pixels in three loads,
// or of 8 in two, the second of which starts at byte 8 so as not to read beyond.
struct planar {
  __m128i of16[3][3], of8[3][2];
};

AVX2 INLINE struct planar planar(void) {
  struct planar p;
  memset(&p, 0x80, sizeof p);  // a shuffle makes 0 of these
  for (int c = 0; c < 3; c++) {
    for (int j = 0; j < 16; j++) ((uint8_t *)&p.of16[c][(3 * j + c) / 16])[j] = (uint8_t)((3 * j + c) % 16);
    for (int j = 0; j < 8; j++) {
      int b = 3 * j + c;
      ((uint8_t *)&p.of8[c][b >= 16])[j] = (uint8_t)(b < 16 ? b : b - 8);
    }
  }
  return p;
}

AVX2 INLINE __m128i load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }

// split16 and split8 store so many pixels as three runs of bytes, `run` apart.
AVX2 INLINE void split16(uint8_t *dst, size_t run, const uint8_t *src, const struct planar *p) {
  __m128i a = load(src), b = load(src + 16), c = load(src + 32);
  for (int k = 0; k < 3; k++) {
    __m128i v = _mm_or_si128(_mm_shuffle_epi8(a, p->of16[k][0]), _mm_shuffle_epi8(b, p->of16[k][1]));
    v = _mm_or_si128(v, _mm_shuffle_epi8(c, p->of16[k][2]));
    _mm_storeu_si128((__m128i *)(dst + (size_t)k * run), v);
  }
}

AVX2 INLINE void split8(uint8_t *dst, size_t run, const uint8_t *src, const struct planar *p) {
  __m128i a = load(src), b = load(src + 8);
  for (int k = 0; k < 3; k++) {
    __m128i v = _mm_or_si128(_mm_shuffle_epi8(a, p->of8[k][0]), _mm_shuffle_epi8(b, p->of8[k][1]));
    _mm_storel_epi64((__m128i *)(dst + (size_t)k * run), v);
  }
}

AVX2 void millrace_cut_avx2(uint8_t *dst, const uint8_t *src, size_t src_stride, size_t gh,
                            size_t gw, size_t p, size_t merge, size_t values, size_t run) {
  const struct planar lanes = planar();
  for (size_t y = 0; y < gh; y++) {
    for (size_t x = 0; x < gw; x++) {
      size_t cell = (y / merge * (gw / merge) + x / merge) * merge * merge + y % merge * merge + x % merge;
      uint8_t *token = dst + cell * values;
      const uint8_t *line = src + y * p * src_stride + x * p * 3;
      for (size_t i = 0; i < p; i++, token += p, line += src_stride) {
        size_t j = 0;
        for (; j + 16 <= p; j += 16) split16(token + j, run, line + 3 * j, &lanes);
        if (j + 8 <= p) split8(token + j, run, line + 3 * j, &lanes), j += 8;
        // The rest is stored together with some pixels that are there already.
        if (j < p) split8(token + p - 8, run, line + 3 * (p - 8), &lanes);
      }
    }
  }
}
