#include "native.h"

#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>

int mr_is_picture(const void *stream)
{
	const AVStream *st = stream;
	return (st->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)) != 0;
}

int mr_video_delay(const void *stream)
{
	return ((const AVStream *)stream)->codecpar->video_delay;
}

const uint8_t *mr_packet_data(const void *packet)
{
	return ((const AVPacket *)packet)->data;
}

void mr_flush(void *codec)
{
	avcodec_flush_buffers(codec);
}

void mr_frame_tags(const void *frame, mr_tags *t)
{
	const AVFrame *f = frame;
	t->time = f->best_effort_timestamp;
	t->duration = f->pkt_duration;
	t->matrix = f->colorspace;
	t->range = f->color_range;
	t->primaries = f->color_primaries;
	t->transfer = f->color_trc;
	t->chroma = f->chroma_location;
	t->interlaced = f->interlaced_frame;
	t->top_first = f->top_field_first;
	t->errors = f->decode_error_flags | ((f->flags & AV_FRAME_FLAG_CORRUPT) != 0);
}

const char *mr_matrix_name(int v) { return av_color_space_name(v); }
const char *mr_range_name(int v) { return av_color_range_name(v); }
const char *mr_primaries_name(int v) { return av_color_primaries_name(v); }
const char *mr_transfer_name(int v) { return av_color_transfer_name(v); }

static int is_gray(const AVPixFmtDescriptor *d)
{
	return d->nb_components <= 2 && !(d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL));
}

// Three planes or more, in native byte order: what zimg takes as it is. Anything else
// would need a conversion by swscale in front of it.
static int is_planar(const AVPixFmtDescriptor *d)
{
	return d->nb_components >= 3 && (d->flags & AV_PIX_FMT_FLAG_PLANAR) && !(d->flags & AV_PIX_FMT_FLAG_BE) &&
	       d->comp[1].plane != d->comp[2].plane && d->comp[0].depth <= 16 && d->comp[0].shift == 0;
}

int mr_taken_by_zimg(int pix_fmt)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(pix_fmt);
	return d && is_planar(d);
}

void mr_strip_alpha(void *frame)
{
	AVFrame *f = frame;
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
	if (!d || !is_planar(d) || !(d->flags & AV_PIX_FMT_FLAG_ALPHA))
		return;
	for (const AVPixFmtDescriptor *o = av_pix_fmt_desc_next(NULL); o; o = av_pix_fmt_desc_next(o)) {
		if (o->flags == (d->flags & ~AV_PIX_FMT_FLAG_ALPHA) && o->nb_components == 3 &&
		    o->log2_chroma_w == d->log2_chroma_w && o->log2_chroma_h == d->log2_chroma_h &&
		    !memcmp(o->comp, d->comp, 3 * sizeof(d->comp[0]))) {
			enum AVPixelFormat id = av_pix_fmt_desc_get_id(o);
			if (!mr_is_full_range(id)) {
				f->format = id;
				return;
			}
		}
	}
}

void mr_convert_nothing(void *graph)
{
	avfilter_graph_set_auto_convert(graph, AVFILTER_AUTO_CONVERT_NONE);
}

int mr_family(int pix_fmt)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(pix_fmt);
	if (!d || (d->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT)))
		return MR_UNSUPPORTED;
	if ((d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) || is_gray(d))
		return MR_DIRECT;
	return is_planar(d) ? MR_YUV : MR_UNSUPPORTED;
}

int mr_has_alpha(int pix_fmt)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(pix_fmt);
	return d && (d->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
}

int mr_is_rgb(int pix_fmt)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(pix_fmt);
	return d && (d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
}

int mr_is_full_range(int pix_fmt)
{
	switch (pix_fmt) {
	case AV_PIX_FMT_YUVJ411P:
	case AV_PIX_FMT_YUVJ420P:
	case AV_PIX_FMT_YUVJ422P:
	case AV_PIX_FMT_YUVJ440P:
	case AV_PIX_FMT_YUVJ444P:
		return 1;
	}
	return 0;
}

// target is where a picture is written: channel c of (x, y) at c[c] + x*xstep + y*ystep.
typedef struct target {
	uint8_t *c[3];
	int64_t xstep, ystep;
} target;

static uint8_t to_byte(int64_t v, int depth, int limited)
{
	int64_t low = limited ? ((int64_t)16 << depth) >> 8 : 0;
	int64_t span = limited ? ((int64_t)219 << depth) >> 8 : ((int64_t)1 << depth) - 1;
	v = (2 * (v - low) * 255 + span) / (2 * span);
	return v < 0 ? 0 : v > 255 ? 255 : v;
}

// interleave is what nearly every frame takes: three planes to packed RGB, one row. The
// compiler makes byte shuffles of it where it may use them.
#if defined(__x86_64__) && defined(__GLIBC__)
__attribute__((target_clones("avx2", "default")))
#endif
static void interleave(uint8_t *restrict o, const uint8_t *r, const uint8_t *g, const uint8_t *b, int n)
{
	for (int x = 0; x < n; x++) {
		o[3 * x] = r[x];
		o[3 * x + 1] = g[x];
		o[3 * x + 2] = b[x];
	}
}

