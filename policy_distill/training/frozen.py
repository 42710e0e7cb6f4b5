"""Layers of a student that stay as they are while the others learn.

In: a trainable student, and names. Out: the names of the weights that do not change: whoever trains asks
`requires_grad` of each, as torch does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.training.policy import StudentPolicy

EXAMPLE = "body, head, log_std, or the number of a layer such as 1"


def layers_of(tensors: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the names of the arrays of each layer that has any, by its name.

    Layers are numbered from 1, the last being the head; `log_std` is what stands beside the network.
    """
    found: dict[str, list[str]] = {}
    for name in tensors:
        found.setdefault(name.rpartition(".")[0], []).append(name)
    places = sorted((place for place in found if place), key=lambda place: int(place.rpartition(".")[2]))
    named = {str(number): tuple(found[place]) for number, place in enumerate(places, start=1)}
    return {**named, **({"log_std": ("log_std",)} if "log_std" in tensors else {})}


def names_to_freeze(tensors: Mapping[str, Any], asked: Sequence[str]) -> frozenset[str]:
    """Return the names of the arrays that `asked` says: layers by number, `head`, `body` (all before it), `log_std`.

    Raises:
        RequestError: for what is no layer, and where nothing is left to learn.
    """
    layers = layers_of(tensors)
    numbers = [name for name in layers if name != "log_std"]
    known = {**{name: (name,) for name in layers}, "body": tuple(numbers[:-1]), "head": tuple(numbers[-1:])}
    frozen: set[str] = set()
    for name in asked:
        if not known.get(name):
            raise RequestError(
                f"expected layers to freeze among {', '.join(key for key, of in known.items() if of)}, found {name!r}; "
                f"name {EXAMPLE}"
            )
        frozen |= {array for layer in known[name] for array in layers[layer]}
    if asked and all(set(layers[number]) <= frozen for number in numbers):
        raise RequestError(
            f"expected at least one layer left to train, found all frozen by {', '.join(asked)}; leave one out"
        )
    return frozenset(frozen)


def freeze_layers(policy: StudentPolicy, asked: Sequence[str]) -> frozenset[str]:
    """Let layers of a trainable student stay as they are, and return the names of their weights.

    Raises:
        RequestError: as of `names_to_freeze`.
    """
    parameters = dict(policy.named_parameters())
    frozen = names_to_freeze(parameters, asked)
    for name, weight in parameters.items():
        weight.requires_grad_(name not in frozen)
    return frozen
