#!/bin/sh
# Makes the small, odd videos of this folder with FFmpeg 5.1. The made files are
# committed, since encoders differ from build to build; run this to add one.
# clip16_*, clip5_*: see ../../codecs/video/oracle_test.go; those are not made here.
set -eu
cd "$(dirname "$0")"
ff() { ffmpeg -nostdin -hide_banner -v error -y -bitexact "$@"; }
src() { echo "-f lavfi -i testsrc2=s=$1:r=$2:d=$3"; }
x264="-c:v libx264 -threads 1 -preset medium -bitexact"

# B-frames and b-pyramid, closed groups of 12.
ff $(src 128x96 24 2.5) -vf noise=alls=12:all_seed=1:allf=t -pix_fmt yuv420p $x264 -g 12 -keyint_min 12 -sc_threshold 0 -bf 3 -b_strategy 0 -x264-params b-pyramid=normal h264_bframes.mp4
# One long group, and no B-frames.
ff $(src 96x64 15 2) -pix_fmt yuv420p $x264 -g 250 -bf 0 h264_nob.mp4
# Open groups: pictures that lead a recovery point refer to the group before.
ff $(src 128x96 24 2.5) -vf noise=alls=12:all_seed=2:allf=t -pix_fmt yuv420p $x264 -g 12 -keyint_min 1 -sc_threshold 0 -bf 3 -b_strategy 0 -x264-params open-gop=1:b-pyramid=normal h264_opengop.mp4
# Intra refresh: keyframes that do not give exact pictures at once.
ff $(src 96x64 24 2) -pix_fmt yuv420p $x264 -g 12 -bf 0 -x264-params intra-refresh=1 h264_refresh.mkv
# The same open groups, in Annex B (off by default) and cut in the middle of the film.
ff -ss 0.8 -i h264_opengop.mp4 -c copy -copyinkf h264_midgroup.mkv
ff -i h264_bframes.mp4 -c copy -muxdelay 0 h264.ts
# Variable frame rate in milliseconds.
ff $(src 96x64 25 3) -vf "select='not(mod(n*n+n,7)-2)+lt(mod(n,11),3)+eq(n,0)',noise=alls=12:all_seed=3:allf=t" -vsync passthrough -pix_fmt yuv420p $x264 -g 10 -bf 2 h264_vfr.mkv
# Orientation.
for d in 90 180 270; do
	ff -i h264_nob.mp4 -t 0.5 -c copy -metadata:s:v:0 rotate=$((360 - d)) h264_rot$d.mp4
