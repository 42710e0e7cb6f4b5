"""Pickles of the `gym` era, where only Gymnasium is installed: its names stand for those of `gym` while they are read.

For files that the caller vouches for; those that nobody vouches for are never unpickled.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium

SPACES = ("space", "box", "discrete", "multi_discrete", "multi_binary", "dict", "tuple")
"""Modules of `gym.spaces` that pickles name."""


@contextmanager
def gym_names() -> Iterator[None]:
    """Let `gym` and its spaces be Gymnasium's while this lasts; nothing changes where `gym` itself is installed."""
    if "gym" in sys.modules or importlib.util.find_spec("gym") is not None:
        yield
        return
    stand_in = types.ModuleType("gym")
    stand_in.__dict__.update(
        __path__=[],
        __version__=gymnasium.__version__,
        spaces=gymnasium.spaces,
        Env=gymnasium.Env,
        Space=gymnasium.Space,
    )
    modules = {"gym": stand_in, "gym.spaces": gymnasium.spaces}
    modules |= {f"gym.spaces.{name}": importlib.import_module(f"gymnasium.spaces.{name}") for name in SPACES}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
