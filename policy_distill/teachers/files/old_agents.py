"""Agents of earlier versions of SB3 and sb3-contrib, as what they would be saved as today.

Each line of the change logs that moved a weight, a setting or an observation has a function here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from gymnasium import spaces

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperSpec
from policy_distill.teachers.files.stand_ins import Inert, reference_of
from policy_distill.teachers.files.zip_file import SavedAgent

SHARED, SEPARATE = "mlp_extractor.shared_net.", ("mlp_extractor.policy_net.", "mlp_extractor.value_net.")
BARE_ACTORS = ("actor.mu.weight", "actor.mu.0.weight")
"""The last layer of the actors of SAC and TQC, and of TD3 and DDPG, where no other stands before it."""
DEEP_ACTORS = ("actor.latent_pi.", "actor.mu.2.")
"""A layer before it."""
LINEAR = re.compile(r"action_net\.(weight|bias)")
OF_HER = frozenset({"n_sampled_goal", "goal_selection_strategy", "model_class", "online_sampling"})
"""Attributes that the algorithm HER, before SB3 1.1, left in the zip of the model inside it."""


def modern(agent: SavedAgent) -> SavedAgent:
    """Return an agent with its weights and its `net_arch` as the present versions have them; present ones as is.

    Raises:
        RequestError: for one with a part that the present versions no longer have.
    """
    weights, data = agent.weights, agent.data
    if any("sde_features_extractor." in name for name in weights):
        raise RequestError(
            f"{agent.path} has a network of its own for its exploration (sde_net_arch), which Stable-Baselines3 "
            "dropped in 1.2; train an agent without it"
        )
    if str(reference_of(data.get("policy_class"))).startswith("sb3_contrib.ars."):
        # Its linear policy was no list of layers before sb3-contrib 1.7.
        weights = {LINEAR.sub(r"action_net.0.\1", name): value for name, value in weights.items()}
    saved = data.get("policy_kwargs")
    arguments = saved if isinstance(saved, dict) else {}
    if any(name in weights for name in BARE_ACTORS) and not any(name.startswith(DEEP_ACTORS) for name in weights):
        # The default for images before SB3 1.5; written down or not, the actor has no layer between.
        data = {**data, "policy_kwargs": {**arguments, "net_arch": []}}
    if any(name.startswith(SHARED) for name in weights):
        shared, own = _divided(arguments.get("net_arch"))
        net_arch = {key: [*shared, *(own.get(key) or [])] for key in ("pi", "vf")}
        data = {**data, "policy_kwargs": {**arguments, "net_arch": net_arch}}
        # Each layer has its activation after it.
        weights = dict(_separated(weights, 2 * len(shared)))
    return replace(agent, weights=weights, data=data)


def as_it_acted(policy: Any, agent: SavedAgent) -> Any:
    """Return a rebuilt policy that acts as the version that saved it did, where that differs."""
    arguments = agent.data.get("policy_kwargs")
    unsquashed = isinstance(arguments, dict) and arguments.get("squash_output") is False
    of_ars = reference_of(agent.data.get("policy_class")) == "sb3_contrib.ars.policies.ARSPolicy"
    if of_ars and unsquashed and isinstance(policy.action_space, spaces.Box) and _before(agent, (1, 7)):
        # It ended in a tanh all the same, which the present one leaves out.
        policy.action_net.append(torch.nn.Tanh())
    return policy


def _before(agent: SavedAgent, version: tuple[int, int]) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", agent.versions.get("stable-baselines3", ""))
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < version


def wrappers_of_old(data: dict[str, Any]) -> list[WrapperSpec]:
    """Return what an old algorithm put around its environment by itself, and today is asked for."""
    space = data.get("observation_space")
    kind = type(space).reference.rsplit(".", 1)[-1] if isinstance(space, Inert) else type(space).__name__
    return [{"name": "ObsDictWrapper", "kwargs": {}}] if OF_HER <= data.keys() and kind != "Dict" else []


def _separated(weights: dict[str, torch.Tensor], n_shared: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield weights with the layers that policy and value shared, before SB3 1.8, in the networks of both."""
    for name, value in weights.items():
        own = next((prefix for prefix in SEPARATE if name.startswith(prefix)), None)
        if name.startswith(SHARED):
            yield from ((name.replace(SHARED, prefix), value) for prefix in SEPARATE)
        elif own is not None:
            layer, _, rest = name[len(own) :].partition(".")
            yield f"{own}{int(layer) + n_shared}.{rest}", value
        else:
            yield name, value


def _divided(net_arch: Any) -> tuple[list[int], dict[str, Any]]:
    """Return the widths of shared layers, and those of the others by network, of [64, {"pi": [32], "vf": []}]."""
    layers = net_arch if isinstance(net_arch, list | tuple) else []
    shared = [layer for layer in layers if isinstance(layer, int)]
    return shared, next((layer for layer in layers if isinstance(layer, dict)), {})
