#!/usr/bin/env python3
"""Makes the odd pictures in this folder and oracle.json, what Pillow sees in them.

    python3 -m venv venv && venv/bin/pip install pillow==11.3.0
    venv/bin/python make.py

Needs a C compiler with libjpeg-turbo's headers (for JPEGs that Pillow does not
write) and ffmpeg with libaom (for 10-bit AVIF). The files are committed, so only a
change of the set calls for a new run. golden/ and golden.json are not made here:
they come with the tokenizer specification's golden data.

oracle.json: for each file, for each frame, the size and sha256 of
ImageOps.exif_transpose(frame).convert("RGB"), the duration in ms, and, for pictures
with alpha, "over": the same pasted over white with its alpha as the mask.
"""
import hashlib
import io
import json
import os
import struct
import subprocess
import tempfile
import zlib

from PIL import Image, ImageDraw, ImageOps, PngImagePlugin

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "odd")


def scene(w, h, seed=1):
    """Hard and soft parts, saturated edges, and noise."""
    im = Image.new("RGB", (w, h))
    px = im.load()
    state = seed
    for y in range(h):
        for x in range(w):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            n = state >> 24 & 15
            px[x, y] = ((x * 255 // w + n) & 255, (y * 255 // h + n) & 255, ((x * y) // 7 + n) & 255)
    if w < 8:
        return im
    d = ImageDraw.Draw(im)
    d.rectangle([w // 8, h // 8, w // 3, h // 2], fill=(255, 0, 0))
    d.ellipse([w // 2, h // 4, w - 3, h - 3], fill=(0, 0, 255), outline=(255, 255, 0))
    d.line([0, h - 1, w - 1, 0], fill=(0, 255, 0), width=2)
    return im


def with_alpha(im):
    w, h = im.size
    a = Image.new("L", im.size)
    a.putdata([(x * 255 // (w - 1)) if y % 5 else 0 for y in range(h) for x in range(w)])
    im = im.copy()
    im.putalpha(a)
    return im


def exif(n):
    e = Image.Exif()
    e[0x0112] = n
    return e.tobytes()


JPEG_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <jpeglib.h>
// in: raw pixels on stdin; args: width height components hsamp vsamp mode
int main(int n, char **a) {
    int w = atoi(a[1]), h = atoi(a[2]), c = atoi(a[3]), mode = a[6][0];
    struct jpeg_compress_struct j; struct jpeg_error_mgr e;
    unsigned char *row = malloc(w * c);
    j.err = jpeg_std_error(&e); jpeg_create_compress(&j); jpeg_stdio_dest(&j, stdout);
    j.image_width = w; j.image_height = h; j.input_components = c;
    j.in_color_space = c == 4 ? JCS_CMYK : c == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&j); jpeg_set_quality(&j, 88, TRUE);
    if (mode == 'k') jpeg_set_colorspace(&j, JCS_YCCK);
    if (mode == 'r') jpeg_set_colorspace(&j, JCS_RGB);
    if (mode == 'a') j.arith_code = TRUE;
    if (mode == 'p') jpeg_simple_progression(&j);
    if (mode == 'i') j.restart_interval = 3;
    j.comp_info[0].h_samp_factor = atoi(a[4]); j.comp_info[0].v_samp_factor = atoi(a[5]);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) { fread(row, 1, w * c, stdin); jpeg_write_scanlines(&j, &row, 1); }
    jpeg_finish_compress(&j); return 0;
}
"""


def jpegs():
    with tempfile.TemporaryDirectory() as d:
        src, exe = os.path.join(d, "j.c"), os.path.join(d, "j")
        open(src, "w").write(JPEG_C)
        subprocess.run(["cc", "-O1", "-w", "-o", exe, src, "-ljpeg"], check=True)

        def put(name, im, h, v, mode="-"):
            r = subprocess.run([exe, str(im.width), str(im.height), str(len(im.getbands())), str(h), str(v), mode],
                               input=im.tobytes(), stdout=subprocess.PIPE, check=True)
            open(os.path.join(OUT, name), "wb").write(r.stdout)

        im = scene(83, 61)
        put("j422.jpg", im, 2, 1)
        put("j440.jpg", im, 1, 2)
        put("j411.jpg", im, 4, 1)
        put("j410.jpg", im, 4, 2)
        put("j420_restart.jpg", im, 2, 2, "i")
        put("j420_arithmetic.jpg", im, 2, 2, "a")
        put("j444_progressive.jpg", im, 1, 1, "p")
        put("jrgb.jpg", im, 1, 1, "r")
        put("jgray_progressive.jpg", im.convert("L"), 1, 1, "p")
        put("jycck.jpg", im.convert("CMYK"), 2, 2, "k")
        put("jone.jpg", scene(1, 1), 2, 2)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="8"/></x:xmpmeta>'
    scene(40, 30).save(os.path.join(OUT, "jxmp8.jpg"), xmp=xmp)
    scene(40, 30).save(os.path.join(OUT, "jexif9.jpg"), exif=exif(9))
    scene(40, 30).save(os.path.join(OUT, "jexif3_xmp8.jpg"), exif=exif(3), xmp=xmp)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(name, w, h, depth, colour, rows, before=b"", after=b"", interlace=0):
    """rows: each pixel row as packed bytes, or for interlace the passes' rows."""
    raw = b"".join(b"\0" + r for r in rows)
    body = zlib.compress(raw, 9)
    data = chunk(b"IDAT", body[: len(body) // 2]) + chunk(b"IDAT", b"") + chunk(b"IDAT", body[len(body) // 2:])
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlace))
                + before + data + after + chunk(b"IEND", b""))


def pack(values, depth):
    bits = "".join(format(v, "0%db" % depth) for v in values)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def pngs():
    w, h = 21, 13
    at = lambda x, y: (x * 37 + y * 101 + x * y) & 0xFFFF
    grid = lambda depth: [[at(x, y) & ((1 << depth) - 1) for x in range(w)] for y in range(h)]
    plte = chunk(b"PLTE", bytes((i * 53 + c * 91) & 255 for i in range(16) for c in range(3)))
    for depth in (2, 4):
        png(f"p_gray{depth}.png", w, h, depth, 0, [pack(r, depth) for r in grid(depth)])
    for depth in (1, 2, 4):
        png(f"p_palette{depth}.png", w, h, depth, 3, [pack(r, depth) for r in grid(depth)], before=plte)
    png("p_palette_short.png", w, h, 8, 3, [pack([v & 31 for v in r], 8) for r in grid(8)], before=plte)
    png("p_gray8_key.png", w, h, 8, 0, [pack([v & 3 for v in r], 8) for r in grid(8)], before=chunk(b"tRNS", b"\0\2"))
    png("p_gray2_key.png", w, h, 2, 0, [pack(r, 2) for r in grid(2)], before=chunk(b"tRNS", b"\0\1"))
    rgb = [[v for x in range(w) for v in ((at(x, y) & 3), 7, 9)] for y in range(h)]
    png("p_rgb8_key.png", w, h, 8, 2, [bytes(r) for r in rgb], before=chunk(b"tRNS", struct.pack(">HHH", 2, 7, 9)))
    png("p_rgba16.png", w, h, 16, 6,
        [b"".join(struct.pack(">HHHH", at(x, y) * 7 & 0xFFFF, at(y, x) * 11 & 0xFFFF, x * 3000, y * 5000) for x in range(w))
         for y in range(h)])
    png("p_grayalpha16.png", w, h, 16, 4,
        [b"".join(struct.pack(">HH", at(x, y) * 7 & 0xFFFF, x * 3000) for x in range(w)) for y in range(h)])
    for iw, ih in ((21, 13), (1, 1), (3, 2), (5, 9)):
        rows = [bytes(v & 255 for x in range(x0, iw, dx) for v in (at(x, y), x * 9, y * 19))
                for x0, y0, dx, dy in ADAM7 for y in range(y0, ih, dy) if x0 < iw]
        png(f"p_adam7_{iw}x{ih}.png", iw, ih, 8, 2, rows, interlace=1)
    rows = [pack([at(x, y) & 1 for x in range(x0, w, dx)], 1) for x0, y0, dx, dy in ADAM7 for y in range(y0, h, dy)]
    png("p_adam7_bilevel.png", w, h, 1, 0, rows, interlace=1)
    plain = [bytes(v & 255 for x in range(w) for v in (at(x, y), x * 9, y * 19)) for y in range(h)]
    png("p_exif_late.png", w, h, 8, 2, plain, after=chunk(b"eXIf", exif(6)[6:]))
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="5"/>')
    scene(21, 13).save(os.path.join(OUT, "p_xmp5.png"), pnginfo=info)
    scene(24, 16).save(os.path.join(OUT, "p_apng.png"), save_all=True, append_images=[scene(24, 16, 2)], duration=50)


def lzw(indices):
    """GIF LZW without compression: 9-bit codes, cleared before they would grow."""
    codes = []
    for i, v in enumerate(indices):
        if i % 250 == 0:
            codes.append(256)
        codes.append(v)
    codes.append(257)
    acc = n = 0
    out = bytearray()
    for c in codes:
        acc |= c << n
        n += 9
        while n >= 8:
            out.append(acc & 255)
            acc >>= 8
            n -= 8
    if n:
        out.append(acc & 255)
    return b"\x08" + b"".join(bytes([len(out[i:i + 255])]) + out[i:i + 255] for i in range(0, len(out), 255)) + b"\0"


def palette(seed, n=8):
    return bytes((i * 67 + c * 113 + seed * 41) & 255 for i in range(n) for c in range(3))


def gif(name, w, h, frames, background=3, glob=palette(0)):
    """frames: dicts of box, indices, and disposal, delay, key, local, interlaced."""
    b = b"GIF89a" + struct.pack("<HHBBB", w, h, 0xF2 if glob else 0x70, background, 0) + (glob or b"")
    for f in frames:
        x, y, fw, fh = f["box"]
        flags = f.get("disposal", 0) << 2 | (1 if "key" in f else 0)
        b += b"!\xf9\x04" + struct.pack("<BHB", flags, f.get("delay", 5), f.get("key", 0)) + b"\0"
        b += b"," + struct.pack("<HHHH", x, y, fw, fh)
        b += bytes([(0x82 if "local" in f else 0) | (0x40 if f.get("interlaced") else 0)]) + f.get("local", b"")
        rows = [f["indices"][i * fw:(i + 1) * fw] for i in range(fh)]
        if f.get("interlaced"):
            rows = [rows[i] for s, d in ((0, 8), (4, 8), (2, 4), (1, 2)) for i in range(s, fh, d)]
        b += lzw([v for r in rows for v in r])
    open(os.path.join(OUT, name), "wb").write(b + b";")


def gifs():
    w, h = 30, 20
    pat = lambda fw, fh, k: [(x * k + y * 3 + x * y) % 8 for y in range(fh) for x in range(fw)]
    full = dict(box=(0, 0, w, h), indices=pat(w, h, 1))
    part = lambda k, **kw: dict(box=(3 + k, 2 + k, 14, 9), indices=pat(14, 9, k), **kw)
    for d in (0, 1, 2, 3):
        gif(f"g_disposal{d}.gif", w, h, [dict(full, disposal=d), part(1, disposal=d), part(3, disposal=d), part(5, disposal=d)])
        gif(f"g_disposal{d}_key.gif", w, h,
            [dict(full, disposal=d, key=2)] + [part(k, disposal=d, key=k) for k in (1, 3, 5)])
    gif("g_mixed.gif", w, h, [dict(full, disposal=1), part(1, disposal=2, key=1), part(3, disposal=3, key=2, local=palette(5)),
                              part(5), part(2, disposal=2, local=palette(9)), part(4, disposal=1, key=4)])
    gif("g_first_small.gif", w, h, [part(1), part(3, key=0)])
    gif("g_first_small_key.gif", w, h, [part(1, key=4), part(3, key=0)])
    gif("g_first_disposal2_small.gif", w, h, [part(2, disposal=2), part(4)])
    gif("g_larger_than_screen.gif", 10, 8, [dict(box=(0, 0, w, h), indices=pat(w, h, 1))])
    gif("g_interlaced.gif", w, h, [dict(full, interlaced=True)])
    gif("g_interlaced_low.gif", w, 3, [dict(box=(0, 0, w, 3), indices=pat(w, 3, 1), interlaced=True)])
    gif("g_no_palette.gif", w, h, [full], glob=None)
    gif("g_short_palette.gif", w, h, [dict(full, indices=[v * 3 for v in pat(w, h, 1)])])
    gif("g_delays.gif", w, h, [dict(full, delay=0), part(1, delay=1), part(2, delay=2), part(3, delay=300)])
    scene(60, 40).quantize(64).save(os.path.join(OUT, "g_pillow.gif"))


def webps():
    im, a = scene(83, 61), with_alpha(scene(83, 61))
    p = lambda n: os.path.join(OUT, n)
    im.save(p("w_lossy.webp"), quality=70)
    im.save(p("w_lossy_q10.webp"), quality=10)
    im.save(p("w_lossless.webp"), lossless=True)
    a.save(p("w_lossy_alpha.webp"), quality=70)
    a.save(p("w_lossless_alpha.webp"), lossless=True, exact=True)
    im.save(p("w_exif6.webp"), quality=70, exif=exif(6))
    im.save(p("w_xmp3.webp"), quality=70, xmp=b'<x tiff:Orientation="3"/>')
    scene(1, 1).save(p("w_one.webp"), quality=70)
    more = []
    for k in range(1, 4):
        f = a.copy()
        ImageDraw.Draw(f).rectangle([k * 12, 10, k * 12 + 20, 40], fill=(250, k * 60, 0, 255))
        more.append(f)
    a.save(p("w_anim_alpha.webp"), save_all=True, append_images=more, duration=[40, 0, 100, 15], quality=60)
    im.save(p("w_anim_lossless.webp"), save_all=True, append_images=[m.convert("RGB") for m in more], duration=40, lossless=True)


def avifs():
    im, p = scene(83, 61), lambda n: os.path.join(OUT, n)
    for s in ("4:2:0", "4:2:2", "4:4:4", "4:0:0"):
        im.save(p("a_%s.avif" % s.replace(":", "")), quality=70, subsampling=s)
        im.save(p("a_%s_limited.avif" % s.replace(":", "")), quality=70, subsampling=s, range="limited")
    with_alpha(im).save(p("a_alpha.avif"), quality=70)
    with_alpha(im).save(p("a_alpha_multiplied.avif"), quality=70, alpha_premultiplied=True)
    for o in range(2, 9):
        scene(40, 30).save(p(f"a_orient{o}.avif"), quality=60, exif=exif(o))
    im.save(p("a_sequence.avif"), quality=60, save_all=True, append_images=[scene(83, 61, 5)], duration=100)
    with tempfile.TemporaryDirectory() as d:
        im.save(d + "/x.png")
        for name, args in (("a_10bit.avif", ["-pix_fmt", "yuv420p10le"]),
                           ("a_709.avif", ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv420p", "-colorspace", "bt709"])):
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", d + "/x.png"] + args
                           + ["-c:v", "libaom-av1", "-still-picture", "1", "-crf", "20", "-f", "avif", p(name)], check=True)


def plain():
    im, p = scene(37, 23), lambda n: os.path.join(OUT, n)
    im.save(p("b_rgb.bmp"))
    im.quantize(16).save(p("b_palette.bmp"))
    im.convert("L").save(p("b_gray.bmp"))
    for c in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        im.save(p(f"t_rgb_{c or 'raw'}.tif"), compression=c)
    im.convert("L").save(p("t_gray.tif"))
    im.convert("1").save(p("t_bilevel.tif"))
    im.quantize(16).save(p("t_palette.tif"))
    with_alpha(im).save(p("t_rgba.tif"))
    im.convert("CMYK").save(p("t_cmyk.tif"))
    im.save(p("t_exif6.tif"), tiffinfo={274: 6})


def oracle():
    out = []
    for name in sorted(os.listdir(OUT)):
        frames = []
        im = Image.open(os.path.join(OUT, name))
        for k in range(getattr(im, "n_frames", 1)):
            im.seek(k)
            t = ImageOps.exif_transpose(im)
            rgb = t.convert("RGB")
            f = {"width": rgb.width, "height": rgb.height, "sha256": hashlib.sha256(rgb.tobytes()).hexdigest()}
            if "duration" in im.info:
                f["ms"] = round(im.info["duration"])
            if t.mode in ("RGBA", "LA", "PA") or "transparency" in t.info:
                rgba, white = t.convert("RGBA"), Image.new("RGB", t.size, "white")
                white.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
                f["over"] = hashlib.sha256(white.tobytes()).hexdigest()
            frames.append(f)
        out.append({"name": name, "mode": im.mode, "frames": frames})
    with open(os.path.join(HERE, "oracle.json"), "w") as f:
        f.write("[\n" + ",\n".join("  " + json.dumps(o) for o in out) + "\n]\n")


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    for make in (jpegs, pngs, gifs, webps, avifs, plain, oracle):
        make()
