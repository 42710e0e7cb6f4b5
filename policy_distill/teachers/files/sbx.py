"""Agents of SBX, which is Stable-Baselines3 on JAX: their zips hold the policy as one pickle, weights included.

In: a zip. Out: a `SavedAgent` of the same network as Stable-Baselines3 has it. Neither JAX nor Flax is needed: of a
thousand objects in the pickle, functions and optimisers among them, each becomes an inert stand-in, and the arrays of
the actor are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from policy_distill.errors import RequestError
from policy_distill.teachers.files.stand_ins import ArrayStandIn, Inert, array_of, reference_of

NAMES = (
    *("sbx.", "jax.", "jaxlib.", "flax.", "optax.", "inspect.", "collections.abc.", "_functools.reduce", "_operator."),
    *("builtins.Ellipsis", "builtins.getattr", "builtins.object", "builtins.property", "builtins.type"),
)
"""Beginnings of what its pickles name beside what those of Stable-Baselines3 do: functions, all read past."""
ARRAY = "jax._src.array._reconstruct_array"
"""What makes an array of JAX from one of NumPy, which its arguments describe."""
LAYER = re.compile(r"Dense_(\d+)")
ACTIVATION = re.compile(rb"\bactivation_fn = (\w+)")
"""As Flax writes a module down."""
ACTIVATIONS = {"tanh": "Tanh", "relu": "ReLU", "elu": "ELU", "sigmoid": "Sigmoid", "silu": "SiLU", "swish": "SiLU"}
"""What Flax calls them, and torch. GELU is left out: theirs is an approximation by default."""

if TYPE_CHECKING:
    from policy_distill.teachers.files.zip_file import SavedAgent

Weights = dict[str, torch.Tensor]


def says_sbx(text: bytes) -> bool:
    """Say whether a zip's `data`, as JSON, calls its policy one of SBX."""
    return re.search(rb'"policy": \{\s*":type:": "<class \'sbx\.', text) is not None


def of_stable_baselines3(agent: SavedAgent, text: bytes) -> SavedAgent:
    """Return an agent of SBX, whose `data` is `text`, as the one that Stable-Baselines3 would have saved.

    Raises:
        RequestError: for a network that Stable-Baselines3 does not have, or has in another form.
    """
    reference = str(reference_of(agent.data.get("policy_class")))
    module = reference.removeprefix("sbx.").partition(".")[0] if reference.startswith("sbx.") else reference
    if module not in KINDS:
        raise RequestError(
            f"{agent.path} is of SBX's {module}; expected one of {', '.join(KINDS)}; load it in Python and pass the "
            "model"
        )
    policy = agent.data.get("policy")
    if not isinstance(policy, Inert):
        raise RequestError(f"{agent.path} is of SBX and holds no policy; save it again")
    known = policy.attributes
    for name in ("use_sde", "layer_norm", "features_extractor_class"):
        if known.get(name):
            raise RequestError(
                f"{agent.path} is of SBX with {name}, which is not read; load it in Python and pass the model"
            )
    reference, convert = KINDS[module]
    weights, sizes = convert(known, str(agent.path))
    own = {"net_arch": sizes, "activation_fn": _activation(text, agent.path)}
    data = {**agent.data, "policy_class": _named(reference), "policy_kwargs": own}
    return replace(agent, data=data, weights=weights)


def _named(reference: str) -> type[Inert]:
    return type("StandIn", (Inert,), {"reference": reference, "__slots__": ()})


def _activation(text: bytes, path: Path) -> type[Inert]:
    # JSON has each object in words too, and the actor comes first; of a critic alone, the critic.
    found = ACTIVATION.search(text)
    name = found[1].decode() if found else "nothing"
    if name not in ACTIVATIONS:
        raise RequestError(
            f"expected an activation among {', '.join(ACTIVATIONS)} in {path}, found {name}; load it in Python and "
            "pass the model"
        )
    return _named(f"torch.nn.modules.activation.{ACTIVATIONS[name]}")


