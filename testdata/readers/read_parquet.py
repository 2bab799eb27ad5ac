#!/usr/bin/env python3
"""Reads parquet shards with pyarrow.

    read_parquet.py LIST.txt|FOLDER|SHARD.parquet [--samples N] [--dump FILE]

All shards are read as one dataset with one schema. Prints a JSON summary; faults go to
standard error, and make the exit code 1.
"""
import json
import sys

import pyarrow
import pyarrow.dataset
import pyarrow.parquet

from checks import Faults, shards_of
from dump import Dump, arguments, finish
from rows import fields_of


def read(shards, faults, dump):
    """Reads the shards together, and each alone: one schema must do for both."""
    data = pyarrow.dataset.dataset(shards, format="parquet")
    for shard in shards:
        alone = pyarrow.parquet.read_schema(shard)
        if not alone.equals(data.schema, check_metadata=True):
            faults.add(shard, "has another schema than the first shard")
    described = json.loads(data.schema.metadata[b"huggingface"])["info"]["features"]
    if sorted(described) != sorted(data.schema.names):
        faults.add(shards[0], f"its metadata describes the columns {sorted(described)}, it has {sorted(data.schema.names)}")
    for batch in data.to_batches():
        for row in batch.to_pylist():
            dump.add(*fields_of(row, faults))


def main():
    a, faults = arguments(__doc__, "place"), Faults()
    dump, shards = Dump(faults), shards_of([a.place], ".parquet", faults)
    try:
        read(shards, faults, dump)
    except Exception as e:  # whatever the library raises is a fault of the dataset
        faults.add(a.place, f"{type(e).__name__}: {e}")
    return finish(a, dump, faults, f"pyarrow {pyarrow.__version__}", shards=len(shards))


if __name__ == "__main__":
    sys.exit(main())
