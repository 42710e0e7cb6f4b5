"""Times several callables in turn, so that a busy moment of the machine falls on all of them.

In: named functions. Out: microseconds of one call, median and 99th percentile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

Timed = Callable[[], Any]

BLOCK_SECONDS = 0.002
"""What is timed as one piece: long against the clock's step, short against what disturbs a machine."""


@dataclass(frozen=True)
class Latency:
    """Microseconds of one call."""

    median_us: float
    """Median over blocks of calls."""
    p99_us: float
    """99th percentile of calls that were timed one by one, less what the clock costs."""


def time_in_turn(calls: Mapping[str, Timed], rounds: int, singles: int) -> dict[str, Latency]:
    """Return the latency of each call; `rounds` blocks and `rounds` times `singles` single calls of each are timed."""
    sizes = {name: _block_size(call) for name, call in calls.items()}
    blocks: dict[str, list[float]] = {name: [] for name in calls}
    single: dict[str, list[int]] = {name: [] for name in calls}
    clock = _clock_cost()
    for _ in range(rounds):
        for name, call in calls.items():
            blocks[name].append(_time_block(call, sizes[name]))
            single[name] += _time_singly(call, singles)
    return {
        name: Latency(
            float(np.median(blocks[name])) / 1e3, max(0.0, float(np.percentile(single[name], 99)) - clock) / 1e3
        )
        for name in calls
    }


def _block_size(call: Timed) -> int:
    call()
    size = 1
    while _time_block(call, size) * size < BLOCK_SECONDS * 1e9 / 2:
        size *= 2
    return size


def _time_block(call: Timed, size: int) -> float:
    """Return nanoseconds of one call, the mean over `size`."""
    began = perf_counter_ns()
    for _ in range(size):
        call()
    return (perf_counter_ns() - began) / size


def _time_singly(call: Timed, n: int) -> list[int]:
    found = []
    for _ in range(n):
        began = perf_counter_ns()
        call()
        found.append(perf_counter_ns() - began)
    return found


def _clock_cost() -> float:
    return float(np.median(_time_singly(lambda: None, 1000)))
