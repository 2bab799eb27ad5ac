#!/usr/bin/env python3
"""Makes the shards of this folder with the formats' own libraries (mosaicml-streaming
0.13.0, pyarrow 26.0.1), in the environment of testdata/readers: make.py OUT
"""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "readers"))
import standin  # noqa: E402

standin.torch()
standin.transformers()
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import streaming  # noqa: E402

COLUMNS = {"__key__": "str", "patches": "ndarray:float32", "fixed": "ndarray:uint8:2,3", "any": "ndarray",
           "meta": "json", "n": "int32", "raw": "bytes", "txt": "str"}


def sample(i):
    return {"__key__": f"s{i}", "patches": np.full((1 + i, 2 + i), i, np.float32), "fixed": np.full((2, 3), i, np.uint8),
            "any": np.array([i], np.int64), "meta": {"i": i}, "n": np.int32(i), "raw": bytes([i, 255]), "txt": f"words {i}"}


out = sys.argv[1]
for name, compression in ((".mds", None), (".mds.zstd", "zstd:3")):
    work = os.path.join(out, "work")
    with streaming.MDSWriter(out=work, columns=COLUMNS, compression=compression, hashes=["sha256"]) as w:
        for i in range(2):
            w.write(sample(i))
    shutil.move(os.path.join(work, "shard.00000" + name), os.path.join(out, "library" + name))
    shutil.move(os.path.join(work, "index.json"), os.path.join(out, f"library{name}.index.json"))
    shutil.rmtree(work)

medium = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
array = pa.struct([("data", pa.binary()), ("dtype", pa.string()), ("shape", pa.list_(pa.int64()))])
table = pa.table({
    "__key__": ["a", "b"], "frame.jpg": [{"bytes": b"\xff\xd8", "path": "a.frame.jpg"}, None], "json": ['{"i":1}', '{"i":2}'],
    "vit.patches": [{"data": b"\x01\x02", "dtype": "uint8", "shape": [1, 2]}, {"data": b"\x03", "dtype": "uint8", "shape": []}],
    "bin": [None, b"\x00"],
}, pa.schema([("__key__", pa.string()), ("frame.jpg", medium), ("json", pa.string()), ("vit.patches", array), ("bin", pa.binary())]))
for name, options in {
    "zstd": {"compression": "zstd", "row_group_size": 1},
    "plain": {"compression": "none", "use_dictionary": False, "data_page_version": "2.0"},
    "snappy": {"compression": "snappy"},
}.items():
    pq.write_table(table, os.path.join(out, f"pyarrow-{name}.parquet"), **options)
pq.write_table(pa.table({"x": [1]}), os.path.join(out, "pyarrow-int.parquet"), compression="none")
