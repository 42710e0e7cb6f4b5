"""What a graph is made as: whether its real-valued inputs are float32 or float64, and of which opset it is.

In: a student and what was asked for. Out: both, as the artefact's record has them. Nearly every host has floats at
hand, and MuJoCo's spaces are of doubles all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.engines.folding import FOLD_LIMIT
from policy_distill.student.features import Part
from policy_distill.student.record import StudentRecord

DTYPES = ("float32", "float64")
OPSETS = (13, 25)
"""The oldest and the newest that a graph can be asked for."""


def graph_settings(student: StudentRecord, format: str, dtype: str | None, opset: int | None) -> dict[str, Any]:
    """Return the input dtype, as of `choose_input_dtype`, and the opset where one was asked for.

    Raises:
        RequestError: as of `choose_input_dtype`, and for an opset that is out of range or asked of another format.
    """
    found = {"input_dtype": choose_input_dtype(student, format, dtype)}
    if opset is None:
        return found
    if format != "onnx":
        raise RequestError(f"expected an opset for onnx only, found one for {format}; leave it out")
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise RequestError(f"expected an opset from {OPSETS[0]} to {OPSETS[1]}, found {opset}; choose one of these")
    return {**found, "opset": opset}


def choose_input_dtype(student: StudentRecord, format: str, asked: str | None) -> str | None:
    """Return the dtype of inputs whose space has float64; None for a format that takes what it is given.

    Raises:
        RequestError: for an unknown dtype, or one asked of another format than onnx.
    """
    if asked is not None and asked not in DTYPES:
        raise RequestError(f"expected an input dtype of {' or '.join(DTYPES)}, found {asked!r}")
    if format != "onnx":
        if asked is not None:
            raise RequestError(f"expected an input dtype for onnx only, found one for {format}; leave it out")
        return None
    if asked is not None:
        return asked
    far = any(is_far(part) and part.dtype == np.float64 for part in student.plan.featurizer.parts)
    return "float64" if far else "float32"


def is_far(part: Part) -> bool:
    """Say whether means lie so far from zero, in deviations, that float32 has no digits left for what is normal."""
    normalizer = part.normalizer
    return normalizer is not None and float(np.abs(normalizer.mean * normalizer.scale).max()) > FOLD_LIMIT
