#ifndef MILLRACE_STILL_WEBPC_H
#define MILLRACE_STILL_WEBPC_H

#include <stddef.h>
#include <stdint.h>

// still_webp_decode decodes one picture of width*height to RGB (channels 3) or RGBA
// that is not multiplied (channels 4) in out. It returns libwebp's VP8StatusCode.
int still_webp_decode(const uint8_t *data, size_t n, uint8_t *out, int width, int height,
                      int channels);

// An animation being played. Its data are its own, written by the caller between
// still_webp_new and still_webp_start.
typedef struct still_webp still_webp;

still_webp *still_webp_new(size_t n);  // NULL without memory
uint8_t *still_webp_data(still_webp *w); // n bytes
// still_webp_start reads the structure; 0 is a failure.
int still_webp_start(still_webp *w, int *width, int *height, int *frames);
// still_webp_next composites the next frame; the RGBA canvas is the animation's own,
// until the next call. 0 is a failure; asking past the last frame is one.
int still_webp_next(still_webp *w, uint8_t **canvas);
void still_webp_free(still_webp *w);

// still_webp_encode encodes RGB pixels: lossy of a quality 0..100, or lossless. It
// returns memory of *size bytes, to be freed with still_webp_release, or NULL.
uint8_t *still_webp_encode(const uint8_t *rgb, int width, int height, float quality,
                           int lossless, size_t *size);
void still_webp_release(uint8_t *out);

#endif
