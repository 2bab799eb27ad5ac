#!/usr/bin/env python3
"""Reads parquet shards as a data set of Hugging Face's real datasets library.

    read_datasets.py LIST.txt|FOLDER|SHARD.parquet [--samples N] [--dump FILE]

The library takes what the columns are from the shards' metadata. It reads them twice,
through its cache and streaming; and it decodes each picture. Prints a JSON summary;
faults go to standard error, and make the exit code 1.
"""
import os
import sys
import tempfile

from checks import Faults, shards_of
from dump import Dump, arguments, finish
from rows import KEY, fields_of

os.environ["HF_HUB_OFFLINE"] = "1"
import datasets  # noqa: E402

datasets.disable_progress_bars()


def undecoded(data):
    """Asks for the bytes of pictures, sound and videos: the library decodes unless told."""
    for name, feature in data.features.items():
        if hasattr(feature, "decode"):
            data = data.cast_column(name, type(feature)(decode=False))
    return data


def check_pictures(data, faults):
    """Decodes each picture. Sound and video would need torchcodec, and with it torch."""
    pictures = [name for name, feature in data.features.items() if isinstance(feature, datasets.Image)]
    for row in data.select_columns([KEY, *pictures]):
        for name in pictures:
            if row[name] is not None and not (row[name].width and row[name].height):
                faults.add(row[KEY], f"{name}: is an empty picture")
    return pictures


def read(shards, faults, dump):
    """Returns the names of the columns of pictures."""
    with tempfile.TemporaryDirectory() as cache:
        load = {"path": "parquet", "data_files": [os.path.abspath(s) for s in shards], "split": "train", "cache_dir": cache}
        data = datasets.load_dataset(**load)
        for row in undecoded(data):
            dump.add(*fields_of(row, faults))
        streamed = Dump(faults)
        for row in undecoded(datasets.load_dataset(**load, streaming=True)):
            streamed.add(*fields_of(row, faults))
        if streamed.lines != dump.lines:
            faults.add(cache, "streaming gives other samples than the cache")
        return check_pictures(data, faults)


def main():
    a, faults, pictures = arguments(__doc__, "place"), Faults(), []
    dump, shards = Dump(faults), shards_of([a.place], ".parquet", faults)
    try:
        pictures = read(shards, faults, dump)
    except Exception as e:  # whatever the library raises is a fault of the dataset
        faults.add(a.place, f"{type(e).__name__}: {e}")
    return finish(a, dump, faults, f"datasets {datasets.__version__}", shards=len(shards), pictures=pictures)


if __name__ == "__main__":
    sys.exit(main())
