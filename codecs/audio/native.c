#include "native.h"

// Sums must round after each step, on machines with fused multiplication too.
#pragma GCC optimize("fp-contract=off")

#include <math.h>
#include <string.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libavutil/samplefmt.h>
#include <libswresample/swresample.h>

// Decoders need it to move a frame's time where they cut samples off.
void mr_sound_time_base(void *codec, const void *stream)
{
	((AVCodecContext *)codec)->pkt_timebase = ((const AVStream *)stream)->time_base;
}

int mr_sound_exact_duration(const void *format)
{
	const AVFormatContext *fc = format;
	return fc->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE;
}

void mr_sound_frame(const void *frame, mr_sound *s)
{
	const AVFrame *f = frame;
	s->time = f->pts != AV_NOPTS_VALUE ? f->pts : f->best_effort_timestamp;
	s->samples = f->nb_samples;
	s->channels = f->ch_layout.nb_channels;
	s->rate = f->sample_rate;
	switch (av_get_packed_sample_fmt(f->format)) {
	case AV_SAMPLE_FMT_U8:
	case AV_SAMPLE_FMT_S16:
	case AV_SAMPLE_FMT_S32:
	case AV_SAMPLE_FMT_FLT:
	case AV_SAMPLE_FMT_DBL:
		s->known = 1;
		break;
	default:
		s->known = 0;
	}
}

// The sums are those of libswresample's matrix mixer, in its order: v += x * coefficient,
// float32, first channel first. Values become float as its converter does it.
#define MIX(type, expr)                                        \
	do {                                                       \
		const type *p = (const type *)plane + (size_t)from * step; \
		for (int i = 0; i < n; i++) {                          \
			const type x = p[(size_t)i * step];                \
			out[i] += (expr) * share;                          \
		}                                                      \
	} while (0)

void mr_sound_mix(const void *frame, int from, int n, float *out)
{
	const AVFrame *f = frame;
	const int channels = f->ch_layout.nb_channels;
	const int planar = av_sample_fmt_is_planar(f->format);
	const int width = av_get_bytes_per_sample(f->format);
	const int step = planar ? 1 : channels;
	const float share = 1.0 / channels;
	for (int i = 0; i < n; i++)
		out[i] = 0;
	for (int c = 0; c < channels; c++) {
		const uint8_t *plane = planar ? f->extended_data[c] : f->extended_data[0] + (size_t)c * width;
		switch (av_get_packed_sample_fmt(f->format)) {
		case AV_SAMPLE_FMT_U8:
			MIX(uint8_t, (x - 0x80) * (1.0f / (1 << 7)));
			break;
		case AV_SAMPLE_FMT_S16:
			MIX(int16_t, x * (1.0f / (1 << 15)));
			break;
		case AV_SAMPLE_FMT_S32:
			MIX(int32_t, x * (1.0f / (1U << 31)));
			break;
		case AV_SAMPLE_FMT_FLT:
			MIX(float, isfinite(x) ? x : 0);
			break;
		case AV_SAMPLE_FMT_DBL:
			MIX(double, isfinite((float)x) ? (float)x : 0);
			break;
		default:
			break;
		}
	}
}

void mr_sound_fill(void *frame, const int16_t *samples, int n)
{
	memcpy(((AVFrame *)frame)->data[0], samples, (size_t)n * sizeof(*samples));
}

void *mr_resampler(int from, int to)
{
	AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
	SwrContext *s = NULL;
	if (swr_alloc_set_opts2(&s, &mono, AV_SAMPLE_FMT_FLTP, to, &mono, AV_SAMPLE_FMT_FLTP, from, 0, NULL) < 0)
		return NULL;
	if (av_opt_set_int(s, "resampler", SWR_ENGINE_SOXR, 0) < 0 || av_opt_set_double(s, "precision", 20, 0) < 0 || swr_init(s) < 0)
		swr_free(&s);
	return s;
}

void mr_resampler_free(void *resampler)
{
	SwrContext *s = resampler;
	swr_free(&s);
}

// Twice what comes on average, and all that is inside: what aresample allows for. When
// room runs out, libswresample 4.7 keeps input back for soxr, and then crashes.
int64_t mr_resample_room(void *resampler, int from, int to, int n)
{
	return av_rescale_rnd(n, 2 * (int64_t)to, from, AV_ROUND_UP) + swr_get_delay(resampler, to) + 4096;
}

int mr_resample(void *resampler, const float *in, int n, float *out, int room)
{
	const uint8_t *from[1] = { (const uint8_t *)in };
	uint8_t *to[1] = { (uint8_t *)out };
	return swr_convert(resampler, to, room, in ? from : NULL, n);
}
