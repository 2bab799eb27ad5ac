#include "webpc.h"

#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>

#include "live.h"

int still_webp_decode(const uint8_t *data, size_t n, uint8_t *out, int width, int height,
                      int channels) {
    WebPDecoderConfig c;
    if (!WebPInitDecoderConfig(&c))
        return VP8_STATUS_INVALID_PARAM;
    c.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    c.output.is_external_memory = 1;
    c.output.u.RGBA.rgba = out;
    c.output.u.RGBA.stride = width * channels;
    c.output.u.RGBA.size = (size_t)width * height * channels;
    VP8StatusCode status = WebPGetFeatures(data, n, &c.input);
    if (status == VP8_STATUS_OK && (c.input.width != width || c.input.height != height))
        status = VP8_STATUS_BITSTREAM_ERROR;
    if (status == VP8_STATUS_OK)
        status = WebPDecode(data, n, &c);
    WebPFreeDecBuffer(&c.output);
    return status;
}

struct still_webp {
    WebPAnimDecoder *decoder;
    uint8_t *data;
    size_t n;
};

still_webp *still_webp_new(size_t n) {
    still_webp *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->n = n;
    w->data = malloc(n);
    if (w->data == NULL) {
        free(w);
        return NULL;
    }
    still_live_add(1);
    return w;
}

uint8_t *still_webp_data(still_webp *w) { return w->data; }

int still_webp_start(still_webp *w, int *width, int *height, int *frames) {
    WebPAnimDecoderOptions o;
    WebPAnimInfo info;
    WebPData data = {w->data, w->n};
    if (!WebPAnimDecoderOptionsInit(&o))
        return 0;
    o.color_mode = MODE_RGBA;
    o.use_threads = 0; // one decoding, one thread: the fleet's throughput is best so
    w->decoder = WebPAnimDecoderNew(&data, &o);
    if (w->decoder == NULL || !WebPAnimDecoderGetInfo(w->decoder, &info))
        return 0;
    *width = (int)info.canvas_width;
    *height = (int)info.canvas_height;
    *frames = (int)info.frame_count;
    return 1;
}

int still_webp_next(still_webp *w, uint8_t **canvas) {
    int timestamp; // the caller has read the delays itself
    return WebPAnimDecoderGetNext(w->decoder, canvas, &timestamp);
}

void still_webp_free(still_webp *w) {
    if (w == NULL)
        return;
    if (w->decoder != NULL)
        WebPAnimDecoderDelete(w->decoder);
    free(w->data);
    free(w);
    still_live_add(-1);
}

uint8_t *still_webp_encode(const uint8_t *rgb, int width, int height, float quality,
                           int lossless, size_t *size) {
    uint8_t *out = NULL;
    *size = lossless ? WebPEncodeLosslessRGB(rgb, width, height, width * 3, &out)
                     : WebPEncodeRGB(rgb, width, height, width * 3, quality, &out);
    if (*size == 0) {
        WebPFree(out);
        return NULL;
    }
    still_live_add(1);
    return out;
}

void still_webp_release(uint8_t *out) {
    if (out != NULL)
        still_live_add(-1);
    WebPFree(out);
}
