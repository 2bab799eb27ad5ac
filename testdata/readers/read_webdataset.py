#!/usr/bin/env python3
"""Reads WebDataset shards as training does, with the real webdataset library.

    read_webdataset.py SHARD.tar|FOLDER|LIST.txt ... [--samples N] [--expect FIELD=DTYPE:SHAPE] [--dump FILE]

Each shard is read three ways: by tarfile (its structure), by webdataset raw (its
grouping) and by webdataset with its decoders (each field is usable). Prints a JSON
summary; faults go to standard error, and make the exit code 1.
"""
import argparse
import collections
import json
import os
import sys
import tarfile

import webdataset as wds

from checks import Faults, load_npy, misfit, parse_expect, shards_of
from dump import Dump, of_file

IMAGES = ("jpg", "jpeg", "png", "webp")


def structure(path, faults):
    """(key, fields) of each sample by the tar's own order: neighbours with one key."""
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        f.seek(max(0, size - 1024))
        if size % 512 or f.read() != bytes(1024):
            faults.add(path, "does not end with two zero blocks: cut short, or not closed")
    samples, keys = [], set()
    with tarfile.open(path, "r:") as tar:
        for m in tar:
            folder, base = os.path.split(m.name)
            stem, dot, ext = base.partition(".")
            key = os.path.join(folder, stem)
            if not m.isreg() or not stem or not dot or not ext:
                faults.add(path, f"{m.name}: no sample's member")
                continue
            if not m.size:
                faults.add(path, f"{m.name}: empty")
            if ext != ext.lower():
                faults.add(path, f"{m.name}: upper case in the field's name")
            if not samples or samples[-1][0] != key:
                if key in keys:
                    faults.add(path, f"{key}: its members are not neighbours, or the key comes twice")
                keys.add(key)
                samples.append((key, []))
            samples[-1][1].append(ext)
    return samples


def stream(path):
    return wds.WebDataset([path], shardshuffle=False, empty_check=False, handler=wds.reraise_exception)


class Reading:
    """What has been read of all shards."""

    def __init__(self, faults, expect, dump):
        self.faults, self.expect, self.dump = faults, expect, dump
        self.home = {}  # key to shard
        self.fields = collections.defaultdict(collections.Counter)

    def read(self, path):
        try:
            want = structure(path, self.faults)
            got = [self.raw(path, s) for s in stream(path)]
            if got != want:
                self.faults.add(path, f"webdataset gives {len(got)} samples, the tar has {len(want)}, or their fields differ")
            decoded = sum(self.decoded(path, s) for s in stream(path).decode("pil", handler=wds.reraise_exception))
            if decoded != len(want):
                self.faults.add(path, f"webdataset decodes {decoded} of {len(want)} samples")
        except wds.autodecode.DecodingError as e:
            self.faults.add(path, f"{e.key}.{e.k}: webdataset can not decode it: {e.__cause__}")
        except Exception as e:  # whatever the libraries raise is a fault of the shard
            self.faults.add(path, f"{type(e).__name__}: {e}")

    def raw(self, path, sample):
        key = sample["__key__"]
        if key in self.home:
            self.faults.add(path, f"{key}: the key is in {self.home[key]} already")
        self.home[key] = path
        fields = [k for k in sample if not k.startswith("__")]
        for f in fields:
            self.field(path, key, f, sample[f])
        for f in self.expect:
            if f not in fields:
                self.faults.add(path, f"{key}: no field {f}")
        if self.dump is not None:
            self.dump.add(key, {f: of_file(f, sample[f]) for f in fields})
        return key, fields

    def field(self, path, key, name, data):
        kind = "bytes"
        try:
            if name.endswith(".npy") or name == "npy":
                a = load_npy(data)
                kind = f"{a.dtype}:{','.join(map(str, a.shape))}"
                wrong = misfit(a, *self.expect[name]) if name in self.expect else None
            else:
                wrong = "is no array" if name in self.expect else None
                if name == "json" and json.loads(data).get("key", key) != key:
                    wrong = "names another key"
        except ValueError as e:
            wrong = str(e)
        if wrong:
            self.faults.add(path, f"{key}.{name}: {wrong}")
        self.fields[name][kind] += 1

    def decoded(self, path, sample):
        for name, value in sample.items():
            if name.rpartition(".")[2] in IMAGES:
                self.fields[name][f"{value.mode}:{value.width}x{value.height}"] += 1
                del self.fields[name]["bytes"]
            elif name.rpartition(".")[2] in ("npy", "json", "txt") and isinstance(value, bytes):
                self.faults.add(path, f"{sample['__key__']}.{name}: webdataset left it undecoded")
        return 1


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("place", nargs="+")
    ap.add_argument("--samples", type=int, help="how many there must be in all")
    ap.add_argument("--dump", metavar="FILE", help="write what was read, a line for each sample, in the order of the keys")
    ap.add_argument("--expect", action="append", default=[], type=parse_expect, metavar="FIELD=DTYPE:SHAPE",
                    help="an array that each sample must have")
    a = ap.parse_args()
    faults = Faults()
    reading = Reading(faults, dict(a.expect), Dump(faults) if a.dump else None)
    shards = shards_of(a.place, ".tar", faults)
    for path in shards:
        reading.read(path)
    if a.samples is not None and len(reading.home) != a.samples:
        faults.add("all shards", f"{len(reading.home)} samples, {a.samples} were expected")
    if a.dump:
        reading.dump.write(a.dump)
    return faults.finish({
        "reader": f"webdataset {wds.__version__}", "shards": len(shards), "samples": len(reading.home),
        "keys": sorted(reading.home)[:1000], "fields": {k: dict(v) for k, v in sorted(reading.fields.items())},
    })


if __name__ == "__main__":
    sys.exit(main())
