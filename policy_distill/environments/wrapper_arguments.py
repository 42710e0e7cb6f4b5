"""Arguments of wrappers, which may come from a file: numbers, and how large they may be."""

from __future__ import annotations

import sys
from typing import Any

from policy_distill.errors import RequestError

MOST = {
    **{"n_stack": 64, "frame_skip": 64, "skip": 1000, "horizon": 64, "screen_size": 1024, "noop_max": 10_000},
    "size": 2**24,
}
"""Arguments that cost memory or time, and what they are at most: they may come from a file."""
LARGEST = 1e9
"""Any other argument."""


def check_argument(wrapper: str, key: str, value: Any) -> None:
    """Check an argument of a wrapper: a number, or the numbers of a blank frame.

    Raises:
        RequestError: for anything else, or too large a number.
    """
    for number in value if key == "blank" and isinstance(value, list) else [value]:
        _check_number(wrapper, key, number)


def _check_number(wrapper: str, key: str, value: Any) -> None:
    most = MOST.get(key, sys.float_info.max if key == "blank" else LARGEST)
    # Written so that NaN is refused too.
    if not isinstance(value, int | float) or not abs(value) <= most:
        found = f"{value:.6g}" if isinstance(value, float) else type(value).__name__
        found = str(value) if isinstance(value, int) and abs(value) < 1e18 else found
        raise RequestError(f"the wrapper {wrapper} expects {key} to be a number of at most {most:g}, found {found}")
