// What go-astiav v0.16 does not wrap. Pointers are FFmpeg's own objects, owned by
// the astiav values that they were taken from; nothing here keeps or frees one.
#ifndef MILLRACE_FFMPEG_NATIVE_H
#define MILLRACE_FFMPEG_NATIVE_H

#include <stdint.h>

int mr_is_default(const void *stream);
void mr_read_only(void *format, int stream);
void mr_max_alloc(int64_t bytes); // of any one allocation of FFmpeg's
int mr_find_stream_info(void *format, int64_t max_pixels);

#endif
