"""A source in C99 under construction, and what is said of a layer that is added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_distill.exporters.c99 import parts


@dataclass
class CSource:
    """A source under construction."""

    constants: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    """From `obs` to `outputs`."""
    action: list[str] = field(default_factory=list)
    """From the outputs to `action`."""
    masked_action: list[str] = field(default_factory=list)
    """From the outputs and `mask` to `action`, where actions may be ruled out."""
    flash_bytes: int = 0
    room: int = 0
    """Numbers that a layer needs in each of the two buffers, beside its input and its output."""

    def make_room(self, n: int) -> None:
        """Make the buffers as large as `n` numbers."""
        self.room = max(self.room, n)

    def use(self, function: str) -> None:
        """Add a function, once."""
        if function not in self.functions:
            self.functions.append(function)

    def constant(self, name: str, values: np.ndarray, kind: str = "float") -> str:
        """Add a constant array and return its name."""
        self.constants.append(parts.array(name, values, kind))
        self.flash_bytes += np.size(values) * {"double": 8, "signed char": 1, "unsigned char": 1}.get(kind, 4)
        return name

    def number(self, value: float) -> str:
        """Return a literal that C reads back to the same float32."""
        return parts.number(value)


@dataclass(frozen=True)
class Call:
    """A layer where it stands in a program."""

    layer: Mapping[str, Any]
    """Its record."""
    tensors: Mapping[str, np.ndarray]
    """The arrays that it names."""
    place: int
    """Which layer it is, counted from 0: part of the names of its constants."""
    shape: tuple[int, ...]
    """Shape of its input."""
    x: str
    """The buffer with its input, which it may overwrite."""
    y: str
    """The other buffer."""
    memory: str = ""
    """The array with its state, of a layer that has one."""
