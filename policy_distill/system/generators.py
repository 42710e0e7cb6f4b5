"""Random numbers without a trace: what draws from the global generators is lent others, or has them put back after.

SB3 seeds the global generators as it loads, building a network draws from one, and so do policies that sample.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """Put Python's, NumPy's and torch's global generators back to where they were."""
    before = _states()
    try:
        yield
    finally:
        _restore(before)


class LentGenerators:
    """Generators of a seed that stand in for the global ones within `with`, and go on from there the next time."""

    def __init__(self, seed: int) -> None:
        """Seed them, without touching the global ones; `seed` is below 2^32."""
        with global_generators_kept():
            random.seed(seed)
            np.random.seed(seed)
            # Of every device that is in use, too.
            torch.manual_seed(seed)
            self._states = _states()
        self._outer = self._states

    def __enter__(self) -> None:
        """Lend them."""
        self._outer = _states()
        _restore(self._states)

    def __exit__(self, *_: object) -> None:
        """Put the global ones back."""
        self._states = _states()
        _restore(self._outer)


def _states() -> tuple[Any, ...]:
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    return random.getstate(), np.random.get_state(), torch.random.get_rng_state(), on_gpus


def _restore(states: tuple[Any, ...]) -> None:
    of_python, of_numpy, of_torch, on_gpus = states
    random.setstate(of_python)
    np.random.set_state(of_numpy)
    torch.random.set_rng_state(of_torch)
    if on_gpus is not None:
        torch.cuda.set_rng_state_all(on_gpus)
