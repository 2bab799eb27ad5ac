// What go-astiav v0.16 does not wrap. Pointers are FFmpeg's own objects, owned by
// the astiav values that they were taken from; nothing here keeps or frees one.
#ifndef MILLRACE_VIDEO_NATIVE_H
#define MILLRACE_VIDEO_NATIVE_H

#include <stdint.h>

// mr_tags is what a decoded frame says of itself. Times are in ticks of its stream,
// INT64_MIN where missing; colour values are FFmpeg's, as in ITU-T H.273.
typedef struct mr_tags {
	int64_t time, duration;
	int matrix, range, primaries, transfer, chroma;
	int errors; // decode error flags, or 1 for a frame marked corrupt
	int interlaced, top_first;
} mr_tags;

enum { MR_UNSUPPORTED, MR_YUV, MR_DIRECT };

int mr_is_picture(const void *stream);
int mr_video_delay(const void *stream); // pictures that the decoder holds to reorder
const uint8_t *mr_packet_data(const void *packet);
void mr_flush(void *codec);
void mr_frame_tags(const void *frame, mr_tags *tags);

const char *mr_matrix_name(int v);
const char *mr_range_name(int v);
const char *mr_primaries_name(int v);
const char *mr_transfer_name(int v);

// mr_family says how a pixel format becomes RGB: MR_YUV by zimg, MR_DIRECT by mr_paint.
int mr_family(int pix_fmt);
int mr_has_alpha(int pix_fmt);
int mr_taken_by_zimg(int pix_fmt); // planar YUV or RGB, in this machine's byte order

// mr_strip_alpha makes a planar frame one of the format without alpha, if there is one.
void mr_strip_alpha(void *frame);

// mr_convert_nothing keeps a filter graph from putting conversions between filters.
void mr_convert_nothing(void *graph);

int mr_is_rgb(int pix_fmt);
int mr_is_full_range(int pix_fmt); // yuvj

// mr_paint writes an MR_DIRECT frame as 8-bit full-range R, G, B. Channel c of pixel
// (x, y) goes to dst + c + x*xstep + y*ystep. The caller has checked that all of these
// lie in its buffer. limited expands 16..235. Returns 0, or an AVERROR.
int mr_paint(const void *frame, uint8_t *dst, int64_t xstep, int64_t ystep, int limited);

// mr_pad fills dst, an empty AVFrame, with a planar picture whose sides are no multiple of
// what one chroma sample covers, and repeats its last column and row up to there. Returns
// 1, 0 if there is nothing to pad, or an AVERROR.
int mr_pad(const void *frame, void *dst);

// mr_to_planar fills dst, an empty AVFrame, with the picture as GBRP.
int mr_to_planar(const void *frame, void *dst, int limited);

#endif
