"""Agents of CleanRL: a `.cleanrl_model` is the state dict of a script's network, and nothing else.

In: a path, and which script wrote it, as the file does not say so. Out: a `SavedAgent` of the same network as
Stable-Baselines3 has it: the same layers and activations, under other names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces

from policy_distill.errors import RequestError
from policy_distill.system.files import read_plain
from policy_distill.teachers.files.stand_ins import Inert
from policy_distill.teachers.files.weights import read_first_weights
from policy_distill.teachers.files.zip_file import SavedAgent

MAX_BYTES = 2**32
"""A network larger than this is none of its scripts'."""
CONVOLVED = 3136
"""Features of its convolutions for images of 84 x 84."""
LOWEST, HIGHEST = -5.0, 2.0
"""Between these its SAC has log σ, by a tanh."""
OF_LAYER = re.compile(r"(.*)\.(weight|bias)")

Weights = dict[str, torch.Tensor]
Converted = tuple[str, Weights, dict[str, Any], int | None, Space[Any] | int | None]
"""A policy's name in Stable-Baselines3, its weights and arguments, how much it observes (None for images), and its
actions: a space, or the number of continuous ones whose bounds the file lacks."""


def read_cleanrl(path: Path, kind: str, action_space: Space[Any] | None) -> SavedAgent:
    """Read a file of CleanRL, without running anything from it.

    Args:
        path: of the file.
        kind: one of `algorithm_names.CLEANRL`.
        action_space: of the environment, where it is known; PPO's continuous actions are clipped to its bounds.

    Raises:
        RequestError: for a file of another network, or one whose actions' bounds are not known.
    """
    data = read_plain(path, MAX_BYTES, "a file of CleanRL")
    weights = read_first_weights(data, str(path))
    try:
        reference, named, arguments, n_observed, actions = CONVERSIONS[kind](weights)
    except (KeyError, ValueError, IndexError) as error:
        found = ", ".join(list(weights)[:6]) or "nothing"
        raise RequestError(
            f"{path} holds no network of CleanRL's {kind} ({error} is not as expected among {found}); name the script "
            "that wrote it with --algo, or load it in Python and pass an object with predict"
        ) from None
    if isinstance(actions, int):
        actions = _bounds(path, actions, action_space)
    channels = weights["network.0.weight"].shape[1] if n_observed is None else 0
    observed = spaces.Box(0, 255, (channels, 84, 84), np.uint8) if n_observed is None else _vector(n_observed)
    attributes = {
        "policy_class": _named(reference),
        "policy_kwargs": {"activation_fn": _named(f"torch.nn.modules.activation.{ACTIVATION[kind]}"), **arguments},
        "observation_space": observed,
        "action_space": actions,
        **({"clip_range": None} if kind == "ppo" else {}),
        **({"policy_delay": 1, "target_noise_clip": 0.0} if kind == "ddpg" else {}),
    }
    return SavedAgent(path, attributes, named, hashlib.sha256(data).hexdigest(), len(data), {})


class TanhScale(torch.nn.Module):
    """What the log σ of its SAC is made of by."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return log σ within its bounds."""
        return LOWEST + 0.5 * (HIGHEST - LOWEST) * (torch.tanh(x) + 1.0)


def as_its_script(policy: Any, kind: str) -> Any:
    """Return a rebuilt policy that acts as the script's network, where Stable-Baselines3's does otherwise."""
    if kind == "sac":
        policy.actor.log_std = torch.nn.Sequential(policy.actor.log_std, TanhScale())
    return policy


def normalizes(agent: SavedAgent) -> bool:
    """Say whether the script normalises observations by statistics that it does not save."""
    return "clip_range" in agent.data and isinstance(agent.data["action_space"], spaces.Box)


def _named(reference: str) -> type[Inert]:
    return type("StandIn", (Inert,), {"reference": reference, "__slots__": ()})