// paint_bytes is for components of 8 whole bits: GBRP, RGB24, BGR0, GRAY8, ...
static void paint_bytes(const AVFrame *f, const AVPixFmtDescriptor *d, const target *t, int limited)
{
	uint8_t lut[256];
	for (int v = 0; v < 256; v++)
		lut[v] = to_byte(v, 8, limited);
	for (int y = 0; y < f->height; y++) {
		const uint8_t *src[3];
		int step[3];
		uint8_t *dst[3];
		for (int c = 0; c < 3; c++) {
			const AVComponentDescriptor *comp = &d->comp[d->nb_components < 3 ? 0 : c];
			src[c] = f->data[comp->plane] + (int64_t)y * f->linesize[comp->plane] + comp->offset;
			step[c] = comp->step;
			dst[c] = t->c[c] + y * t->ystep;
		}
		if (!limited && step[0] == 1 && t->xstep == 3 && dst[1] == dst[0] + 1) {
			interleave(dst[0], src[0], src[1], src[2], f->width);
			continue;
		}
		for (int x = 0; x < f->width; x++)
			for (int c = 0; c < 3; c++)
				dst[c][x * t->xstep] = lut[src[c][(int64_t)x * step[c]]];
	}
}

static void paint_palette(const AVFrame *f, const target *t)
{
	const uint32_t *palette = (const uint32_t *)f->data[1];
	for (int y = 0; y < f->height; y++) {
		const uint8_t *src = f->data[0] + (int64_t)y * f->linesize[0];
		for (int x = 0; x < f->width; x++)
			for (int c = 0; c < 3; c++)
				t->c[c][x * t->xstep + y * t->ystep] = palette[src[x]] >> (16 - 8 * c);
	}
}

// paint_words is for all other depths and packings, one component row at a time.
static int paint_words(const AVFrame *f, const AVPixFmtDescriptor *d, const target *t, int limited)
{
	uint16_t *row = av_malloc_array(f->width, sizeof(*row));
	if (!row)
		return AVERROR(ENOMEM);
	for (int y = 0; y < f->height; y++) {
		for (int c = 0; c < 3; c++) {
			int from = d->nb_components < 3 ? 0 : c;
			av_read_image_line2(row, (const uint8_t **)f->data, f->linesize, d, 0, y, from, f->width, 0, sizeof(*row));
			for (int x = 0; x < f->width; x++) {
				uint8_t v = to_byte(row[x], d->comp[from].depth, limited);
				t->c[c][x * t->xstep + y * t->ystep] = f->format == AV_PIX_FMT_MONOWHITE ? 255 - v : v;
			}
		}
	}
	av_free(row);
	return 0;
}

static int paint(const AVFrame *f, const target *t, int limited)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
	if (!d || mr_family(f->format) != MR_DIRECT)
		return AVERROR(ENOSYS);
	if (d->flags & AV_PIX_FMT_FLAG_PAL) {
		paint_palette(f, t);
		return 0;
	}
	int whole = !(d->flags & AV_PIX_FMT_FLAG_BITSTREAM);
	for (int c = 0; c < d->nb_components && c < 3; c++)
		whole &= d->comp[c].depth == 8 && d->comp[c].shift == 0;
	if (!whole)
		return paint_words(f, d, t, limited && d->comp[0].depth >= 8);
	paint_bytes(f, d, t, limited);
	return 0;
}

int mr_paint(const void *frame, uint8_t *dst, int64_t xstep, int64_t ystep, int limited)
{
	target t = { { dst, dst + 1, dst + 2 }, xstep, ystep };
	return paint(frame, &t, limited);
}

int mr_pad(const void *frame, void *dst)
{
	const AVFrame *f = frame;
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
	if (!d || !is_planar(d))
		return 0;
	int padded_w = FFALIGN(f->width, 1 << d->log2_chroma_w), padded_h = FFALIGN(f->height, 1 << d->log2_chroma_h);
	if (padded_w == f->width && padded_h == f->height)
		return 0;
	AVFrame *o = dst;
	o->format = f->format;
	o->width = padded_w;
	o->height = padded_h;
	int ret = av_frame_get_buffer(o, 0);
	if (ret < 0 || (ret = av_frame_copy_props(o, f)) < 0)
		return ret;
	for (int c = 0; c < d->nb_components; c++) {
		int p = d->comp[c].plane, step = d->comp[c].step, chroma = c == 1 || c == 2;
		int w = chroma ? AV_CEIL_RSHIFT(f->width, d->log2_chroma_w) : f->width;
		int h = chroma ? AV_CEIL_RSHIFT(f->height, d->log2_chroma_h) : f->height;
		int wide = chroma ? w : o->width, high = chroma ? h : o->height;
		for (int y = 0; y < high; y++) {
			uint8_t *row = o->data[p] + (ptrdiff_t)y * o->linesize[p];
			memcpy(row, f->data[p] + (ptrdiff_t)(y < h ? y : h - 1) * f->linesize[p], (size_t)w * step);
			for (int x = w; x < wide; x++)
				memcpy(row + (size_t)x * step, row + (size_t)(w - 1) * step, step);
		}
	}
	return 1;
}

int mr_to_planar(const void *frame, void *dst, int limited)
{
	const AVFrame *f = frame;
	AVFrame *o = dst;
	o->format = AV_PIX_FMT_GBRP;
	o->width = f->width;
	o->height = f->height;
	int ret = av_frame_get_buffer(o, 0);
	if (ret < 0)
		return ret;
	// Planes are G, B, R with one line size: av_frame_get_buffer gives them the same.
	if (o->linesize[0] != o->linesize[1] || o->linesize[0] != o->linesize[2])
		return AVERROR_BUG;
	target t = { { o->data[2], o->data[0], o->data[1] }, 1, o->linesize[0] };
	return paint(f, &t, limited);
}
