#!/usr/bin/env python3
"""Makes golden values with the real software. Writes beside itself, only what is named:

  make.py resample   resample-cases.json   Pillow 11.3.0
  make.py pillow13   its pillow13 hashes   Pillow 13.0.0, in an environment of its own
  make.py dtypes     dtype-cases.json      numpy 2.1.3, ml_dtypes 0.6.0
  make.py tokens     language-cases.json   transformers 4.57.6
  make.py picks      pick-cases.json       transformers 4.57.6

transformers is installed without torch: its processors' counting and indexing
functions are called by themselves, so that no model and no tokenizer is needed.
"""
import ast
import hashlib
import importlib.util
import json
import math
import os
import sys
import types

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(HERE, name)


def sha(b):
    return hashlib.sha256(b).hexdigest()


def write(name, head, **rows):
    """One row a line, so that a change shows."""
    with open(path(name), "w") as f:
        f.write('{"made_with": ' + json.dumps(head))
        for key, value in rows.items():
            f.write(',\n"%s": [\n' % key + ",\n".join(json.dumps(r, separators=(",", ":")) for r in value) + "\n]")
        f.write("}\n")


# --- Pillow's resize -----------------------------------------------------------
def noise(width, height, seed):
    """Random bytes, a quarter of them 0 and a quarter 255, so that kernels overshoot."""
    out = bytearray(width * height * 3)
    for i in range(len(out)):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = (0, 255, seed >> 24, seed >> 24)[seed >> 8 & 3]
    return bytes(out)


SIZES = [  # width, height, to width, to height: odd sides, extreme aspects, one side kept
    (1, 1, 7, 5), (7, 5, 1, 1), (17, 31, 5, 3), (17, 31, 40, 90), (97, 61, 96, 60), (97, 61, 97, 20),
    (97, 61, 30, 61), (64, 48, 64, 48), (1000, 5, 80, 16), (5, 1000, 16, 80), (3, 400, 9, 7), (400, 3, 7, 9),
    (123, 345, 100, 33), (345, 123, 33, 100), (201, 200, 67, 50), (1, 300, 5, 30), (300, 1, 30, 5),
    (33, 33, 199, 3), (33, 33, 3, 199), (251, 241, 14, 14), (2, 2, 3, 211), (640, 2, 641, 1), (1, 9, 3, 1),
    (2, 3, 64, 65), (5, 5, 4, 4), (1000, 3, 7, 9), (3, 1000, 96, 16), (199, 301, 33, 302), (300, 200, 224, 149),
    (333, 41, 1, 1), (640, 360, 224, 224), (500, 400, 250, 200), (128, 128, 128, 64), (128, 128, 97, 128),
]
FILTERS = {"bilinear": 2, "bicubic": 3, "lanczos": 1, "box": 4}


def resized(c):
    from PIL import Image
    im = Image.frombytes("RGB", (c["width"], c["height"]), noise(c["width"], c["height"], c["seed"]))
    return sha(im.resize((c["to_width"], c["to_height"]), FILTERS[c["filter"]]).tobytes())


def resample():
    import PIL
    cases = []
    for n, (w, h, tw, th) in enumerate(SIZES):
        for f in FILTERS:
            c = {"width": w, "height": h, "seed": n + 1, "to_width": tw, "to_height": th, "filter": f}
            cases.append(c | {"rgb_sha256": resized(c)})
    write("resample-cases.json", {"pillow": PIL.__version__}, cases=cases)


def pillow13():
    import PIL
    with open(path("resample-cases.json")) as f:
        doc = json.load(f)
    for c in doc["cases"]:
        c.pop("pillow13_sha256", None)
        if (got := resized(c)) != c["rgb_sha256"]:
            c["pillow13_sha256"] = got
    write("resample-cases.json", doc["made_with"] | {"pillow13": PIL.__version__}, cases=doc["cases"])


