#!/bin/sh
# Makes the small, odd sounds of this folder with FFmpeg 5.1. The made files are
# committed, since encoders differ from build to build; run this to add one.
set -eu
cd "$(dirname "$0")"
ff() { ffmpeg -nostdin -hide_banner -v error -y -bitexact "$@"; }
# Two sweeps, and noise: tone RATE SECONDS.
tone() { echo "-f lavfi -i aevalsrc=0.4*sin(2*PI*(200+900*t)*t)+0.02*sin(70000*t*t)|0.3*sin(2*PI*(1500-300*t)*t):s=$1:d=$2"; }
one() { echo "-f lavfi -i aevalsrc=0.5*sin(2*PI*(300+500*t)*t):s=$1:d=$2"; }
six() { echo "-f lavfi -i aevalsrc=0.4*sin(1000*t)|0.4*sin(1300*t)|0.3*sin(1700*t*t)|0.2*sin(300*t)|0.1*sin(2900*t)|0.3*sin(3100*t):c=5.1:s=$1:d=$2"; }
picture="-f lavfi -i testsrc2=s=64x48:r=10:d=1.5"

ff $(tone 44100 1.5) -c:a libmp3lame -b:a 64k stereo.mp3
ff $(tone 44100 1.5) -c:a libmp3lame -b:a 64k -id3v2_version 0 -write_xing 0 plain.mp3
ff $(tone 22050 1) -f lavfi -i testsrc2=s=32x32:r=1:d=1 -map 0:a -map 1:v -frames:v 1 -c:a libmp3lame -b:a 32k -c:v png -disposition:v attached_pic -id3v2_version 3 cover.mp3
ff $(tone 44100 0.8) -c:a flac stereo.flac
ff $(tone 96000 0.2) -ac 1 -sample_fmt s32 -bits_per_raw_sample 24 -c:a flac deep.flac
ff $(six 48000 0.5) -c:a flac surround.flac
ff $(tone 48000 1.5) -c:a libopus -b:a 48k stereo.opus
ff $(tone 44100 1.5) -c:a libvorbis -q:a 1 stereo.ogg
ff $(tone 44100 1.5) -c:a aac -b:a 64k stereo.m4a
ff $(tone 44100 1.5) -c:a aac -b:a 64k stereo.aac
ff $(tone 44100 0.4) -c:a alac lossless.m4a
# An edit list that starts within the sound.
ff -ss 0.6 -i stereo.m4a -c copy -t 0.7 edit.m4a
ff $(one 8000 0.5) -c:a pcm_s16le phone.wav
ff $(one 8000 0.5) -c:a pcm_mulaw mulaw.wav
ff $(one 16000 0.5) -c:a pcm_s16le mono16.wav
ff $(tone 32000 0.2) -c:a pcm_u8 bytes.wav
ff $(tone 24000 0.2) -c:a pcm_f64le double.wav
ff $(tone 24000 0.2) -c:a pcm_s24le -rf64 always rf64.wav
# A header that was never filled in, as programs that write to a pipe leave it.
ff $(one 16000 0.3) -c:a pcm_s16le -f wav - | cat > piped.wav
# Beside a video that starts earlier, and one that starts later.
ff $picture -itsoffset 0.75 $(tone 48000 1) -c:v mpeg4 -qscale 20 -c:a aac -b:a 64k late.mp4
ff -itsoffset 0.5 $picture $(tone 48000 1.5) -c:v mpeg4 -qscale 20 -c:a aac -b:a 64k early.mp4
ff $(tone 48000 1) -c:a mp2 -b:a 64k -avoid_negative_ts disabled -output_ts_offset -0.5 negative.mkv
# Packets that are lost, stamps that jitter by 8 ms, and stamps that run 4 s for 5 s.
ff $(tone 48000 1.5) -c:a libopus -b:a 48k steady.mkv
ff -i steady.mkv -c copy -bsf:a "noise=drop=between(pts*tb\,0.5\,0.9):amount=0" gap.mkv
ff -i steady.mkv -c copy -bsf:a "setts=pts=PTS+4*mod(N\,3):dts=PTS+4*mod(N\,3)" jitter.mkv
ff -i steady.mkv -c copy -bsf:a "setts=pts=PTS*4/5:dts=PTS*4/5" overlap.mkv
rm steady.mkv
ff $(six 48000 0.5) -c:a ac3 -b:a 192k surround.mkv
ff $(one 16000 0.5) $(one 24000 0.7) -map 0 -map 1 -c:a libopus -b:a 24k -metadata:s:0 language=eng -metadata:s:1 language=ger -disposition:0 0 -disposition:1 default languages.mkv
ff $(tone 44100 1) -c:a aac -b:a 64k -muxdelay 0 -f mpegts broadcast.ts
ff $(tone 44100 0.5) -c:a wmav2 -b:a 48k denied.mkv
ff $(tone 44100 0.5) -c:a aac -b:a 64k -encryption_scheme cenc-aes-ctr -encryption_key 00112233445566778899aabbccddeeff -encryption_kid 00112233445566778899aabbccddeeff cenc.m4a
