#include "native.h"

#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/mem.h>

int mr_is_default(const void *stream)
{
	return (((const AVStream *)stream)->disposition & AV_DISPOSITION_DEFAULT) != 0;
}

void mr_read_only(void *format, int stream)
{
	AVFormatContext *fc = format;
	for (unsigned i = 0; i < fc->nb_streams; i++)
		fc->streams[i]->discard = (int)i == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

void mr_max_alloc(int64_t bytes)
{
	av_max_alloc(bytes);
}

// avformat_find_stream_info wants one dictionary for each stream; astiav passes one in
// all, which is read out of bounds with two streams.
int mr_find_stream_info(void *format, int64_t max_pixels)
{
	AVFormatContext *fc = format;
	unsigned n = fc->nb_streams;
	AVDictionary **opts = av_calloc(n ? n : 1, sizeof(*opts));
	if (!opts)
		return AVERROR(ENOMEM);
	for (unsigned i = 0; i < n; i++) {
		av_dict_set_int(&opts[i], "max_pixels", max_pixels, 0);
		av_dict_set_int(&opts[i], "threads", 1, 0);
	}
	int ret = avformat_find_stream_info(fc, opts);
	for (unsigned i = 0; i < n; i++)
		av_dict_free(&opts[i]);
	av_free(opts);
	return ret;
}
