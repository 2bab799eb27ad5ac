#!/usr/bin/env python3
"""Reads an MDS dataset as training does, with the real mosaicml-streaming library.

    read_mds.py INDEX.json --remote ROOT [--samples N] [--dump FILE]
    read_mds.py INDEX.json [--samples N] [--dump FILE]

With --remote the index names shards from ROOT: StreamingDataset copies them to a folder
of its own, checks their hashes, unpacks them, and gives the samples. Without it, the
shards are read where they are, seen from the index; the library checks no hashes then,
and unpacks a compressed shard beside it. Prints a JSON summary; faults go to standard
error, and make the exit code 1.
"""
import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile

import standin
from checks import Faults
from dump import Dump, arguments, finish, kind_of, of_array, of_bytes, of_file, of_json, of_text

standin.torch()
standin.transformers()
logging.disable(logging.WARNING)  # that there is no torch to ask for a rank
import streaming  # noqa: E402
from streaming.base.format.mds import encodings  # noqa: E402

KEY = "__key__"


class Picture:
    """A picture with the bytes it was decoded from: the library gives pixels only."""

    def __init__(self, data, pixels):
        pixels.load()
        self.data, self.pixels = data, pixels


def keep_bytes(name, base):
    """Has the library's decoder of pictures keep what it decoded."""
    encodings._encodings[name] = type(name, (base,), {"decode": lambda self, data: Picture(data, base.decode(self, data))})


def field(name, value, truth):
    if isinstance(value, Picture):
        return of_bytes(value.data)
    if isinstance(value, bytes):
        return of_file(name, value)
    if isinstance(value, str):
        return of_text(value)
    if hasattr(value, "dtype"):
        return of_array(value.astype(bool) if truth else value)
    if kind_of(name) == "json":
        return of_json(value)
    raise ValueError(f"{name}: the library gives a {type(value).__name__}")


def hash_of(index):
    """The name of a hash that the index has for each shard."""
    with open(index) as f:
        shards = json.load(f)["shards"]
    names = [set((s.get("zip_data") or s["raw_data"])["hashes"]) for s in shards]
    return min(set.intersection(*names))


@contextlib.contextmanager
def opened(index, remote):
    """The dataset, and the folder from which its index names raw shards."""
    options = {"batch_size": 1, "shuffle": False, "num_canonical_nodes": 1}
    if remote is None:
        folder = os.path.dirname(os.path.abspath(index))
        yield streaming.StreamingDataset(local=folder, **options), folder
        return
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(index, os.path.join(work, "index.json"))
        yield streaming.StreamingDataset(remote=os.path.abspath(remote), local=work, validate_hash=hash_of(index), **options), work


def truths_of(folder, shard):
    """The columns of truth values, which MDS has as uint8: Millrace says so in the shard's
    own copy of its columns (u32 n, u32 offset[n + 1], JSON), where the library does not look."""
    with open(os.path.join(folder, shard.raw_data.basename), "rb") as f:
        n = int.from_bytes(f.read(4), "little")
        start = int.from_bytes(f.read(4), "little")
        f.seek(4 * (n + 2))
        return json.loads(f.read(start - 4 * (n + 2))).get("bool_columns") or ()


def read(index, remote, faults, dump):
    """Reads by index, last first, and checks what iteration gives beside it. Returns the number of shards."""
    with opened(index, remote) as (data, folder):
        truths = {}
        for i in reversed(range(len(data))):
            sample, (shard, _) = data[i], data.spanner[i]
            if shard not in truths:
                truths[shard] = truths_of(folder, data.shards[shard])
            key = sample.pop(KEY, None)
            dump.add(key, {name: field(name, value, name in truths[shard]) for name, value in sample.items()})
        iterated = [s[KEY] for s in data]
        if iterated != [data[i][KEY] for i in range(len(data))]:
            faults.add(index, f"iteration gives {len(iterated)} samples, or another order; the index has {len(data)}")
        return len(data.shards)


def main():
    a, faults, shards = arguments(__doc__, "index", remote="the folder from which the index names shards"), Faults(), 0
    for name in ("jpeg", "png"):
        keep_bytes(name, encodings._encodings[name])
    dump = Dump(faults)
    try:
        shards = read(a.index, a.remote, faults, dump)
    except Exception as e:  # whatever the library raises is a fault of the dataset
        faults.add(a.index, f"{type(e).__name__}: {e}")
    return finish(a, dump, faults, f"mosaicml-streaming {streaming.__version__}", shards=shards)


if __name__ == "__main__":
    sys.exit(main())
