#!/usr/bin/env python3
"""Reads a dataset at random places through its wids index, with the real wids library.

    read_wids.py INDEX.json [--samples N] [--expect FIELD=DTYPE:SHAPE] [--dump FILE]

Checks that each index gives a sample, that shards hold as many samples and bytes as
the index says, and that keys are unique. Prints a JSON summary; faults go to standard
error, and make the exit code 1.
"""
import argparse
import os
import sys
import tempfile

import standin
from checks import Faults, load_npy, misfit, parse_expect
from dump import Dump, of_file

standin.torch()  # wids derives from two of torch's classes, of which reading uses nothing
import wids  # noqa: E402


def check_shards(data, faults):
    """Compares the index with the files that the library fetched."""
    first = 0
    for shard in data.shards:
        reader, _, _ = data.get_shard(first)
        if len(reader) != shard["nsamples"]:
            faults.add(shard["url"], f"holds {len(reader)} samples, the index says {shard['nsamples']}")
        size = os.path.getsize(reader.path)
        if size != shard["filesize"]:
            faults.add(shard["url"], f"has {size} bytes, the index says {shard['filesize']}")
        first += shard["nsamples"]


def check_sample(sample, expect, faults, dump):
    """Checks the arrays that are expected, and gives the sample to the dump, if any. Returns its key."""
    key = sample["__key__"]
    for field, (dtype, dims) in expect.items():
        if "." + field not in sample:
            faults.add(key, f"no field {field}")
            continue
        wrong = misfit(load_npy(sample["." + field].read()), dtype, dims)
        if wrong:
            faults.add(key, f"{field}: {wrong}")
    if dump is not None:
        dump.add(key, {name[1:]: of_file(name[1:], opened(f).read()) for name, f in sample.items() if name.startswith(".")})
    return key


def opened(f):
    """A field's file from its beginning: an array may have been checked already."""
    f.seek(0)
    return f


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("index")
    ap.add_argument("--samples", type=int, help="how many there must be in all")
    ap.add_argument("--dump", metavar="FILE", help="write what was read, a line for each sample, in the order of the keys")
    ap.add_argument("--expect", action="append", default=[], type=parse_expect, metavar="FIELD=DTYPE:SHAPE",
                    help="an array that each sample must have")
    a = ap.parse_args()
    faults, keys, shards = Faults(), set(), 0
    dump = Dump(faults) if a.dump else None
    with tempfile.TemporaryDirectory() as cache:
        try:
            data = wids.ShardListDataset(a.index, cache_dir=cache, transformations=[])
            shards = len(data.shards)
            check_shards(data, faults)
            for i in reversed(range(len(data))):
                key = check_sample(data[i], dict(a.expect), faults, dump)
                if key in keys:
                    faults.add(key, "the key comes twice")
                keys.add(key)
            data.close()
        except Exception as e:  # whatever the library raises is a fault of the dataset
            faults.add(a.index, f"{type(e).__name__}: {e}")
    if a.samples is not None and len(keys) != a.samples:
        faults.add(a.index, f"{len(keys)} samples, {a.samples} were expected")
    if a.dump:
        dump.write(a.dump)
    return faults.finish({"reader": f"wids {wids.__version__}", "shards": shards, "samples": len(keys)})


if __name__ == "__main__":
    sys.exit(main())
