"""What an operation is: one kind of layer, in every form that engines and exporters ask for.

In: a layer's record, such as {"op": "linear", "weight": "0.weight", "bias": "0.bias"}, and the named arrays. Out: a
function, a module, a node, lines of C. NumPy alone until another form is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from policy_distill.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource

Layer = Mapping[str, Any]
Tensors = Mapping[str, np.ndarray]
Function = Callable[[np.ndarray], np.ndarray]
Shape = tuple[int, ...]


def _no_macs(layer: Layer, tensors: Tensors) -> int:
    return 0


@dataclass(frozen=True)
class Operation:
    """One kind of layer. A form that is None cannot be had, and whoever needs it says so."""

    name: str
    """What records call it by, under `op`."""
    numpy: Callable[[Layer, Tensors], Callable[..., Any]]
    """The function from float32 `[B, ...]` to `[B, ...]`, which may overwrite its input. A function with
    `def` in a module, written with `np` alone: its source is copied into folders that act without this package."""
    shape: Callable[[Layer, Tensors, Shape], Shape]
    """What becomes of a shape; ValueError, KeyError, TypeError or IndexError where record, arrays and it do not fit."""
    has_weights: bool = False
    """True for one whose record names a `weight` and a `bias`."""
    arrays: tuple[str, ...] = ("weight", "bias")
    """Keys of its record that name arrays, where it has them: float32, but for `indices`."""
    indices: tuple[str, ...] = ()
    """Those of whole numbers, int32, which are no parameters."""
    macs: Callable[[Layer, Tensors], int] = _no_macs
    """Multiply-accumulates of one observation; biases and activations are not counted."""
    torch: Callable[[Layer, Tensors], nn.Module] | None = None
    """A trainable module with the arrays in it."""
    onnx: Callable[..., Any] | None = None
    """`(graph, x, layer, tensors)`: adds nodes after the node of that name, and returns the last one's name."""
    c: Callable[[CSource, Call], bool] | None = None
    """Adds lines of C to a source; returns True where the result is in the other buffer."""
    state: Callable[[Layer, Tensors, Shape], int] | None = None
    """Numbers that a layer with a memory carries from step to step, zeros when an episode begins; None for one without.

    The forms of one with a memory take the state too, `[B, n]`, and return the next one: `(x, state)` to `(y, state)`
    in NumPy, a `MemoryLayer` in torch, `(graph, x, layer, tensors, state)` to names of both in ONNX, and in C the array
    `call.memory`.
    """

    awaits: Callable[[Layer, Tensors, Shape], tuple[int, int]] | None = None
    """Where in its next state the numbers of the action are awaited that follows, and how many; of none, 0.

    Its forms leave room there, and whoever chooses the action writes them: `student.actions.ActionFeatures`.
    """

    def form(self, name: str, format: str) -> Any:
        """Return a form by its field's name; `format` is what it is needed for, in words.

        Raises:
            RequestError: where it has no such form, naming operation and format.
        """
        found = {"torch": self.torch, "onnx": self.onnx, "c": self.c}[name]
        if found is None:
            raise RequestError(f"the operation {self.name!r} has no form for {format}; use the runtime or format numpy")
        return found


def same_shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    """Return the shape as it is, as of an activation."""
    return shape