def _vector(size: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def _bounds(path: Path, n_actions: int, space: Space[Any] | None) -> Space[Any]:
    if space is None:
        raise RequestError(
            f"{path} does not save the bounds of its actions; set the environment with --env (env= in Python)"
        )
    if not isinstance(space, spaces.Box) or space.shape != (n_actions,):
        raise RequestError(
            f"{path} has {n_actions} continuous actions, expected an environment with the same, found {space}"
        )
    return space


def _moved(weights: Weights, names: dict[str, str]) -> Weights:
    """Return layers under other names, once it is known that the file has these and no others.

    Raises:
        KeyError: for a layer that is missing.
        ValueError: for one that is too many.
    """
    layers = {found[1] for name in weights if (found := OF_LAYER.fullmatch(name))}
    if others := sorted(layers - set(names)):
        raise ValueError(others[0])
    return {f"{to}.{part}": weights[f"{name}.{part}"] for name, to in names.items() for part in ("weight", "bias")}


def _chain(weights: Weights, prefix: str) -> list[str]:
    """Return the layers of a `Sequential` in their order, activations between them left out."""
    numbers = sorted({int(found[1]) for name in weights if (found := re.fullmatch(rf"{prefix}\.(\d+)\.weight", name))})
    if not numbers or numbers != list(range(0, 2 * len(numbers), 2)):
        raise KeyError(f"{prefix}.0.weight")
    return [f"{prefix}.{number}" for number in numbers]


def _widths(weights: Weights, layers: Iterable[str]) -> list[int]:
    return [len(weights[f"{layer}.bias"]) for layer in layers]


def _ends(weights: Weights, layers: list[str], of: str, head: str) -> dict[str, str]:
    """Return names of a chain whose last layer is a head of Stable-Baselines3."""
    hidden = {layer: f"{of}.{2 * place}" for place, layer in enumerate(layers[:-1])}
    return {**hidden, layers[-1]: head}


def _convolutions(weights: Weights, to: str) -> dict[str, str]:
    if weights["network.7.weight"].shape[1] != CONVOLVED:
        raise ValueError("network.7.weight")
    return {**{f"network.{n}": f"{to}.cnn.{n}" for n in (0, 2, 4)}, "network.7": f"{to}.linear.0"}


def _ppo(weights: Weights) -> Converted:
    policies = "stable_baselines3.common.policies."
    if "network.0.weight" in weights:
        names = {**_convolutions(weights, "features_extractor"), "actor": "action_net", "critic": "value_net"}
        n_actions = spaces.Discrete(len(weights["actor.bias"]))
        return f"{policies}ActorCriticCnnPolicy", _moved(weights, names), {"net_arch": []}, None, n_actions
    is_continuous = "actor_logstd" in weights
    actor, critic = _chain(weights, "actor_mean" if is_continuous else "actor"), _chain(weights, "critic")
    names = _ends(weights, actor, "mlp_extractor.policy_net", "action_net")
    names |= _ends(weights, critic, "mlp_extractor.value_net", "value_net")
    moved, size = _moved(weights, names), len(weights[f"{actor[-1]}.bias"])
    if is_continuous:
        moved["log_std"] = weights["actor_logstd"].reshape(size)
    arguments = {"net_arch": {"pi": _widths(weights, actor[:-1]), "vf": _widths(weights, critic[:-1])}}
    observed = weights[f"{actor[0]}.weight"].shape[1]
    return f"{policies}ActorCriticPolicy", moved, arguments, observed, size if is_continuous else spaces.Discrete(size)


def _dqn(weights: Weights) -> Converted:
    policies = "stable_baselines3.dqn.policies."
    if "network.7.weight" in weights:
        names = {**_convolutions(weights, "q_net.features_extractor"), "network.9": "q_net.q_net.0"}
        n_actions = spaces.Discrete(len(weights["network.9.bias"]))
        return f"{policies}CnnPolicy", _moved(weights, names), {"net_arch": []}, None, n_actions
    if "atoms" in weights:
        raise ValueError("atoms")  # Of C51: its outputs are probabilities of returns, which a sum over them turns to Q.
    layers = _chain(weights, "network")
    moved = _moved(weights, {layer: f"q_net.q_net.{2 * place}" for place, layer in enumerate(layers)})
    arguments = {"net_arch": _widths(weights, layers[:-1])}
    observed, n_actions = weights[f"{layers[0]}.weight"].shape[1], spaces.Discrete(len(weights[f"{layers[-1]}.bias"]))
    return f"{policies}DQNPolicy", moved, arguments, observed, n_actions


def _sac(weights: Weights) -> Converted:
    heads = {"fc_mean": "actor.mu", "fc_logstd": "actor.log_std"}
    return _scaled_actor(weights, "stable_baselines3.sac.policies.SACPolicy", "actor.latent_pi", heads)


def _deterministic(weights: Weights) -> Converted:
    return _scaled_actor(weights, "stable_baselines3.td3.policies.TD3Policy", "actor.mu", {"fc_mu": "actor.mu.4"})


def _scaled_actor(weights: Weights, policy: str, to: str, heads: dict[str, str]) -> Converted:
    names = {"fc1": f"{to}.0", "fc2": f"{to}.2", **heads}
    arguments = {"net_arch": {"pi": _widths(weights, ("fc1", "fc2")), "qf": [1]}}
    return policy, _moved(weights, names), arguments, weights["fc1.weight"].shape[1], _scaled(weights)


def _scaled(weights: Weights) -> spaces.Box:
    """Return the action space that its script scaled a tanh to."""
    head = "fc_mean" if "fc_mean.bias" in weights else "fc_mu"
    size = len(weights[f"{head}.bias"])
    scale, bias = (weights[name].reshape(-1, size) for name in ("action_scale", "action_bias"))
    low, high = (bias - scale).numpy(), (bias + scale).numpy()
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low == low[0]).all() and (low < high).all()):
        raise ValueError("action_scale")
    return spaces.Box(low[0].astype(np.float32), high[0].astype(np.float32), dtype=np.float32)


CONVERSIONS = {"ppo": _ppo, "dqn": _dqn, "sac": _sac, "td3": _deterministic, "ddpg": _deterministic}
ACTIVATION = {"ppo": "Tanh", **dict.fromkeys(("dqn", "sac", "td3", "ddpg"), "ReLU")}
