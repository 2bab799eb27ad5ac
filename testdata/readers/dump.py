"""What a reader saw, in words that do not depend on the format: one line for each sample.

    {"fields": {"frame.jpg": {"kind": "bytes", "sha256": ...}, ...}, "key": ...}

Lines are canonical JSON in the order of the keys, so equal datasets give equal files.
An array's field goes without its ".npy" here: formats with arrays of their own (MDS,
parquet) have no use for that ending.
"""
import hashlib
import json

import numpy as np

from checks import load_npy

NPY = ".npy"


def kind_of(name):
    """What the field of a name holds, as its last word says."""
    word = name.rpartition(".")[2]
    return {"npy": "array", "json": "json", "txt": "text"}.get(word, "bytes")


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def of_array(a):
    """An array by dtype, shape and the digest of its elements: C order, little-endian."""
    a = np.asarray(a)
    little = a.astype(a.dtype.newbyteorder("<"), order="C", copy=False)
    return {"kind": "array", "dtype": a.dtype.name, "shape": list(a.shape), "sha256": digest(little.tobytes())}


def of_bytes(data):
    return {"kind": "bytes", "sha256": digest(data)}


def of_text(text):
    return {"kind": "text", "sha256": digest(text.encode())}


def of_json(value):
    """JSON by its value: a format that parses it does not keep its spaces."""
    return {"kind": "json", "sha256": digest(canonical(value))}


def of_file(name, data):
    """A field that the format keeps as the bytes of a file. Raises ValueError."""
    kind = kind_of(name)
    if kind == "array":
        return of_array(load_npy(data))
    if kind == "json":
        return of_json(json.loads(data))
    if kind == "text":
        return of_text(data.decode())
    return of_bytes(data)


def plain(name):
    """A field's name in the dump."""
    return name.removesuffix(NPY) if name != "npy" else name


class Dump:
    """Gathers samples, and writes them in the order of their keys."""

    def __init__(self, faults):
        self.faults, self.lines = faults, {}

    def __len__(self):
        return len(self.lines)

    def add(self, key, fields):
        """Adds a sample; fields are names with what the functions above say of them."""
        if not key:
            self.faults.add("sample", f"number {len(self.lines)} has no key")
        elif key in self.lines:
            self.faults.add(key, "the key comes twice")
        elif not fields:
            self.faults.add(key, "has no fields")
        named = {plain(name): field for name, field in fields.items()}
        if len(named) != len(fields):
            self.faults.add(key, "two fields differ by .npy alone")
        self.lines[key] = canonical({"key": key, "fields": named})

    def write(self, path):
        with open(path, "wb") as f:
            f.writelines(self.lines[key] + b"\n" for key in sorted(self.lines))


def arguments(doc, place, **options):
    """The options that the readers share, and more of them with their help."""
    import argparse
    ap = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument(place)
    ap.add_argument("--samples", type=int, help="how many there must be in all")
    ap.add_argument("--dump", metavar="FILE", help="write what was read, a line for each sample, in the order of the keys")
    for name, text in options.items():
        ap.add_argument("--" + name, help=text)
    return ap.parse_args()


def finish(a, dump, faults, reader, **more):
    """Ends a reader's run: what was expected, the dump, the summary. Returns the exit code."""
    if a.samples is not None and len(dump) != a.samples:
        faults.add(reader, f"{len(dump)} samples, {a.samples} were expected")
    if a.dump:
        dump.write(a.dump)
    return faults.finish({"reader": reader, "samples": len(dump), **more})
