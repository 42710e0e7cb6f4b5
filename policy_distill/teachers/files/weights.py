"""Reads the tensors that `torch.save` wrote, in its zip and its older format, without torch's own loader.

In: bytes that nobody vouches for. Out: named tensors. Storages are plain bytes; a tensor is a view that was checked to
lie inside its storage. torch's loader allocates and indexes by what a file declares.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from policy_distill.errors import RequestError
from policy_distill.teachers.files.bounded_zip import BoundedZip
from policy_distill.teachers.files.pickle_machine import Budget, Machine, Resolve
from policy_distill.teachers.files.safe_load import INERT, MAKERS, read_pickle, resolver
from policy_distill.teachers.files.stand_ins import Inert, reference_of

DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
PARAMETER = "torch._utils._rebuild_parameter"
LEGACY_START = b"\x80\x02\x8a\x0a"
"""A pickled number of ten bytes, with which torch's older format begins."""
MAX_DIMENSIONS = 8

OF_TENSORS = (*DTYPES, *TENSORS, PARAMETER, "torch.Size")
PLAIN = resolver({"collections.OrderedDict": MAKERS["collections.OrderedDict"]}, OF_TENSORS)
"""Names in a state dict."""
# A method that is pickled by its name, such as SB3's dummy schedule, is looked up in its class: here it is not.
WITH_ARGUMENTS = resolver({**MAKERS, "builtins.getattr": lambda budget, *names: Inert(*names)}, (*INERT, *OF_TENSORS))
"""Names in what a policy's `save` wrote: those of agents besides."""


@dataclass(frozen=True)
class _Storage:
    """What a pickle says of a storage."""

    dtype: torch.dtype
    key: str


def read_weights(data: bytes, place: str) -> dict[str, torch.Tensor]:
    """Return the state dict that `torch.save` wrote; `place` names it in errors.

    Raises:
        RequestError: for anything but a dictionary of plain tensors, whole and inside their storages.
    """
    return _tensors_of(*_read(data, place, PLAIN), place)


def read_first_weights(data: bytes, place: str) -> dict[str, torch.Tensor]:
    """Return the state dict that `torch.save` wrote, of several in a tuple the first; errors as of `read_weights`."""
    found, storages = _read(data, place, PLAIN)
    return _tensors_of(found[0] if isinstance(found, tuple) and found else found, storages, place)


