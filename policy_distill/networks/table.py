"""Student specifications by name: `mlp:32,32` and `linear`, and how built layers are described for `layers.py`."""

from __future__ import annotations

from typing import Any

from torch import nn

from policy_distill.errors import RequestError
from policy_distill.interfaces import Network
from policy_distill.networks.mlp import MLP

KINDS = {
    "mlp": "mlp:32,32 (hidden layers of 32 and 32 units)",
    "linear": "linear (no hidden layer)",
}
MAX_WIDTH = 65_536


def make_network(spec: str, activation: str) -> Network:
    """Return the network that a student specification names.

    Raises:
        RequestError: for an unknown kind or sizes that are not positive whole numbers.
    """
    kind, _, sizes = spec.partition(":")
    if kind == "linear" and not sizes:
        return MLP((), activation)
    if kind == "mlp" and sizes:
        return MLP(_widths(spec, sizes), activation)
    raise RequestError(f"expected a student such as {'; '.join(KINDS.values())}, found {spec!r}")


def describe_layers(network: nn.Sequential) -> list[dict[str, Any]]:
    """Return the layer records of a built network, weights by their names in its state dict."""
    return [_describe(name, module) for name, module in network.named_children()]


def _describe(name: str, module: nn.Module) -> dict[str, Any]:
    if isinstance(module, nn.Linear):
        return {"op": "linear", "weight": f"network.{name}.weight", "bias": f"network.{name}.bias"}
    return {"op": {nn.Tanh: "tanh", nn.ReLU: "relu"}[type(module)]}


def _widths(spec: str, sizes: str) -> tuple[int, ...]:
    try:
        widths = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        widths = ()
    if not widths or not all(1 <= width <= MAX_WIDTH for width in widths):
        raise RequestError(
            f"expected widths from 1 to {MAX_WIDTH} separated by commas, as in mlp:32,32; found {spec!r}"
        )
    return widths
