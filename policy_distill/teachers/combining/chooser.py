"""Which teacher labels which state, by a function of somebody's own or by a key of the observation.

In: raw observations `[T, N, ...]`. Out: integers `[T, N]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from policy_distill.environments.make import import_package
from policy_distill.environments.names import working_folder_on_path
from policy_distill.errors import RequestError
from policy_distill.system.blame import blamed
from policy_distill.system.foreign import asked
from policy_distill.system.nested import first_of, merged

Function = Callable[[Any], Any]
FORM = "integers [B] for raw observations [B, ...]"


def find_function(place: str) -> Function:
    """Return the function that `module:name` names.

    Raises:
        RequestError: where it cannot be imported, or is none.
    """
    module, _, name = place.partition(":")
    with blamed(f"the function {place} cannot be found", "install its package, or run the command in its folder"):
        working_folder_on_path()
        found: Any = import_package(module)
    for part in name.split("."):
        found = asked(found, part)
    if not callable(found):
        what = "none" if found is None else f"a {type(found).__name__}"
        raise RequestError(f"expected a function at {place} that returns {FORM}, found {what}")
    function: Function = found
    return function


def integers_of(function: Function, place: str, obs: Any) -> np.ndarray:
    """Return what a function says of raw observations `[T, N, ...]`, int64 `[T, N]`.

    Raises:
        RequestError: where it fails, or answers in another form.
    """
    shape, flat = first_of(obs).shape[:2], merged(obs)
    count = shape[0] * shape[1]
    with blamed(f"the function {place} failed", f"it must return {FORM}"):
        found = function(flat)
        answer = np.asarray(found.cpu() if isinstance(found, torch.Tensor) else found)
    if answer.shape != (count,) or answer.dtype.kind not in "iub":
        raise RequestError(
            f"expected the function {place} to return {FORM}, here [{count}], found {answer.dtype} of shape "
            f"{answer.shape}"
        )
    return answer.astype(np.int64).reshape(shape)


def within(indices: np.ndarray, n_teachers: int, who: str) -> np.ndarray:
    """Return indices of teachers, once they are known to be some.

    Raises:
        RequestError: naming the first that is none.
    """
    wrong = (indices < 0) | (indices >= n_teachers)
    if wrong.any():
        raise RequestError(
            f"expected {who} to return the index of a teacher, 0 to {n_teachers - 1} in the order of --teacher, found "
            f"{int(indices[wrong][0])}"
        )
    return indices
