"""Stands in for torch and transformers, which are no part of reading.

PyPI's torch for Linux brings 3 GB of CUDA; mosaicml-streaming, megatron-energon and wids
use nothing of it to read but class names and, in megatron-energon, a few numbers on the
way to choosing the next slice. mosaicml-streaming asks of torchvision and transformers
for class names only. The libraries themselves run as they are.
"""
import json
import random
import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np


class Generic:
    def __class_getitem__(cls, item):
        return cls


class Dataset(Generic):
    pass


class IterableDataset(Dataset):
    pass


class DataLoader(Generic):
    """Loads in this process, without batches: what torch's does with num_workers 0 and batch_size None."""

    def __init__(self, dataset, *, num_workers=0, batch_size=None, **_options):
        if num_workers or batch_size:
            raise NotImplementedError("workers and batches need torch")
        self.dataset = dataset

    def __iter__(self):
        return iter(self.dataset)


class Sampler(Generic):
    pass


class Tensor(np.ndarray):
    """As much of a tensor as numpy's arrays are."""

    def view(self, *shape):
        return self.reshape(shape) if shape and isinstance(shape[0], int) else super().view(*shape)

    def clone(self):
        return self.copy()


class Generator:
    """Draws numbers with numpy: other ones than torch's, so orders differ, contents do not."""

    def __init__(self):
        self.np = np.random.default_rng()

    def manual_seed(self, seed):
        self.np = np.random.default_rng(seed)
        return self

    def get_state(self):
        return tensor(list(json.dumps(self.np.bit_generator.state).encode()), np.uint8)

    def set_state(self, state):
        self.np.bit_generator.state = json.loads(bytes(state.tolist()))
        return self


def tensor(data, dtype=None):
    return np.asarray(data, dtype).view(Tensor)


def module(name, **attributes):
    m = types.ModuleType(name)
    m.__spec__, m.__path__ = ModuleSpec(name, None), []
    m.__dict__.update(attributes)
    sys.modules[name] = m
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, m)


def no(*_args, **_options):
    return False


def kind(name):
    return type(name, (Generic,), {})


def torch():
    """Puts the stand-in in torch's place. Returns True if torch was missing."""
    try:
        import torch  # noqa: F401
        return False
    except ImportError:
        pass
    module("torch", __version__="0", Tensor=Tensor, Generator=Generator, device=kind("device"),
           dtype=np.dtype, int64=np.int64, uint8=np.uint8, float32=np.float32, tensor=tensor,
           zeros=lambda *n, dtype=np.float32: tensor(np.zeros(n, dtype)),
           count_nonzero=lambda a: np.int64(np.count_nonzero(a)), frombuffer=lambda b, dtype: tensor(np.frombuffer(b, dtype)),
           cumsum=lambda a, dim: tensor(np.cumsum(a, axis=dim)), searchsorted=lambda a, v, right=False: tensor(np.searchsorted(a, v, "right" if right else "left")),
           rand=lambda n, generator: generator.np.random(n, np.float32),
           randint=lambda low, high, size, generator: tensor(generator.np.integers(low, high, size)),
           randperm=lambda n, generator: tensor(generator.np.permutation(n)),
           manual_seed=random.seed, initial_seed=lambda: 0, get_rng_state=random.getstate, set_rng_state=random.setstate)
    module("torch.cuda", is_available=no)
    module("torch.multiprocessing", Queue=kind("Queue"))
    module("torch.distributed", is_available=no, is_initialized=no, is_nccl_available=no, ProcessGroup=kind("ProcessGroup"))
    module("torch.distributed._shard")
    module("torch.distributed._shard.sharded_tensor", ShardedTensorBase=kind("ShardedTensorBase"))
    module("torch.distributed.distributed_c10d", reduce_op=kind("reduce_op"))
    module("torch.utils")
    module("torch.utils.data", Dataset=Dataset, IterableDataset=IterableDataset, DataLoader=DataLoader,
           Sampler=Sampler, get_worker_info=lambda: None)
    module("torch.utils.data.dataloader", _MultiProcessingDataLoaderIter=kind("_MultiProcessingDataLoaderIter"))
    module("torchvision")
    module("torchvision.datasets", VisionDataset=kind("VisionDataset"))
    module("torchvision.transforms")
    module("torchvision.transforms.functional", to_tensor=None)
    return True


def transformers():
    """The same for transformers."""
    try:
        import transformers  # noqa: F401
        return False
    except ImportError:
        pass
    module("transformers")
    module("transformers.feature_extraction_utils", BatchFeature=kind("BatchFeature"))
    module("transformers.tokenization_utils_base", BatchEncoding=kind("BatchEncoding"))
    for name in ("models", "models.auto"):
        module("transformers." + name)
    module("transformers.models.auto.tokenization_auto", AutoTokenizer=kind("AutoTokenizer"))
    return True
