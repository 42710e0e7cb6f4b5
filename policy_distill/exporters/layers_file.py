"""Layers of few bits in a file of their own, so that what was proven can be exported as it is.

In: `QuantizedLayer`s and the method that made them. Out: one `.npz` of arrays, with nothing executable, and back.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.quantization import QuantizedLayer

SUFFIX = ".npz"
LAYERS = "layers.npz"
"""Its name beside the file of the float student that they were made of."""
NUMBERS = {"input_step": float, "input_zero": int, "bits": int}
"""Fields that are one number each."""


def save_layers(path: Path, layers: Mapping[int, QuantizedLayer], method: str) -> None:
    """Write layers, by their places in the plan."""
    arrays: dict[str, Any] = {
        f"{place}.{field.name}": np.asarray(getattr(one, field.name))
        for place, one in layers.items()
        for field in fields(one)
        if getattr(one, field.name) is not None
    }
    with path.open("wb") as file:
        np.savez(file, method=np.array(method), **arrays)


def load_layers(path: str | Path) -> tuple[dict[int, QuantizedLayer], str]:
    """Return the layers and the method of a file.

    Raises:
        RequestError: where there is no such file, or it holds something else.
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        method = str(arrays.pop("method"))
        places = sorted({int(name.partition(".")[0]) for name in arrays})
        return {place: _layer(arrays, place) for place in places}, method
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise RequestError(
            f"expected layers of few bits in {path}, as compress writes them with --minimize bytes: {error}"
        ) from None


def _layer(arrays: Mapping[str, np.ndarray], place: int) -> QuantizedLayer:
    own = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{place}.")}
    numbers = {name: kind(own.pop(name)) for name, kind in NUMBERS.items()}
    weight, bias, step = (own.pop(name) for name in ("weight", "bias", "output_step"))
    if weight.dtype != np.int8 or bias.shape != (len(weight),) or step.shape != bias.shape:
        raise ValueError("its arrays do not fit each other")
    return QuantizedLayer(
        weight=weight, bias=bias, output_step=step, input_scale=own.pop("input_scale", None), **numbers
    )
