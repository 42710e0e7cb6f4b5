"""Student specifications by name: `mlp:32,32` and `linear`, and how built layers are described for the student."""

from __future__ import annotations

import torch
from torch import nn

from policy_distill.errors import RequestError
from policy_distill.interfaces.students import Network
from policy_distill.networks.cnn import CNN
from policy_distill.networks.memory import Recurrent, Stacked
from policy_distill.networks.mlp import MLP
from policy_distill.student.engines.torch_layers import Beside, OwnLayer
from policy_distill.student.operations.history import MAX_STEPS
from policy_distill.student.operations.operation import Layer
from policy_distill.system.blame import others_blamed
from policy_distill.system.plugins import LEARNERS, load_plugin, names_in
from policy_distill.system.plugins import NETWORKS as GROUP

KINDS = {
    "mlp": "mlp:32,32 (hidden layers of 32 and 32 units)",
    "linear": "linear (no hidden layer)",
    "cnn": "cnn:16,32 (convolutions of 16 and 32 channels, for images), with a hidden layer cnn:16,32+mlp:64",
    "gru": "gru:16 (16 recurrent units), with a hidden layer gru:16+mlp:16",
    "history": "history:4+mlp:32 (the last 4 observations, and a hidden layer of 32), with the actions between them "
    "history:4a+mlp:32",
}
WITH_MEMORY = ("gru", "history")
"""Those that act by more than what they see now."""
TREES = {
    "tree": "tree:32 (a decision tree of at most 32 leaves)",
    "oblique_tree": "oblique_tree:16 (one that asks about weighted sums)",
}
"""Students that are no networks."""
MAX_WIDTH = 65_536
MAX_UNITS = 4096


def make_network(
    spec: str, activation: str, image: tuple[int, ...] | None = None, n_action_numbers: int = 0
) -> Network:
    """Return the network that a student specification names: ours, or of an installed package.

    `image` is the shape of the observed image that a cnn's vectors begin with; None for features that are one.
    `n_action_numbers` are those that an action is remembered by, for a network that does. A package offers a function
    from what stands behind the colon, and the activation, to a `Network`.

    Raises:
        RequestError: for an unknown kind or sizes that are not positive whole numbers.
    """
    kind, _, sizes = spec.partition(":")
    if kind == "linear" and not sizes:
        return MLP((), activation)
    if kind == "mlp" and sizes:
        return MLP(_widths(spec, sizes), activation)
    if kind == "cnn" and sizes:
        return _cnn(spec, activation, image)
    if kind in WITH_MEMORY and sizes:
        return _with_memory(spec, activation, n_action_numbers)
    make = None if kind in KINDS else load_plugin(GROUP, kind)
    if make is None:
        # Those that learn without gradients are students too, though no networks of this table.
        names = [*KINDS.values(), *TREES.values(), *sorted({*names_in(GROUP), *names_in(LEARNERS)})]
        raise RequestError(f"expected a student such as {'; '.join(names)}, found {spec!r}")
    with others_blamed(f"the student {spec} cannot be made", "fix it, or choose another student", RequestError):
        network: Network = make(sizes, activation)
    return network


def has_memory(spec: str) -> bool:
    """Say whether students of a specification act by more than what they see now."""
    return spec.partition(":")[0] in WITH_MEMORY


def has_actions(spec: str) -> bool:
    """Say whether students of a specification act by what they did too: `history:4a`."""
    return spec.partition(":")[0] == "history" and spec.partition("+")[0].endswith("a")


def _with_memory(spec: str, activation: str, n_action_numbers: int) -> Network:
    kind, _, size = spec.partition("+")[0].partition(":")
    with_actions = has_actions(spec)
    size = size[:-1] if with_actions else size
    tail = MLP(_behind(spec), activation)
    least, most = (1, MAX_UNITS) if kind == "gru" else (2, MAX_STEPS)
    if not (size.isascii() and size.isdigit() and least <= int(size) <= most):
        what = "units" if kind == "gru" else "observations"
        raise RequestError(f"expected from {least} to {most} {what}, as in {KINDS[kind].split()[0]}; found {spec!r}")
    if kind == "gru":
        return Recurrent(int(size), tail)
    return Stacked(int(size), tail, n_action_numbers if with_actions else 0)


def _cnn(spec: str, activation: str, image: tuple[int, ...] | None) -> CNN:
    first = spec.partition("+")[0]
    return CNN(_widths(spec, first.removeprefix("cnn:")), activation, _behind(spec), image)


def _behind(spec: str) -> tuple[int, ...]:
    """Return the widths of the mlp that a specification names after a plus; nothing where it names none."""
    first, plus, behind = spec.partition("+")
    if plus and not behind.startswith("mlp:"):
        raise RequestError(f"expected an mlp behind {first}, as in {first}+mlp:64; found {spec!r}")
    return _widths(spec, behind.removeprefix("mlp:")) if plus else ()


def describe_layers(network: nn.Sequential, input_shape: tuple[int, ...], prefix: str = "network.") -> list[Layer]:
    """Return the layer records of a built network, weights by their names in the student's state dict."""
    x = torch.zeros((1, *input_shape), device=next(network.parameters()).device)
    layers: list[Layer] = []
    for name, module in network.named_children():
        if isinstance(module, Beside):
            own = describe_layers(module.layers, (x.shape[1] - module.n,), f"{prefix}{name}.layers.")
            layers += [{**layer, "beside": module.n} for layer in own]
        with torch.no_grad():
            x = module(x)
        if not isinstance(module, Beside):
            layers.append(_describe(f"{prefix}{name}.", module, tuple(x.shape[1:])))
    return layers


def _describe(prefix: str, module: nn.Module, output_shape: tuple[int, ...]) -> Layer:
    weights = {"weight": f"{prefix}weight", "bias": f"{prefix}bias"}
    if isinstance(module, nn.Linear):
        return {"op": "linear", **weights}
    if isinstance(module, nn.Conv2d):
        return {"op": "conv2d", **weights, "stride": module.stride[0], "output_shape": list(output_shape)}
    if isinstance(module, OwnLayer):
        return module.record(prefix)
    simple: dict[type[nn.Module], str] = {nn.Tanh: "tanh", nn.ReLU: "relu", nn.Flatten: "flatten"}
    return {"op": simple[type(module)]}


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
