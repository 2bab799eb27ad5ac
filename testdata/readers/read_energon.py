#!/usr/bin/env python3
"""Reads a dataset as Megatron's training does, with the real megatron-energon library.

    read_energon.py FOLDER [--samples N] [--dump FILE]

FOLDER has .nv-meta, with a split named train. The samples come through get_train_dataset
and get_loader, which find each by its shard's .idx file. Each such file must be, byte for
byte, what the library's own prepare writes for the shard; the index of keys, if there is
one, must lead to the same samples. Prints a JSON summary; faults go to standard error,
and make the exit code 1.
"""
import contextlib
import os
import sys
import tempfile
import warnings

import standin
from checks import Faults
from dump import Dump, arguments, finish, of_file

standin.torch()
warnings.filterwarnings("ignore")  # of what there is in no torch
from megatron import energon  # noqa: E402
from megatron.energon.epathlib import EPath  # noqa: E402
from megatron.energon.flavors.webdataset.itar_reader import SqliteITarEntryReader  # noqa: E402
from megatron.energon.flavors.webdataset.metadata import WebdatasetMeta  # noqa: E402
from megatron.energon.flavors.webdataset.prepare import WebdatasetPreparator  # noqa: E402


@energon.stateless
def cook(sample):
    """Takes the crude sample as it is: keys that begin with __ are the library's own."""
    return sample


class Raw(energon.DefaultTaskEncoder):
    """Gives fields as the bytes of their files."""

    decoder = None
    cookers = [energon.Cooker(cook)]


def fields_of(sample):
    return {name: of_file(name, data) for name, data in sample.items() if not name.startswith("__")}


def check_indexes(folder, shards, faults):
    """Compares each shard's .idx file and count with what the library's prepare makes of the shard."""
    with tempfile.TemporaryDirectory() as work:
        for i, shard in enumerate(shards):
            name = f"{i}.tar"
            os.symlink(os.path.abspath(str(shard.path)), os.path.join(work, name))
            *_, last = WebdatasetPreparator._preprocess_tar(name, {name: 0}, EPath(work), 50)
            if last.shard_info.count != shard.count:
                faults.add(shard.name, f"holds {last.shard_info.count} samples, .info.json says {shard.count}")
            with open(os.path.join(work, name + ".idx"), "rb") as want, open(f"{shard.path}.idx", "rb") as got:
                if want.read() != got.read():
                    faults.add(shard.name, "its .idx file is not what energon prepare writes")


def check_keys(folder, read, faults):
    """Reads each sample by its key, where .nv-meta has the index for that."""
    if not os.path.exists(os.path.join(folder, ".nv-meta", "index.sqlite")):
        return False
    by_key = SqliteITarEntryReader(EPath(folder))
    if len(by_key) != len(read):
        faults.add(folder, f"index.sqlite has {len(by_key)} samples, {len(read)} were read")
    for key, fields in read.items():
        if fields_of(by_key[key]) != fields:
            faults.add(key, "is another sample by index.sqlite")
    by_key.close()
    return True


def read(folder, faults, dump):
    """Returns the number of shards, and whether samples were read by their keys too."""
    folder = os.path.abspath(folder)
    shards = WebdatasetMeta.from_config(path=EPath(folder), split_part="train").shards
    check_indexes(folder, shards, faults)
    dataset = energon.get_train_dataset(
        folder, batch_size=None, shuffle_buffer_size=None, max_samples_per_sequence=None, task_encoder=Raw(), repeat=False,
        worker_config=energon.WorkerConfig(rank=0, world_size=1, num_workers=0, global_error_handler=energon.reraise_exception))
    samples = {}
    for sample in energon.get_loader(dataset, watchdog_timeout_seconds=None):
        samples[sample["__key__"]] = fields = fields_of(sample)
        dump.add(sample["__key__"], fields)
    return len(shards), check_keys(folder, samples, faults)


def main():
    a, faults, shards, keyed = arguments(__doc__, "folder"), Faults(), 0, False
    dump = Dump(faults)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where the library prints what failed
            shards, keyed = read(a.folder, faults, dump)
    except Exception as e:  # whatever the library raises is a fault of the dataset
        faults.add(a.folder, f"{type(e).__name__}: {e}")
    return finish(a, dump, faults, f"megatron-energon {energon.__version__}", shards=shards, by_key=keyed)


if __name__ == "__main__":
    sys.exit(main())
