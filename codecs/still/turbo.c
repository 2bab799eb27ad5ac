#include "turbo.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "live.h"

// libjpeg reports errors by a callback that must not return: ours jumps back into
// the one C function that called libjpeg. No Go frame is ever jumped over.
typedef struct {
    struct jpeg_error_mgr base; // first, so that the pointers convert
    jmp_buf out;
    still_jpeg_result *result;
    int max_scans;
} handler;

static void fail(j_common_ptr c) {
    handler *h = (handler *)c->err;
    h->base.format_message(c, h->result->message);
    switch (h->base.msg_code) {
    case JERR_OUT_OF_MEMORY:
        h->result->outcome = STILL_MEMORY;
        break;
    case JERR_BAD_PRECISION:
    case JERR_ARITH_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CCIR601_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_NOTIMPL:
        h->result->outcome = STILL_UNSUPPORTED;
        break;
    default:
        h->result->outcome = STILL_INVALID;
    }
    longjmp(h->out, 1);
}

// note keeps the warnings that mean made-up pixels. Others (stray bytes before a
// marker, odd version numbers) cost nothing and are common in good files.
static void note(j_common_ptr c, int level) {
    handler *h = (handler *)c->err;
    if (level >= 0)
        return;
    switch (h->base.msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
        h->result->early = 1;
        break;
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
        h->result->damaged = 1;
        break;
    }
}

static void quiet(j_common_ptr c) { (void)c; }

// watch ends scan bombs: a few kilobytes can hold thousands of scans, each of which
// goes over the whole picture.
static void watch(j_common_ptr c) {
    handler *h = (handler *)c->err;
    int scans = ((j_decompress_ptr)c)->input_scan_number;
    h->result->scans = scans;
    if (scans > h->max_scans) {
        h->result->outcome = STILL_SCANS;
        longjmp(h->out, 1);
    }
}

static struct jpeg_error_mgr *handle(handler *h, still_jpeg_result *r) {
    memset(r, 0, sizeof *r);
    jpeg_std_error(&h->base);
    h->base.error_exit = fail;
    h->base.emit_message = note;
    h->base.output_message = quiet;
    h->result = r;
    return &h->base;
}

static uint8_t div255(unsigned v) {
    v += 128;
    return (uint8_t)(((v >> 8) + v) >> 8);
}

// inverted_cmyk makes RGB of a row of CMYK stored inverted, as Adobe writes and as
// Pillow assumes of every 4-component JPEG: with k the stored value of K,
// k - (255-c)*k/255, at least 0.
static void inverted_cmyk(const uint8_t *in, uint8_t *out, int width) {
    for (int x = 0; x < width; x++, in += 4, out += 3)
        for (int i = 0; i < 3; i++) {
            int v = in[3] - div255((255 - in[i]) * in[3]);
            out[i] = v < 0 ? 0 : (uint8_t)v;
        }
}

static void decode_rows(j_decompress_ptr d, uint8_t *out, int width) {
    size_t stride = (size_t)width * 3;
    JSAMPARRAY row = NULL;
    if (d->out_color_space == JCS_CMYK)
        row = (*d->mem->alloc_sarray)((j_common_ptr)d, JPOOL_IMAGE, (JDIMENSION)width * 4, 1);
    while (d->output_scanline < d->output_height) {
        uint8_t *to = out + stride * d->output_scanline;
        JSAMPROW into = to;
        if (row == NULL) {
            jpeg_read_scanlines(d, &into, 1);
            continue;
        }
        jpeg_read_scanlines(d, row, 1);
        inverted_cmyk(row[0], to, width);
    }
}

void still_jpeg_decode(const uint8_t *data, size_t n, uint8_t *out, int width, int height,
                       int components, int max_scans, still_jpeg_result *r) {
    struct jpeg_decompress_struct d;
    struct jpeg_progress_mgr progress = {.progress_monitor = watch};
    handler h;

    memset(&d, 0, sizeof d); // so that destroying is safe however early creating fails
    d.err = handle(&h, r);
    h.max_scans = max_scans;
    still_live_add(1);
    if (setjmp(h.out) == 0) {
        jpeg_create_decompress(&d);
        d.progress = &progress;
        jpeg_mem_src(&d, data, n);
        jpeg_read_header(&d, TRUE);
        if ((int)d.image_width != width || (int)d.image_height != height ||
            d.num_components != components) {
            r->outcome = STILL_DIFFERS;
        } else {
            d.out_color_space = d.num_components == 4 ? JCS_CMYK : JCS_RGB;
            jpeg_start_decompress(&d);
            decode_rows(&d, out, width);
            r->scans = d.input_scan_number;
            // What follows the last row (usually only the end marker) is not needed,
            // so jpeg_finish_decompress, which would read it, is left out.
        }
    }
    jpeg_destroy_decompress(&d);
    still_live_add(-1);
}

// sink is a destination that grows. libjpeg's own (jpeg_mem_dest) leaves a dangling
// pointer when an error comes after it has grown.
typedef struct {
    struct jpeg_destination_mgr base; // first, so that the pointers convert
    uint8_t *buf;
    size_t cap;
} sink;

static void sink_start(j_compress_ptr c) { (void)c; }
static void sink_end(j_compress_ptr c) { (void)c; }

static boolean sink_grow(j_compress_ptr c) {
    sink *s = (sink *)c->dest;
    uint8_t *bigger = realloc(s->buf, s->cap * 2);
    if (bigger == NULL)
        ERREXIT1(c, JERR_OUT_OF_MEMORY, 0);
    s->buf = bigger;
    s->base.next_output_byte = s->buf + s->cap;
    s->base.free_in_buffer = s->cap;
    s->cap *= 2;
    return TRUE;
}

static void encode(j_compress_ptr c, const uint8_t *rgb, int width, int height, int quality,
                   int subsample) {
    c->image_width = (JDIMENSION)width;
    c->image_height = (JDIMENSION)height;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, quality, TRUE);
    c->comp_info[0].h_samp_factor = c->comp_info[0].v_samp_factor = subsample ? 2 : 1;
    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height) {
        JSAMPROW row = (JSAMPROW)(rgb + (size_t)width * 3 * c->next_scanline);
        jpeg_write_scanlines(c, &row, 1);
    }
    jpeg_finish_compress(c);
}

uint8_t *still_jpeg_encode(const uint8_t *rgb, int width, int height, int quality,
                           int subsample, size_t *size, still_jpeg_result *r) {
    struct jpeg_compress_struct c;
    handler h;
    sink s = {{.init_destination = sink_start,
               .empty_output_buffer = sink_grow,
               .term_destination = sink_end}};

    memset(&c, 0, sizeof c);
    c.err = handle(&h, r);
    s.cap = 4096 + (size_t)width * height / 2;
    s.buf = malloc(s.cap);
    if (s.buf == NULL) {
        r->outcome = STILL_MEMORY;
        return NULL;
    }
    s.base.next_output_byte = s.buf;
    s.base.free_in_buffer = s.cap;
    still_live_add(1);
    if (setjmp(h.out) == 0) {
        jpeg_create_compress(&c);
        c.dest = &s.base;
        encode(&c, rgb, width, height, quality, subsample);
    }
    jpeg_destroy_compress(&c);
    if (r->outcome != STILL_OK) {
        still_live_add(-1);
        free(s.buf);
        return NULL;
    }
    *size = s.cap - s.base.free_in_buffer;
    return s.buf; // alive until still_jpeg_free
}

void still_jpeg_free(uint8_t *out) {
    if (out != NULL)
        still_live_add(-1);
    free(out);
}
