// What go-astiav v0.16 does not wrap. Pointers are FFmpeg's own objects, owned by
// the astiav values that they were taken from, but for the resampler.
#ifndef MILLRACE_AUDIO_NATIVE_H
#define MILLRACE_AUDIO_NATIVE_H

#include <stdint.h>

// mr_sound is what a decoded frame says of itself. time is in ticks of its stream,
// INT64_MIN where missing.
typedef struct mr_sound {
	int64_t time;
	int samples, channels, rate;
	int known; // the samples have a format that mr_sound_mix reads
} mr_sound;

void mr_sound_time_base(void *codec, const void *stream);
int mr_sound_exact_duration(const void *format);
void mr_sound_frame(const void *frame, mr_sound *s);

// mr_sound_mix writes the mean of the channels of samples from..from+n to out, as
// float. What is not finite becomes 0. The caller has checked known and the range.
void mr_sound_mix(const void *frame, int from, int n, float *out);

// mr_sound_fill copies n samples of 16 bits into a mono frame that holds them.
void mr_sound_fill(void *frame, const int16_t *samples, int n);

// mr_resampler makes a resampler of mono float by soxr, precision 20, or NULL.
void *mr_resampler(int from, int to);
void mr_resampler_free(void *resampler);
// mr_resample_room is how much room n more samples need, at most.
int64_t mr_resample_room(void *resampler, int from, int to, int n);
// mr_resample takes n samples and gives what is ready; room must be mr_resample_room's.
// With NULL it ends the sound: calls give the rest, until 0. Negative is an AVERROR.
int mr_resample(void *resampler, const float *in, int n, float *out, int room);

#endif
