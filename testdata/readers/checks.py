"""What the readers here have in common: faults that are gathered, shards, and arrays."""
import io
import json
import os
import sys

import numpy as np


class Faults:
    """Gathers faults; a run with one ends with exit code 1."""

    def __init__(self, most=20):
        self.texts, self.most = [], most

    def add(self, where, what):
        self.texts.append(f"{where}: {what}")

    def finish(self, summary):
        """Prints the faults for people and the summary as one JSON line for programs."""
        for text in self.texts[: self.most]:
            print("FAULT", text, file=sys.stderr)
        print(json.dumps({**summary, "faults": self.texts[: self.most], "fault_count": len(self.texts)}, sort_keys=True))
        return 1 if self.texts else 0


def shards_of(places, ending, faults):
    """The shard files of folders, files and lists of paths (relative to the list)."""
    found = []
    for p in places:
        if os.path.isdir(p):
            found += sorted(os.path.join(d, n) for d, _, names in os.walk(p) for n in names if n.endswith(ending))
        elif p.endswith(".txt"):
            with open(p) as f:
                found += [os.path.join(os.path.dirname(p), line) for line in f.read().split()]
        else:
            found.append(p)
    if not found:
        faults.add(" ".join(places), "no shards")
    return found


def load_npy(data):
    """The array of a .npy file: no pickles, nothing behind its end, native byte order."""
    f = io.BytesIO(data)
    a = np.lib.format.read_array(f, allow_pickle=False)
    if f.read(1):
        raise ValueError("bytes behind the array's end")
    if a.dtype.byteorder == ">":
        raise ValueError("big-endian")
    return a


def parse_expect(text):
    """FIELD=DTYPE:SHAPE, as vit.patches.npy=uint8:196,768; an empty or * length fits any."""
    field, _, rest = text.partition("=")
    dtype, _, shape = rest.partition(":")
    if not field or not dtype:
        raise ValueError(f"{text!r} is not FIELD=DTYPE:SHAPE, as in vit.patches.npy=uint8:196,768")
    np.dtype(dtype)
    dims = tuple(None if d in ("", "*") else int(d) for d in shape.split(",")) if shape else None
    return field, (dtype, dims)


def misfit(array, dtype, dims):
    """Why the array is not as expected, or None."""
    if str(array.dtype) != dtype:
        return f"dtype is {array.dtype}, {dtype} was expected"
    if dims is not None and (len(dims) != array.ndim or any(d not in (None, n) for d, n in zip(dims, array.shape))):
        return f"shape is {array.shape}, {dims} was expected"
    return None
