"""Which algorithm an agent is of, found from what its zip holds, and what serves as a teacher of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.system.plugins import TEACHERS, load_plugin, names_in, package_of
from policy_distill.teachers.files.stand_ins import reference_of
from policy_distill.teachers.kinds.deterministic import make_ars, make_deterministic
from policy_distill.teachers.kinds.maskable import make_maskable
from policy_distill.teachers.kinds.on_policy import make_on_policy
from policy_distill.teachers.kinds.recurrent import make_recurrent
from policy_distill.teachers.kinds.squashed import make_squashed
from policy_distill.teachers.kinds.value import make_value


@dataclass(frozen=True)
class Algorithm:
    """An algorithm of SB3, of sb3-contrib, or of whichever package has one that descends from theirs."""

    cls: str
    """Class name."""
    package: str
    """Package that it comes from."""
    make: Callable[..., Teacher]
    """Makes a teacher from (policy, normaliser, provenance)."""
    policies: Mapping[str, str] = field(default_factory=dict)
    """Names of its policy classes, by their modules. Files may name those of the table below; what another package
    adds is built from a file with `trust` alone."""


SB3, CONTRIB = "stable_baselines3", "sb3_contrib"
COMMON = {
    "stable_baselines3.common.policies": "ActorCriticPolicy ActorCriticCnnPolicy MultiInputActorCriticPolicy",
}
OWN = {"policy_distill.exporters.sb3_policy": "StudentActorCriticPolicy"}
"""What exported students are made of; by name, since exporters come after teachers."""
TD3 = {"stable_baselines3.td3.policies": "TD3Policy CnnPolicy MultiInputPolicy"}

ALGORITHMS = {
    "ppo": Algorithm("PPO", SB3, make_on_policy, {**COMMON, **OWN}),
    "a2c": Algorithm("A2C", SB3, make_on_policy, COMMON),
    "trpo": Algorithm("TRPO", CONTRIB, make_on_policy, COMMON),
    "ppo_lstm": Algorithm(
        "RecurrentPPO",
        CONTRIB,
        make_recurrent,
        {
            "sb3_contrib.common.recurrent.policies": (
                "RecurrentActorCriticPolicy RecurrentActorCriticCnnPolicy RecurrentMultiInputActorCriticPolicy"
            )
        },
    ),
    "ppo_mask": Algorithm(
        "MaskablePPO",
        CONTRIB,
        make_maskable,
        {
            "sb3_contrib.common.maskable.policies": (
                "MaskableActorCriticPolicy MaskableActorCriticCnnPolicy MaskableMultiInputActorCriticPolicy"
            )
        },
    ),
    "sac": Algorithm(
        "SAC", SB3, make_squashed, {"stable_baselines3.sac.policies": "SACPolicy CnnPolicy MultiInputPolicy"}
    ),
    "tqc": Algorithm(
        "TQC", CONTRIB, make_squashed, {"sb3_contrib.tqc.policies": "TQCPolicy CnnPolicy MultiInputPolicy"}
    ),
    "crossq": Algorithm("CrossQ", CONTRIB, make_squashed, {"sb3_contrib.crossq.policies": "CrossQPolicy"}),
    "td3": Algorithm("TD3", SB3, make_deterministic, TD3),
    "ddpg": Algorithm("DDPG", SB3, make_deterministic, TD3),
    "ars": Algorithm("ARS", CONTRIB, make_ars, {"sb3_contrib.ars.policies": "ARSPolicy ARSLinearPolicy"}),
    "dqn": Algorithm(
        "DQN", SB3, make_value, {"stable_baselines3.dqn.policies": "DQNPolicy CnnPolicy MultiInputPolicy"}
    ),
    "qrdqn": Algorithm(
        "QRDQN", CONTRIB, make_value, {"sb3_contrib.qrdqn.policies": "QRDQNPolicy CnnPolicy MultiInputPolicy"}
    ),
}
"""By the names that the RL Zoo uses. Installed packages add theirs by entry points in `policy_distill.teachers`."""


def algorithm_named(name: str) -> Algorithm:
    """Return an algorithm by a name that `check_name` or `find_algorithm` returned."""
    found = ALGORITHMS.get(name) or _plugin(name)
    assert found is not None, "the name was found before"
    return found


def may_be_named(module: str, name: str) -> bool:
    """Say whether files that nobody vouches for may name that policy class."""
    return any(name in one.policies.get(module, "").split() for one in ALGORITHMS.values())


def _plugin(name: str) -> Algorithm | None:
    """Return what an installed package offers under a name.

    Raises:
        RequestError: where that is no `Algorithm`, or cannot be loaded.
    """
    found = load_plugin(TEACHERS, name)
    if found is None or isinstance(found, Algorithm):
        return found
    raise RequestError(
        f"the package {package_of(TEACHERS, name)} offers {name!r} as one of {TEACHERS}, and it is a "
        f"{type(found).__name__}; expected an Algorithm as of policy_distill.teachers.algorithms"
    )


def _all() -> Iterator[tuple[str, Algorithm]]:
    """Yield all algorithms by their names; those of installed packages last, as looking for them takes time."""
    yield from ALGORITHMS.items()
    for name in names_in(TEACHERS):
        if name not in ALGORITHMS and (one := _plugin(name)) is not None:
            yield name, one


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
        if module in TD3:
            # DDPG is TD3 without delay and without noise on the target.
            return "ddpg" if data.get("policy_delay") == 1 and data.get("target_noise_clip") == 0.0 else "td3"
        if module in COMMON:
            # These share their policies; only PPO clips, only TRPO solves by conjugate gradients.
            return "ppo" if "clip_range" in data else "trpo" if "cg_max_steps" in data else "a2c"
        if (name := next((name for name, one in _all() if module in one.policies), None)) is not None:
            return name
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
    for cls in model_class.__mro__:
        package = cls.__module__.split(".")[0]
        for name, one in _all():
            if (one.cls, one.package.split(".")[0]) == (cls.__name__, package):
                return name
    raise RequestError(
        f"expected a model of {', '.join(one.cls for _, one in _all())} or a class derived from one, found "
        f"{model_class.__name__}; say what it acts like with algo (--algo)"
    )


def check_name(name: str) -> str:
    """Return a known algorithm's name, given it or its class name in any case.

    Raises:
        RequestError: for an unknown one, with the known.
    """
    lower = name.lower()
    if lower in ALGORITHMS:
        return lower
    known = dict(_all())
    found = next((key for key, one in known.items() if lower in (key.lower(), one.cls.lower())), None)
    if found is None:
        raise RequestError(f"expected an algorithm among auto, {', '.join(known)}, found {name!r}")
    return found
