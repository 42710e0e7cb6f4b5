"""Which algorithm an agent is of, found from what its zip holds, and what serves as a teacher of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.teachers.deterministic import make_ars, make_deterministic
from policy_distill.teachers.files.stand_ins import reference_of
from policy_distill.teachers.maskable import make_maskable
from policy_distill.teachers.on_policy import make_on_policy
from policy_distill.teachers.recurrent import make_recurrent
from policy_distill.teachers.squashed import make_squashed
from policy_distill.teachers.value import make_value


@dataclass(frozen=True)
class Algorithm:
    """An algorithm of SB3 or sb3-contrib."""

    cls: str
    """Class name."""
    package: str
    """Package that it comes from."""
    make: Callable[..., Teacher]
    """Makes a teacher from (policy, normaliser, provenance)."""


SB3, CONTRIB = "stable_baselines3", "sb3_contrib"

ALGORITHMS = {
    "ppo": Algorithm("PPO", SB3, make_on_policy),
    "a2c": Algorithm("A2C", SB3, make_on_policy),
    "trpo": Algorithm("TRPO", CONTRIB, make_on_policy),
    "ppo_lstm": Algorithm("RecurrentPPO", CONTRIB, make_recurrent),
    "ppo_mask": Algorithm("MaskablePPO", CONTRIB, make_maskable),
    "sac": Algorithm("SAC", SB3, make_squashed),
    "tqc": Algorithm("TQC", CONTRIB, make_squashed),
    "crossq": Algorithm("CrossQ", CONTRIB, make_squashed),
    "td3": Algorithm("TD3", SB3, make_deterministic),
    "ddpg": Algorithm("DDPG", SB3, make_deterministic),
    "ars": Algorithm("ARS", CONTRIB, make_ars),
    "dqn": Algorithm("DQN", SB3, make_value),
    "qrdqn": Algorithm("QRDQN", CONTRIB, make_value),
}
"""By the names that the RL Zoo uses."""

BY_POLICY_MODULE = {
    "policy_distill.exporters.sb3_policy": "ppo",
    "sb3_contrib.common.recurrent.policies": "ppo_lstm",
    "sb3_contrib.common.maskable.policies": "ppo_mask",
    "sb3_contrib.ars.policies": "ars",
    "sb3_contrib.crossq.policies": "crossq",
    "sb3_contrib.qrdqn.policies": "qrdqn",
    "sb3_contrib.tqc.policies": "tqc",
    "stable_baselines3.dqn.policies": "dqn",
    "stable_baselines3.sac.policies": "sac",
}
"""Policies that belong to one algorithm."""


def find_algorithm(data: dict[str, Any], asked: str, place: str) -> str:
    """Return the algorithm's name.

    Args:
        data: the zip's `data`.
        asked: a name, or `auto` to find it.
        place: the file, for errors.

    Raises:
        RequestError: for an unknown name, or a policy that is neither SB3's nor sb3-contrib's.
    """
    if asked != "auto":
        return check_name(asked)
    for module in _modules(data.get("policy_class")):
        if module in BY_POLICY_MODULE:
            return BY_POLICY_MODULE[module]
        if module == "stable_baselines3.td3.policies":
            # DDPG is TD3 without delay and without noise on the target.
            return "ddpg" if data.get("policy_delay") == 1 and data.get("target_noise_clip") == 0.0 else "td3"
        if module == "stable_baselines3.common.policies":
            # These share their policies; only PPO clips, only TRPO solves by conjugate gradients.
            return "ppo" if "clip_range" in data else "trpo" if "cg_max_steps" in data else "a2c"
    reference = reference_of(data.get("policy_class")) or str(data.get("policy_class"))
    raise RequestError(
        f"{place} has the policy {reference}, which no algorithm of Stable-Baselines3 or sb3-contrib has; "
        "if you trust the file, load it with trust=True (--trust) and name the algorithm with algo (--algo)"
    )


def _modules(policy_class: Any) -> list[str]:
    """Return the module of a policy's stand-in, or those of a real policy and its ancestors, the nearest first."""
    reference = reference_of(policy_class)
    if reference is not None:
        return [reference.rpartition(".")[0]]
    ancestors = policy_class.__mro__ if isinstance(policy_class, type) else ()
    # Every policy descends from these two, so they tell nothing.
    return [cls.__module__ for cls in ancestors if cls.__name__ not in ("BasePolicy", "BaseModel")]


def algorithm_of(model_class: type) -> str:
    """Return the name of a model's algorithm: that of its class, or of the nearest ancestor that is a known one.

    Raises:
        RequestError: for one that descends from none of them.
    """
    by_class = {algorithm.cls: key for key, algorithm in ALGORITHMS.items()}
    for cls in model_class.__mro__:
        if cls.__name__ in by_class and cls.__module__.split(".")[0] in (SB3, CONTRIB):
            return by_class[cls.__name__]
    raise RequestError(
        f"expected a model of {', '.join(by_class)} or a class derived from one, found {model_class.__name__}; "
        "say what it acts like with algo (--algo)"
    )


def check_name(name: str) -> str:
    """Return a known algorithm's name, given it or its class name in any case.

    Raises:
        RequestError: for an unknown one, with the known.
    """
    lower = name.lower()
    by_class = {algorithm.cls.lower(): key for key, algorithm in ALGORITHMS.items()}
    if lower not in ALGORITHMS and lower not in by_class:
        raise RequestError(f"expected an algorithm among auto, {', '.join(ALGORITHMS)}, found {name!r}")
    return lower if lower in ALGORITHMS else by_class[lower]