# --- dtypes ---------------------------------------------------------------------
CONSTANTS = {
    "half": ([0.5] * 3, [0.5] * 3),
    "clip": ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def dtypes():
    import ml_dtypes
    kinds = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2"), "bfloat16": np.dtype(ml_dtypes.bfloat16)}

    def hashes(v):
        return {k: sha(v.astype(d).tobytes()) for k, d in kinds.items()}

    tables = []
    for name, (mean, std) in CONSTANTS.items():  # rows of 256 by channel, as the slow processors compute
        b = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
        v = np.stack([(b - np.float32(m)) / np.float32(s) for m, s in zip(mean, std)])
        tables.append({"name": name, "mean": mean, "std": std} | hashes(v))
    # Bits by a generator, numbers that are none left out: casts are free to choose their bits.
    bits, seed = [], 1
    while len(bits) < 200_000:
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        if seed >> 23 & 255 != 255:
            bits.append(seed)
    with np.errstate(over="ignore"):
        v = np.array(bits, np.uint32).view(np.float32)
        casts = [{"count": len(bits)} | hashes(v)]
    write("dtype-cases.json", {"numpy": np.__version__, "ml_dtypes": ml_dtypes.__version__}, tables=tables, casts=casts)


# --- tokens in the language model -------------------------------------------------
def bound(cls, **fields):
    """The processor's methods on an object that has these fields only."""
    o = types.SimpleNamespace(**fields)
    for n in dir(cls):
        if n.startswith("_get_"):
            setattr(o, n, types.MethodType(getattr(cls, n), o))
    return o


def tokens():
    import transformers
    from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor
    from transformers.models.pixtral.processing_pixtral import PixtralProcessor
    rng = np.random.default_rng(5)
    sizes = [(1, 1), (31, 17), (480, 640), (1080, 1920), (1920, 1080), (1000, 333), (336, 336), (337, 335), (672, 672)]
    sizes += [tuple(int(v) for v in rng.integers(1, 2000, 2)) for _ in range(250)]
    sizes += [tuple(int(v) for v in rng.integers(1, 40, 2)) for _ in range(60)]
    llava = []
    for tile, additional, strategy in ((336, 1, "default"), (384, 0, "full")):
        grid = [[a * tile, b * tile] for a, b in ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))]
        images = types.SimpleNamespace(image_grid_pinpoints=grid, size={"shortest_edge": tile})
        p = bound(LlavaNextProcessor, image_processor=images, patch_size=14, num_additional_image_tokens=additional,
                  vision_feature_select_strategy=strategy)
        counts = p._get_num_multimodal_tokens(sizes + [(5, 1000), (1000, 5)])["num_image_tokens"]
        llava += [[tile, *s, n] for s, n in zip(sizes + [(5, 1000), (1000, 5)], counts)]
    pixtral = []
    for longest in (128, 1024):
        images = types.SimpleNamespace(size={"longest_edge": longest})
        p = bound(PixtralProcessor, image_processor=images, patch_size=16, spatial_merge_size=1)
        # Heights of 1 and 3 it takes for channels here; its image processor, told not to, does not.
        some = [s for s in sizes if max(s) < 60 * min(s) and s[0] not in (1, 3)]
        pixtral += [[longest, *s, n] for s, n in zip(some, p._get_num_multimodal_tokens(some)["num_image_tokens"])]
    write("language-cases.json", {"transformers": transformers.__version__, "rows": "tile or longest edge, height, width, tokens"},
          llava_next=llava, pixtral=pixtral)


# --- which frames -------------------------------------------------------------------
class Torch:
    """What the sampling functions use of torch: arange of floats, which is float32."""
    class Ints(list):
        def int(self):
            return [int(v) for v in self]

    @classmethod
    def arange(cls, start, end, step):
        return cls.Ints(np.float32(start + i * step) for i in range(math.ceil((end - start) / step)))


def sampler(model):
    """The real sample_frames, out of a module that can not be imported without torch."""
    where = os.path.dirname(importlib.util.find_spec("transformers").origin)
    with open(os.path.join(where, "models", model, f"video_processing_{model}.py")) as f:
        tree = ast.parse(f.read())
    fn = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "sample_frames")
    fn.decorator_list, fn.returns = [], None
    for a in fn.args.args:
        a.annotation = None
    scope = {"math": math, "np": np, "torch": Torch}
    exec(compile(ast.Module([fn], []), model, "exec"), scope)
    return scope["sample_frames"]


def picks():
    import transformers
    qwen2, qwen3 = sampler("qwen2_vl"), sampler("qwen3_vl")

    def run(fn, total, rate, fps, low, high):
        me = types.SimpleNamespace(fps=2, num_frames=None, temporal_patch_size=2, min_frames=low, max_frames=high)
        try:
            got = fn(me, types.SimpleNamespace(total_num_frames=total, fps=rate), fps=fps)
        except ZeroDivisionError:
            return None
        # The one index past the end is what the tests expect to be the last frame.
        return [min(int(i), total - 1) for i in got]

    rates = [(1, 1), (8, 1), (25, 2), (2997, 125), (24, 1), (25, 1), (2997, 100), (30, 1), (60, 1)]
    shown = {(1, (30, 1)), (3, (30, 1)), (4, (30, 1)), (5, (25, 1)), (16, (8, 1)), (100, (30, 1)), (101, (2997, 100)),
             (250, (25, 1)), (1499, (2997, 125)), (30, (1, 1)), (90000, (60, 1))}
    grid = sorted(shown | {(t, r) for t in range(1, 400, 7) for r in rates})
    jobs = [(t, r, (2, 1), 4, 768) for t, r in grid]
    jobs += [(t, r, fps, low, high) for t in (2, 9, 77, 640, 5003) for r in ((25, 1), (30000, 1001))
             for fps in ((1, 2), (1, 1), (4, 1), (24000, 1001)) for low, high in ((2, 16), (4, 1024), (32, 33))]
    rows = []
    for total, r, fps, low, high in jobs:
        row = [total, *r, *fps, low, high]
        for fn in (qwen2, qwen3):
            got = run(fn, total, r[0] / r[1], fps[0] / fps[1], low, high)
            row += [-1, ""] if got is None else [len(got), sha(np.array(got, "<i4").tobytes())[:16]]
        rows.append(row)
    write("pick-cases.json", {"transformers": transformers.__version__, "rows": "frames, frames a second (2), rate (2), "
          "min_frames, max_frames; for Qwen2-VL and for Qwen3-VL: count and SHA-256 of the indices as int32, its first 16 "
          "digits; -1 where the processor divides by zero"}, cases=rows)


if __name__ == "__main__":
    jobs = {f.__name__: f for f in (resample, pillow13, dtypes, tokens, picks)}
    if len(sys.argv) < 2 or any(a not in jobs for a in sys.argv[1:]):
        sys.exit(__doc__)
    for a in sys.argv[1:]:
        jobs[a]()
