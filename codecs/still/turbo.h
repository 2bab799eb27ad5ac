#ifndef MILLRACE_STILL_TURBO_H
#define MILLRACE_STILL_TURBO_H

#include <stddef.h>
#include <stdint.h>

// Outcomes of a call.
enum {
    STILL_OK = 0,
    STILL_INVALID,     // libjpeg's own error; message says which
    STILL_UNSUPPORTED, // valid JPEG that this build or our colour rules can not take
    STILL_DIFFERS,     // the header is not the one that was checked
    STILL_SCANS,       // more scans than allowed
    STILL_MEMORY,      // libjpeg could not allocate
};

typedef struct {
    int outcome;
    int early;   // the data end early: libjpeg made up the rest
    int damaged; // entropy-coded data are corrupt: libjpeg skipped or guessed
    int scans;
    char message[200];
} still_jpeg_result;

// still_jpeg_decode decodes data, n bytes, to RGB in out, width*height*3 bytes, with
// islow DCT and fancy upsampling, libjpeg's defaults and Pillow's choice. The size and
// the component count must be those that the caller found and checked in the header.
void still_jpeg_decode(const uint8_t *data, size_t n, uint8_t *out, int width, int height,
                       int components, int max_scans, still_jpeg_result *r);

// still_jpeg_encode encodes RGB pixels as a baseline JPEG, 4:2:0 where subsample is
// not 0, else 4:4:4. It returns malloc'd memory of *size bytes, to be freed with
// still_jpeg_free, or NULL.
uint8_t *still_jpeg_encode(const uint8_t *rgb, int width, int height, int quality,
                           int subsample, size_t *size, still_jpeg_result *r);
void still_jpeg_free(uint8_t *out);

#endif
