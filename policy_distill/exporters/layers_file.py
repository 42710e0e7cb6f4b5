"""Layers of few bits in a file of their own, so that what was proven can be exported as it is.

In: `QuantizedLayer`s and the method that made them. Out: a sealed file of arrays, with nothing executable, and back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.bits.low_bit import LIMITS
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.file import MAX_STUDENT, read_sealed, write_sealed

SUFFIX = ".safetensors"
LAYERS = f"layers{SUFFIX}"
"""Its name beside the file of the float student that they were made of."""
ARRAYS = ("weight", "bias", "output_step", "input_scale")
LIES = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What a file whose checksum is right and whose contents are not may lead to."""


def save_layers(path: Path, layers: Mapping[int, QuantizedLayer], method: str) -> None:
    """Write layers, by their places in the plan."""
    tensors: dict[str, np.ndarray] = {}
    places: dict[str, dict[str, Any]] = {}
    for place, one in layers.items():
        arrays = {name: getattr(one, name) for name in ARRAYS}
        tensors |= {f"{place}.{name}": array for name, array in arrays.items() if array is not None}
        places[str(place)] = {"input_step": one.input_step, "input_zero": one.input_zero, "bits": one.bits}
    write_sealed(path, tensors, {"few_bits": {"method": method, "places": places}})


def load_layers(path: str | Path) -> tuple[dict[int, QuantizedLayer], str]:
    """Return the layers and the method of a file.

    Raises:
        RequestError: where there is no such file, or it is altered, or holds something else.
    """
    tensors, record = read_sealed(path, MAX_STUDENT)
    try:
        found = record["few_bits"]
        layers = {int(place): _layer(tensors, place, numbers) for place, numbers in found["places"].items()}
        return layers, str(found["method"])
    except LIES:
        raise RequestError(
            f"expected layers of few bits in {path}, as compress --minimize bytes writes them next to a student; "
            "found something else"
        ) from None


def _layer(tensors: Mapping[str, np.ndarray], place: str, numbers: Mapping[str, Any]) -> QuantizedLayer:
    weight, bias, output_step, scale = (tensors.get(f"{place}.{name}") for name in ARRAYS)
    step, zero, bits = float(numbers["input_step"]), int(numbers["input_zero"]), int(numbers["bits"])
    if weight is None or bias is None or output_step is None:
        raise ValueError("an array is missing")
    floats = [bias, output_step, *([] if scale is None else [scale])]
    fits = weight.dtype == np.int8 and weight.ndim > 1 and bias.shape == output_step.shape == weight.shape[:1]
    fits &= all(array.dtype == np.float32 and np.isfinite(array).all() for array in floats)
    fits &= scale is None or scale.shape == weight.shape[1:]
    fits &= math.isfinite(step) and step > 0 and -128 <= zero <= 127 and bits in LIMITS
    if not fits or np.abs(weight.astype(np.int16)).max(initial=0) > LIMITS[bits]:
        raise ValueError("its parts do not fit each other")
    return QuantizedLayer(weight, bias, scale, step, zero, output_step, bits)