def read_policy(data: bytes, place: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the state dict and the constructor's arguments that a policy's `save` wrote; errors as of `read_weights`.

    What is not plain in the arguments is a stand-in.
    """
    found, storages = _read(data, place, WITH_ARGUMENTS)
    if not isinstance(found, dict) or not {"state_dict", "data"} <= found.keys() or not isinstance(found["data"], dict):
        raise RequestError(
            f"{place} is a torch file, but not one that a Stable-Baselines3 policy's save writes; load it in Python "
            "and pass the policy, or load it with trust=True (--trust)"
        )
    return _tensors_of(found["state_dict"], storages, place), found["data"]


Storages = Callable[[str], bytes]
"""From a storage's key to its bytes."""


def _tensors_of(found: Any, storages: Storages, place: str) -> dict[str, torch.Tensor]:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise RequestError(f"{place} is not a dictionary of tensors; copy it again from its source")
    try:
        shared: dict[_Storage, torch.Tensor] = {}
        return {name: _tensor(value, storages, shared) for name, value in found.items()}
    except RequestError:
        raise
    except Exception as error:
        # What a file declares can be of any type and size.
        raise RequestError(f"{place} is damaged ({str(error)[:80]}); copy it again from its source") from None


def _read(data: bytes, place: str, resolve: Resolve) -> tuple[Any, Storages]:
    reader = {b"PK\x03\x04": _read_zip, LEGACY_START: _read_legacy}.get(data[:4])
    if reader is None:
        raise RequestError(f"{place} is not a torch file: it begins with {data[:4]!r}; copy it again from its source")
    try:
        return reader(data, place, resolve)
    except RequestError:
        raise
    except Exception as error:
        # What a file declares can be of any type and size.
        raise RequestError(f"{place} is damaged ({str(error)[:80]}); copy it again from its source") from None


def _read_zip(data: bytes, place: str, resolve: Resolve) -> tuple[Any, Storages]:
    archive = BoundedZip(io.BytesIO(data), len(data), place)
    root = next((name.removesuffix("data.pkl") for name in archive.names if name.endswith("/data.pkl")), None)
    if root is None:
        raise RequestError(f"{place} is a zip without data.pkl, so not a torch file; copy it again from its source")
    if f"{root}byteorder" in archive.names and archive.read(f"{root}byteorder") != b"little":
        raise RequestError(f"{place} was written on a big-endian machine; write it on a little-endian one")
    found = _unpickle(io.BytesIO(archive.read(f"{root}data.pkl")), place, resolve)
    # Tensors may share a storage, which is read once.
    return found, cache(lambda key: archive.read(f"{root}data/{key}"))


def _read_legacy(data: bytes, place: str, resolve: Resolve) -> tuple[Any, Storages]:
    """Five pickles (magic, version, system, the object, its storages' keys), then for each storage size and bytes."""
    stream = io.BytesIO(data)
    budget = Budget()
    _, _, system, found, keys = (_unpickle(stream, place, resolve, budget) for _ in range(5))
    if not isinstance(system, dict) or system.get("little_endian") is not True or not isinstance(keys, list):
        raise RequestError(f"{place} is not of torch's older format; copy it again from its source")
    items = _storages(found)
    storages = {}
    for key in keys:
        storage = items.get(key) if isinstance(key, str) else None
        size = int.from_bytes(stream.read(8), "little")
        if storage is None or size * storage.dtype.itemsize > len(data):
            raise RequestError(
                f"{place} has a storage that belongs to none of its tensors; copy it again from its source"
            )
        storages[key] = stream.read(size * storage.dtype.itemsize)
    return found, lambda key: storages[key]


def _storages(found: Any) -> dict[str, _Storage]:
    values = [_plain(value).args[:1] for value in found.values()] if isinstance(found, dict) else []
    return {storage.key: storage for (storage,) in values if isinstance(storage, _Storage)}


def _unpickle(stream: io.BytesIO, place: str, resolve: Resolve, budget: Budget | None = None) -> Any:
    return read_pickle(stream, place, Machine(stream, resolve, budget or Budget(), _storage))


def _storage(key: Any) -> _Storage:
    """Read a reference such as ("storage", FloatStorage, "0", "cpu", 128)."""
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[2], str):
        raise TypeError("a reference to no storage")
    return _Storage(DTYPES[str(reference_of(key[1]))], key[2])


def _plain(value: Any) -> Inert:
    """Return the stand-in of a tensor, out of a parameter's where it is one."""
    if isinstance(value, Inert) and value.reference == PARAMETER and value.args:
        value = value.args[0]
    if not isinstance(value, Inert) or value.reference not in TENSORS:
        raise RequestError("it holds something other than tensors")
    return value


def _tensor(value: Any, storages: Storages, shared: dict[_Storage, torch.Tensor]) -> torch.Tensor:
    """Return a view of its storage, which is made once: a file may have a million tensors in one."""
    storage, offset, size, stride, *_ = _plain(value).args
    if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise TypeError("a tensor of an unknown form")
    if len(size) != len(stride) or len(size) > MAX_DIMENSIONS:
        raise ValueError("a tensor of an unknown form")
    if not all(isinstance(n, int) and 0 <= n < 2**40 for n in (offset, *size, *stride)):
        raise ValueError("a tensor of an impossible shape")
    if math.prod(size) == 0:
        return torch.empty(size, dtype=storage.dtype)
    if storage not in shared:
        shared[storage] = torch.frombuffer(bytearray(storages(storage.key)), dtype=storage.dtype)
    items = shared[storage]
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= len(items) or math.prod(size) > len(items):
        raise ValueError("a tensor reaches out of its storage")
    return torch.as_strided(items, size, stride, offset)
