// Package still decodes still images and animations to 8-bit RGB [codecs.Frame]s
// whose pixels equal those that Pillow gives for the same file
// (Image.open, ImageOps.exif_transpose, convert("RGB")), since those are what the
// models' own processors were fed. Where a service should differ, because Pillow
// loses something, the default differs and an [Options] field restores Pillow:
// alpha is composited over a colour instead of dropped, and 16-bit gray keeps its
// high byte instead of being clipped to white.
//
// Each container has one exact decoder, called by name after our own walk of the
// file's structure has checked it against [codecs.Limits]:
//
//	jpeg  libjpeg-turbo (cgo)          Equal bits need this very decoder.
//	webp  libwebp, libwebpdemux (cgo)  Likewise: its fancy chroma upsampling.
//	png   ours, over klauspost zlib    Lossless; see png.go for why not image/png.
//	gif   ours, over compress/lzw      Frames one at a time, composited as Pillow does.
//	avif  libdav1d through FFmpeg      Container read by us, matrix by libavif's rule.
//	bmp, tiff  golang.org/x/image      Off unless Options enable them.
//
// image.Decode and imaging.Open are never used: they pick decoders from a global
// registry that any import may extend.
//
// Nothing here reads or writes global state, apart from the count of live C
// objects that [Live] reports to leak tests.
package still
