"""Statistics of single frames for a teacher of stacked ones: the RL Zoo stacks what `VecNormalize` has normalised.

In: statistics, the teacher's space and its wrappers. Out: one normalisation of whole stacks, and the wrappers with the
blank frames that it turns into the zeros which the Zoo's teacher sees before an episode's first frames.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from policy_distill.interfaces.policies import WrapperSpec
from policy_distill.student.features import Normalizer
from policy_distill.teachers.files.vecnormalize import make_normalizer, shape_of_statistics
from policy_distill.teachers.observing import Normalizers


def normalizer_and_wrappers(
    attributes: dict[str, Any], place: str, space: Space[Any], wrappers: list[WrapperSpec]
) -> tuple[Normalizers, list[WrapperSpec]]:
    """Return the normalisation for observations of `space`, and the wrappers that go with it.

    Args:
        attributes: of the `VecNormalize`, as of `read_statistics`.
        place: what to call it in errors.
        space: the teacher's.
        wrappers: of its environment.

    Raises:
        RequestError: as of `read_normalizer`.
    """
    shape = shape_of_statistics(attributes)
    last = wrappers[-1] if wrappers and wrappers[-1]["name"] == "FrameStack" else None
    n_stack = 1 if last is None else last.get("kwargs", {}).get("n_stack", 4)
    if last is None or not _is_stack_of(shape, n_stack, space):
        return make_normalizer(attributes, space, place), wrappers
    assert shape is not None
    frame = spaces.Box(-np.inf, np.inf, shape, np.float32)
    one = make_normalizer(attributes, frame, place)
    if not isinstance(one, Normalizer):
        return one, wrappers
    stacked = (np.concatenate([part] * n_stack, axis=-1) for part in (one.mean, one.variance))
    mean, variance = stacked
    blank: WrapperSpec = {**last, "kwargs": {**last["kwargs"], "blank": one.mean.ravel().tolist()}}
    return replace(one, mean=mean, variance=variance), [*wrappers[:-1], blank]


def _is_stack_of(shape: tuple[int, ...] | None, n_stack: Any, space: Space[Any]) -> bool:
    if not shape or not isinstance(n_stack, int) or n_stack < 2 or math.prod(shape) == 0:
        return False
    return (*shape[:-1], shape[-1] * n_stack) == space.shape
