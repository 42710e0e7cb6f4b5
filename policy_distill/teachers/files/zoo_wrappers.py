"""The wrappers that the RL Zoo's configuration names, as `policy_distill.environments.wrappers` knows them.

In: the path of an agent. Out: the wrappers around its environment, the first innermost. What changes observations or
actions and is not known here stops the run: an agent is judged in the world that it was trained in.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from policy_distill.environments.wrappers import WRAPPERS
from policy_distill.interfaces.policies import WrapperSpec
from policy_distill.teachers.files.literals import read_literal
from policy_distill.teachers.files.zoo_config import not_understood, read_config
from policy_distill.teachers.request import MissingCompanion

LOG = logging.getLogger("policy_distill")

OF_TRAINING = frozenset(
    "AutoResetWrapper Autoreset ClipReward ClipRewardEnv DelayedRewardWrapper DoneOnSuccessWrapper EpisodicLifeEnv "
    "Monitor NormalizeReward OrderEnforcing PassiveEnvChecker PlotActionWrapper RecordEpisodeStatistics RecordVideo "
    "TimeLimit TransformReward TruncatedOnSuccessWrapper".split()
)
"""Wrappers that change rewards or the ends of episodes, or only look on: left away, with a warning."""

HARMLESS = frozenset("VecCheckNan VecMonitor VecNormalize VecTransposeImage VecVideoRecorder".split())
"""Wrappers of vectors that show an agent nothing new; statistics are looked for on their own."""


def wrappers_of(zip_path: Path) -> list[WrapperSpec]:
    """Return the wrappers that the configuration of an agent names, innermost first.

    Raises:
        MissingCompanion: for one that is not known here and may change what the agent sees or does.
    """
    config = read_config(zip_path, "config.yml")
    specs: list[WrapperSpec] = []
    for full_name, kwargs in _entries(config, "env_wrapper", zip_path):
        name = full_name.rpartition(".")[-1]
        if name in WRAPPERS:
            specs.append({"name": name, "kwargs": kwargs})
        elif name in OF_TRAINING:
            LOG.warning(
                "%s was trained with the wrapper %r, which is for training and not applied", zip_path, full_name
            )
        else:
            raise _unknown(zip_path, "env_wrapper", full_name)
    for full_name, kwargs in _entries(config, "vec_env_wrapper", zip_path):
        name = full_name.rpartition(".")[-1]
        order = kwargs.pop("channels_order", None) if name == "VecFrameStack" else None
        if name == "VecFrameStack" and order in (None, "last"):
            specs.append({"name": "FrameStack", "kwargs": kwargs})
        elif name not in HARMLESS:
            raise _unknown(zip_path, "vec_env_wrapper", full_name)
    n_stack = config.get("frame_stack")
    if n_stack:
        if not isinstance(n_stack, int):
            raise not_understood(zip_path, "frame_stack", n_stack)
        specs.append({"name": "FrameStack", "kwargs": {"n_stack": n_stack}})
    return specs


def _unknown(zip_path: Path, key: str, full_name: str) -> MissingCompanion:
    return MissingCompanion(
        f"{zip_path} was trained with the {key} {full_name!r}, which is not known here; name the wrappers to apply "
        f"with --wrapper (known: {', '.join(WRAPPERS)}), or --wrapper none (wrappers=[] in Python) where the "
        "environment has it already"
    )


def _entries(config: dict[str, Any], key: str, zip_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names and arguments of one wrapper, a list of them, or a list written as a string."""
    value = config.get(key)
    if isinstance(value, str) and value.startswith("["):
        try:
            value = read_literal(value)
        except ValueError:
            raise not_understood(zip_path, key, "a list") from None
    for entry in [] if value is None else value if isinstance(value, list) else [value]:
        name, kwargs = next(iter(entry.items()), (None, None)) if isinstance(entry, dict) else (entry, None)
        if not isinstance(name, str) or not isinstance(kwargs or {}, dict):
            raise not_understood(zip_path, key, entry)
        yield name, dict(kwargs or {})
