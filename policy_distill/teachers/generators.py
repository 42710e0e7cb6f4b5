"""Loading without a trace: SB3 seeds the global generators as it loads, and building a network draws from one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """Put Python's, NumPy's and torch's (on the CPU) global generators back to where they were."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