def _layers(state: Any, place: str) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], dict[str, Any]]:
    """Return weights and biases of the layers of a network in their order, and its other parameters."""
    params = state.attributes.get("params") if isinstance(state, Inert) else None
    inner = params.get("params") if isinstance(params, dict) else None
    # Flax has all of a module's variables below one key, or, frozen, the parameters alone.
    found = inner if isinstance(inner, dict) else params
    if not isinstance(found, dict) or not found:
        raise RequestError(f"{place} is of SBX and holds no parameters of its actor; save it again")
    dense = {int(match[1]): value for name, value in found.items() if (match := LAYER.fullmatch(str(name)))}
    if not dense or sorted(dense) != list(range(len(dense))):
        raise RequestError(
            f"{place} is of SBX with layers that are not a chain of Dense ({', '.join(map(str, found))[:80]})"
        )
    layers = [
        (_array(dense[n], "kernel", place).T.contiguous(), _array(dense[n], "bias", place)) for n in sorted(dense)
    ]
    others = {str(name): value for name, value in found.items() if not LAYER.fullmatch(str(name))}
    if others.keys() - {"log_std"}:
        raise RequestError(
            f"{place} is of SBX with {', '.join(others)[:80]} in its network, which is not read; load it in Python "
            "and pass the model"
        )
    return layers, others


def _array(holder: Any, name: str, place: str) -> torch.Tensor:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, Inert) or value.reference != ARRAY or len(value.args) < 3:
        raise RequestError(f"{place} is of SBX, and its {name} is not an array; save it again")
    stand_in = type("Array", (ArrayStandIn,), {"reference": "numpy._core.multiarray._reconstruct", "__slots__": ()})()
    stand_in.state = value.args[2]
    return torch.from_numpy(array_of(stand_in).astype("float32"))


def _chain(layers: list[tuple[torch.Tensor, torch.Tensor]], prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield layers as torch's `Sequential` names them, with an activation after each."""
    for index, (weight, bias) in enumerate(layers):
        yield f"{prefix}.{2 * index}.weight", weight
        yield f"{prefix}.{2 * index}.bias", bias


def _widths(layers: list[tuple[torch.Tensor, torch.Tensor]]) -> list[int]:
    return [len(bias) for _, bias in layers]


def _ppo(known: dict[str, Any], place: str) -> tuple[Weights, dict[str, list[int]]]:
    (actor, others), (critic, _) = _layers(known.get("actor_state"), place), _layers(known.get("vf_state"), place)
    weights = dict(_chain(actor[:-1], "mlp_extractor.policy_net")) | dict(
        _chain(critic[:-1], "mlp_extractor.value_net")
    )
    for name, (weight, bias) in (("action_net", actor[-1]), ("value_net", critic[-1])):
        weights |= {f"{name}.weight": weight, f"{name}.bias": bias}
    if "log_std" in others:
        weights["log_std"] = _array(others, "log_std", place)
    return weights, {"pi": _widths(actor[:-1]), "vf": _widths(critic[:-1])}


def _squashed(known: dict[str, Any], place: str) -> tuple[Weights, dict[str, list[int]]]:
    layers, _ = _layers(known.get("actor_state"), place)
    weights = dict(_chain(layers[:-2], "actor.latent_pi"))
    for name, (weight, bias) in (("mu", layers[-2]), ("log_std", layers[-1])):
        weights |= {f"actor.{name}.weight": weight, f"actor.{name}.bias": bias}
    return weights, {"pi": _widths(layers[:-2]), "qf": [1]}


def _deterministic(known: dict[str, Any], place: str) -> tuple[Weights, dict[str, list[int]]]:
    layers, _ = _layers(known.get("actor_state"), place)
    return dict(_chain(layers, "actor.mu")), {"pi": _widths(layers[:-1]), "qf": [1]}


def _value(known: dict[str, Any], place: str) -> tuple[Weights, list[int]]:
    layers, _ = _layers(known.get("qf_state"), place)
    return dict(_chain(layers, "q_net.q_net")), _widths(layers[:-1])


KINDS: dict[str, tuple[str, Any]] = {
    "ppo": ("stable_baselines3.common.policies.ActorCriticPolicy", _ppo),
    "sac": ("stable_baselines3.sac.policies.SACPolicy", _squashed),
    "tqc": ("sb3_contrib.tqc.policies.TQCPolicy", _squashed),
    "td3": ("stable_baselines3.td3.policies.TD3Policy", _deterministic),
    "ddpg": ("stable_baselines3.td3.policies.TD3Policy", _deterministic),
    "dqn": ("stable_baselines3.dqn.policies.DQNPolicy", _value),
}
"""By SBX's modules: the policy in Stable-Baselines3 of the same network, and what converts the weights."""