done
# An edit list that starts inside a group: the packets before it are decoded, not shown.
ff -ss 0.7 -i h264_bframes.mp4 -c copy -t 1 h264_edit.mp4
# Late first picture, and negative times.
ff -i h264_bframes.mp4 -c copy -t 1 -output_ts_offset 3.25 h264_late.mkv
ff -i h264_bframes.mp4 -c copy -t 1 -avoid_negative_ts disabled -output_ts_offset -0.5 -use_editlist 0 h264_negative.mp4
# Colour.
ff $(src 160x90 10 1) -vf "scale=out_color_matrix=bt709:out_range=pc,format=yuvj420p" $x264 -color_range pc -colorspace bt709 -color_primaries bt709 -color_trc bt709 h264_709_full.mp4
ff $(src 160x90 10 1) -vf "scale=out_color_matrix=bt709,format=yuv420p" $x264 -colorspace bt709 -color_primaries bt709 -color_trc bt709 h264_709.mp4
ff $(src 176x144 10 1) -pix_fmt yuv420p $x264 h264_untagged.mp4
ff $(src 96x64 10 1) -pix_fmt yuv422p $x264 -bf 2 h264_422.mp4
ff $(src 96x64 10 1) -pix_fmt yuv444p $x264 -bf 2 h264_444.mp4
ff $(src 96x64 10 1) -c:v libx264rgb -threads 1 -bf 2 h264_rgb.mp4
ff $(src 96x64 10 1) -pix_fmt gray $x264 -bf 2 h264_gray.mp4
ff $(src 96x64 10 1) -pix_fmt yuv420p10le $x264 -bf 2 h264_10bit.mkv
# Sample aspect 4:3 and 3:4.
ff $(src 120x90 10 1) -vf setsar=4/3 -pix_fmt yuv420p $x264 -bf 2 h264_sar43.mp4
ff $(src 120x90 10 1) -vf setsar=3/4 -pix_fmt yuv420p $x264 -bf 2 h264_sar34.mkv
# Odd sizes, one picture, interlaced.
ff $(src 101x57 10 1) -pix_fmt yuv444p $x264 -bf 2 h264_odd.mp4
ff $(src 98x58 10 1) -pix_fmt yuv420p $x264 -bf 2 h264_crop.mp4
ff $(src 64x64 10 0.1) -pix_fmt yuv420p $x264 h264_single.mp4
ff $(src 96x96 50 1) -vf "interlace=scan=tff,setfield=tff" -pix_fmt yuv420p $x264 -flags +ilme+ildct -bf 2 h264_interlaced.mp4
# The size changes on the way.
ff $(src 96x64 10 0.6) -pix_fmt yuv420p $x264 -bf 0 -f h264 a.tmp
ff $(src 64x96 10 0.6) -pix_fmt yuv420p $x264 -bf 0 -f h264 b.tmp
cat a.tmp b.tmp a.tmp >ab.tmp
ff -r 10 -f h264 -i ab.tmp -c copy -bsf:v setts=ts=N*100 -f matroska h264_resize.mkv
rm -f a.tmp b.tmp ab.tmp
# Other codecs.
ff $(src 128x96 24 2.5) -vf noise=alls=12:all_seed=4:allf=t -pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:pools=1:frame-threads=1:keyint=12:min-keyint=1:bframes=4:info=0 -tag:v hvc1 hevc.mp4
ff $(src 128x96 24 1.5) -vf noise=alls=12:all_seed=5:allf=t -pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=none:pools=1:frame-threads=1:keyint=12:open-gop=0:bframes=4:info=0 hevc_10bit.mkv
ff $(src 128x96 24 1.5) -vf noise=alls=12:all_seed=6:allf=t -pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:pools=1:frame-threads=1:keyint=18:bframes=7:temporal-layers=1:info=0 hevc_layers.mkv
ff $(src 96x64 24 1.5) -pix_fmt yuv420p -c:v libvpx-vp9 -threads 1 -b:v 60k -g 12 -lag-in-frames 12 -auto-alt-ref 1 vp9.webm
ff $(src 96x64 24 1.5) -pix_fmt yuv420p -c:v libvpx -threads 1 -b:v 60k -g 12 -lag-in-frames 12 -auto-alt-ref 1 vp8.webm
ff $(src 96x64 24 1.5) -pix_fmt yuv420p -c:v libaom-av1 -threads 1 -b:v 60k -cpu-used 6 -g 12 -lag-in-frames 12 av1.mp4
ff $(src 96x64 24 1) -pix_fmt yuv420p -c:v libsvtav1 -svtav1-params lp=1:keyint=16 -preset 8 -crf 45 av1_svt.mkv
ff $(src 96x64 24 1.5) -pix_fmt yuv420p -c:v mpeg4 -threads 1 -b:v 150k -g 12 -bf 2 mpeg4.mp4
ff $(src 96x64 10 0.8) -pix_fmt yuvj422p -c:v mjpeg -threads 1 -q:v 8 mjpeg.mov
ff $(src 64x48 10 0.5) -pix_fmt pal8 -c:v png png_pal.mov
ff $(src 64x48 10 0.5) -pix_fmt rgb48be -c:v png png_rgb48.mov
ff $(src 64x48 10 0.5) -pix_fmt gray10le -c:v ffv1 -threads 1 -level 3 ffv1_gray10.mkv
ff $(src 64x48 10 0.5) -pix_fmt yuva420p -c:v ffv1 -threads 1 -level 3 -g 3 ffv1_alpha.mkv
ff $(src 96x64 10 1) -pix_fmt yuv420p -c:v mpeg4 -threads 1 -bf 2 -g 6 mpeg4.avi
# A codec that is not on the list.
ff $(src 32x32 10 0.2) -c:v huffyuv huffyuv.mkv
# Fragments.
ff -i h264_bframes.mp4 -c copy -movflags +frag_keyframe+empty_moov+default_base_moof h264_fragments.mp4
# Sound and video, sound alone, sound with a cover, protected, cut off.
ff -f lavfi -i sine=440:d=0.5 -i h264_single.mp4 $(src 96x64 10 0.5) -map 0:a -map 2:v -c:a aac -b:a 32k -pix_fmt yuv420p $x264 h264_aac.mp4
ff -f lavfi -i sine=440:d=0.3 -c:a aac -b:a 32k audio.mp4
ff -f lavfi -i color=red:s=32x32:d=0.1:r=10 -frames:v 1 cover.png
ff -f lavfi -i sine=440:d=0.3 -i cover.png -map 0 -map 1 -c:a aac -b:a 32k -c:v copy -disposition:v:0 attached_pic cover.m4a
rm -f cover.png
ff -i h264_nob.mp4 -t 0.5 -c copy -encryption_scheme cenc-aes-ctr -encryption_key 00112233445566778899aabbccddeeff -encryption_kid 112233445566778899aabbccddeeff00 h264_cenc.mp4
ff -i h264_bframes.mp4 -c copy -movflags +faststart faststart.tmp.mp4
head -c $(($(stat -c %s faststart.tmp.mp4) * 2 / 3)) faststart.tmp.mp4 >h264_cut.mp4
rm -f faststart.tmp.mp4
head -c $(($(stat -c %s h264_vfr.mkv) * 2 / 3)) h264_vfr.mkv >h264_cut.mkv
head -c 4000 h264_bframes.mp4 >h264_nomoov.mp4
# More than 8 bits, in every codec that has them, and colours of all kinds.
x265="-c:v libx265 -x265-params log-level=none:pools=1:frame-threads=1:keyint=12:info=0"
ff $(src 96x64 10 1) -vf "scale=out_color_matrix=bt709,format=yuv422p10le" $x264 -bf 2 -colorspace bt709 -color_primaries bt709 -color_trc bt709 h264_422_10.mp4
ff $(src 96x64 10 1) -vf "scale=out_color_matrix=bt709:out_range=pc,format=yuv444p10le" $x264 -bf 2 -color_range pc -colorspace bt709 -color_primaries bt709 -color_trc bt709 h264_444_10_full.mkv
ff $(src 96x64 10 1) -vf "scale=out_color_matrix=bt2020nc,format=yuv420p12le" $x265 -colorspace bt2020nc -color_primaries bt2020 -color_trc bt2020-12 hevc_12bit.mkv
ff $(src 96x64 10 1) -pix_fmt yuv422p12le $x265 hevc_422_12.mkv
ff $(src 96x64 10 1) -pix_fmt yuv444p10le $x265 -tag:v hvc1 hevc_444_10.mp4
ff $(src 96x64 10 1) -pix_fmt gbrp10le $x265 hevc_gbr10.mkv
ff $(src 96x64 10 1) -pix_fmt yuv420p10le -c:v libvpx-vp9 -threads 1 -b:v 60k vp9_10bit.webm
ff $(src 96x64 10 1) -pix_fmt yuv444p12le -c:v libvpx-vp9 -threads 1 -b:v 60k vp9_444_12.webm
ff $(src 96x64 10 1) -pix_fmt yuv420p10le -c:v libaom-av1 -threads 1 -b:v 60k -cpu-used 6 av1_10bit.mp4
ff $(src 64x48 10 0.3) -pix_fmt yuv422p12le -c:v ffv1 -threads 1 -level 3 ffv1_422_12.mkv
# Chroma samples on the top left luma sample, as on UHD discs.
ff $(src 96x64 10 1) -pix_fmt yuv420p $x264 -bf 2 -x264-params chromaloc=2 h264_topleft.mkv
# High dynamic range, tagged in full and but for the transfer.
ff $(src 96x64 10 1) -vf "scale=out_color_matrix=bt2020nc,format=yuv420p10le" $x265:repeat-headers=1 -tag:v hvc1 -colorspace bt2020nc -color_primaries bt2020 -color_trc smpte2084 hevc_pq.mp4
ff $(src 96x64 10 1) -vf "scale=out_color_matrix=bt2020nc,format=yuv420p10le" $x265 -colorspace bt2020nc -color_primaries bt2020 -color_trc arib-std-b67 hevc_hlg.mkv
ff $(src 96x64 10 1) -pix_fmt yuv420p10le -c:v libaom-av1 -threads 1 -b:v 60k -cpu-used 6 -color_trc smpte2084 av1_pq.mp4
# Transparency: beside VP9's pictures, and in lossless ones.
ff $(src 96x64 10 1) -vf "format=yuva420p,geq=lum='p(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='X*2'" -c:v libvpx-vp9 -threads 1 -b:v 60k -auto-alt-ref 0 vp9_alpha.webm
ff $(src 64x48 10 0.3) -pix_fmt bgra -c:v ffv1 -threads 1 -level 3 ffv1_bgra.mkv
ff $(src 64x48 10 0.3) -pix_fmt yuva420p10le -c:v ffv1 -threads 1 -level 3 ffv1_alpha10.mkv
# Fields: the bottom one first, and films of which a part is interlaced.
ff $(src 96x96 50 0.6) -vf "interlace=scan=bff,setfield=bff" -pix_fmt yuv420p $x264 -flags +ilme+ildct -x264-params bff=1 -bf 2 h264_bff.mkv
ff $(src 96x96 50 0.4) -vf "interlace=scan=tff,setfield=tff" -pix_fmt yuv420p $x264 -flags +ilme+ildct -bf 0 -f h264 a.tmp
ff $(src 96x96 25 0.3) -pix_fmt yuv420p $x264 -bf 0 -f h264 b.tmp
cat b.tmp a.tmp b.tmp a.tmp >ab.tmp
ff -r 25 -f h264 -i ab.tmp -c copy -bsf:v setts=ts=N*40 -f matroska h264_mixed.mkv
# Sample aspect, depth, matrix and range change on the way.
ff $(src 96x64 10 0.4) -vf setsar=4/3 -pix_fmt yuv420p $x264 -bf 0 -f h264 a.tmp
ff $(src 96x64 10 0.4) -vf setsar=1 -pix_fmt yuv420p $x264 -bf 0 -f h264 b.tmp
cat a.tmp b.tmp >ab.tmp
ff -r 10 -f h264 -i ab.tmp -c copy -bsf:v setts=ts=N*9000 -muxdelay 0 -f mpegts h264_resar.ts
ff $(src 96x64 10 0.4) -pix_fmt yuv420p10le $x264 -bf 0 -f h264 a.tmp
cat b.tmp a.tmp >ab.tmp
ff -r 10 -f h264 -i ab.tmp -c copy -bsf:v setts=ts=N*100 -f matroska h264_redepth.mkv
ff $(src 96x64 10 0.4) -vf "scale=out_color_matrix=bt709:out_range=pc,format=yuvj420p" $x264 -color_range pc -colorspace bt709 -bf 0 -f h264 a.tmp
ff $(src 96x64 10 0.4) -pix_fmt yuv420p $x264 -color_range tv -colorspace smpte170m -bf 0 -f h264 b.tmp
cat b.tmp a.tmp >ab.tmp
ff -r 10 -f h264 -i ab.tmp -c copy -bsf:v setts=ts=N*100 -f matroska h264_recolour.mkv
ff $(src 96x64 10 0.4) -pix_fmt yuv420p -c:v libvpx-vp9 -threads 1 -b:v 60k a.tmp.webm
ff $(src 64x96 10 0.4) -pix_fmt yuv420p -c:v libvpx-vp9 -threads 1 -b:v 60k b.tmp.webm
printf 'file a.tmp.webm\nfile b.tmp.webm\n' >list.tmp
ff -f concat -i list.tmp -c copy vp9_resize.webm
rm -f a.tmp b.tmp ab.tmp a.tmp.webm b.tmp.webm list.tmp
# Cover art beside a film, and larger: MP4's metadata, an attachment of Matroska.
ff -f lavfi -i color=red:s=320x320:d=0.1:r=10 -frames:v 1 cover.png
ff -i cover.png -i h264_nob.mp4 -map 0 -map 1 -t 0.5 -c copy -disposition:v:0 attached_pic h264_cover.mp4
ff -i h264_nob.mp4 -t 0.5 -c copy -attach cover.png -metadata:s:t mimetype=image/png -metadata:s:t filename=cover.png h264_cover.mkv
rm -f cover.png
# Orientation: mirrored, mirrored and turned, an eighth of a turn (no orientation), by
# the track's matrix; and by the pictures' own message.
matrix() { # file, new matrix as 9 words: over the matrix of the one track
	perl -0777 -pi -e 'BEGIN { $m = pack "H*", join "", splice @ARGV, 1 } s/(tkhd.{40})(.{36})/$1$m/s' "$@"
}
z=00000000 p=00010000 n=ffff0000 w=40000000
for f in mirror mirror90 rot45; do ff -i h264_nob.mp4 -t 0.5 -c copy h264_$f.mp4; done
matrix h264_mirror.mp4 $n $z $z $z $p $z 00600000 $z $w
matrix h264_mirror90.mp4 $z $n $z $n $z $z $z $z $w
matrix h264_rot45.mp4 0000b505 0000b505 $z ffff4afb 0000b505 $z $z $z $w
ff -i h264_nob.mp4 -t 0.5 -c copy -bsf:v h264_metadata=display_orientation=insert:rotate=90:flip=horizontal h264_sei.mp4
# Times: a variable rate with B-frames in MP4 and FLV, a hole, a wrong average rate.
ff $(src 96x64 25 2) -vf "select='not(mod(n*n+n,7)-2)+lt(mod(n,11),3)+eq(n,0)'" -vsync passthrough -video_track_timescale 12800 -pix_fmt yuv420p $x264 -g 10 -bf 3 -b_strategy 0 h264_vfr.mp4
ff -i h264_vfr.mp4 -c copy h264_vfr.flv
ff -i h264_nob.mp4 -t 1 -c copy -bsf:v "setts=ts=PTS+gt(N\,6)*5/TB" h264_hole.mkv
ff -i h264_vfr.mp4 -c copy -r 100 h264_rate.mkv
# The film starts half a second after the sound; two edits, of which the second leaves
# frames out.
ff -f lavfi -i sine=440:d=0.8 -itsoffset 0.5 -i h264_nob.mp4 -map 0 -map 1 -t 1.2 -c:v copy -c:a aac -b:a 32k h264_delay.mp4
ff -itsoffset 0.5 -i h264_vfr.mp4 -c copy h264_edits.mp4
perl -0777 -pi -e 's/(elst\0{7}\x02).{24}/$1 . pack "NNNNNN", 500, 0x800, 65536, 400, 0x4400, 65536/es' h264_edits.mp4
# Two frames of one time, times in decoding order, times that the container leaves out.
ff -i h264_nob.mp4 -t 1 -c copy -bsf:v "setts=ts=(N-eq(mod(N\,4)\,3))*66/1000/TB" h264_twins.mkv
ff -i h264_vfr.mp4 -c copy -bsf:v setts=pts=DTS h264_dts.mkv
ff -i h264_vfr.mp4 -c copy h264_vfr.avi
# A clock of 33 bits that wraps within the film, one that starts over, and one that is
# told for the first of each three frames only.
ff -i h264_vfr.mp4 -c copy -muxdelay 0 -output_ts_offset 95442.6 h264_wrap.ts
ff -i h264_nob.mp4 -t 0.4 -c copy -muxdelay 0 a.tmp.ts
ff -i h264_nob.mp4 -t 1.5 -c copy -muxdelay 0 b.tmp.ts
cat b.tmp.ts a.tmp.ts >h264_restart.ts
ff -i h264_nob.mp4 -t 1 -c copy -muxdelay 0 h264_untimed.ts
perl -0777 -pi -e 's/(\0\0\1\xe0..\x80)(.)/$1 . ($i++ % 3 ? chr(ord($2) & 0x3f) : $2)/ges' h264_untimed.ts
rm -f a.tmp.ts b.tmp.ts
# A little film: a slow zoom into the Mandelbrot set, 720p.
ff -f lavfi -i "mandelbrot=s=1280x720:rate=24:start_scale=3:end_scale=0.05:end_pts=140" -t 5 -vf "scale=out_color_matrix=bt709,format=yuv420p" $x264 -crf 43 -g 48 -colorspace bt709 -color_primaries bt709 -color_trc bt709 demo_720p.mp4
