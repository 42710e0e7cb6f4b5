"""Writes a trained agent as SB3 and the RL Zoo do: its zip, its statistics, and its environment's arguments.

In: a model, and what it was trained in. Out: files that `load_teacher` finds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from policy_distill.environments.identity import identify
from policy_distill.student.file import write_atomically


def place_for(out: str | Path) -> Path:
    """Return the zip that is to be written, in a folder that is there."""
    out = Path(out).with_suffix(".zip")
    out.parent.mkdir(parents=True, exist_ok=True)
    return out


def save_agent(model: BaseAlgorithm, out: Path, env: Any, vec_env: VecEnv) -> None:
    """Write a model that was trained in `env`, and beside it what `load_teacher` looks for there."""
    was_there = out.exists()
    model.save(out)
    _note_environment(out, env)
    _write_statistics(out, vec_env, replace=was_there)


def _note_environment(out: Path, env: Any) -> None:
    """Write what the zip's name cannot say of the environment, as the RL Zoo does, into the folder of its name."""
    known = identify(env) if isinstance(env, str | EnvSpec) else None
    if known is None or known.missing or not (known.own_kwargs or known.module):
        # That of an agent whose place this one takes.
        (out.with_suffix("") / "args.yml").unlink(missing_ok=True)
        return
    named = f"{known.module}:{known.id}" if known.module else known.id
    out.with_suffix("").mkdir(exist_ok=True)
    note = {"env": named, "env_kwargs": known.to_json()["kwargs"]}
    write_atomically(out.with_suffix("") / "args.yml", yaml.safe_dump(note).encode())


def _write_statistics(out: Path, vec_env: VecEnv, replace: bool) -> None:
    """Write the statistics of `VecNormalize` beside an agent, under its own name where other agents lie there too.

    Those of an agent whose place this one takes go: they would be taken for this one's.
    """
    own, shared = out.with_name(f"{out.stem}_vecnormalize.pkl"), out.with_name("vecnormalize.pkl")
    alone = [path.name for path in out.parent.glob("*.zip")] == [out.name]
    own.unlink(missing_ok=True)
    if replace and alone:
        shared.unlink(missing_ok=True)
    if isinstance(vec_env, VecNormalize):
        vec_env.save(str(shared if alone else own))
