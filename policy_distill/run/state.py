"""All that the rest of a run depends on, as arrays and JSON values, and back.

In: a session with its selection. Out: the same, in a session that was just opened; generators need no place in it,
since their seeds are functions of the iteration (`training/schedule.py`).
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import numpy as np
import torch

from policy_distill.run.selection import Candidate, Selection
from policy_distill.run.session import Session
from policy_distill.student.features import dump_normalizer, load_normalizer
from policy_distill.student.spaces import describe_space
from policy_distill.system.packing import alike, pack, unpack

LOG = logging.getLogger("policy_distill")


def state_of(session: Session, selection: Selection) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return all that the rest of a run depends on: arrays, and JSON values."""
    assert session.policy is not None
    collector = session.collector
    tensors = {f"student.{name}": array for name, array in session.policy.tensors().items()}
    tensors |= {f"training.{name}": array for name, array in session.trainer.stepper.state().items()}
    tensors |= {f"buffer.{name}": array for name, array in session.buffer.state().items()}
    tensors["collector.n_episodes"] = collector.n_episodes
    tensors["collector.running"] = collector.running
    tensors["collector.starts"] = collector.starts
    tensors["collector.returns"] = np.array(collector.returns, dtype=np.float64)
    if collector.log is not None:
        tensors |= {f"log.{name}": array for name, array in collector.log.arrays().items()}
    if selection.best is not None:
        tensors |= {f"best.{name}": value.cpu().numpy() for name, value in selection.best.weights.items()}
        tensors["selection.returns"] = selection.best.returns
    record = {
        "best_env_steps": selection.best.env_steps if selection.best else None,
        "owed": selection.owed,
        "env_steps": session.env_steps,
        "iteration": session.iteration,
        "seconds": session.seconds,
        "wall_seconds": time.perf_counter() - session.began,
        "normalizer": dump_normalizer(session.policy.spec.normalizer),
        "buffer_next": session.buffer.next,
        "calibration": session.teacher.calibration,
        "recoveries": session.trainer.recovery.n,
        "env_restarts": session.restarts.n_here,
        "obs": pack("obs", session.envs.obs, tensors),
        "states": {
            name: _pack_state(f"state.{name}", value, tensors)
            for name, value in (("actor", collector.state), ("teacher", session.label_state))
        },
    }
    record["begins_anew"] = _begins_anew(session, record["states"])
    return tensors, record


def _begins_anew(session: Session, states: dict[str, Any]) -> str:
    """Return in words what a run that goes on from here cannot bring back; empty where that is nothing."""
    lost = session.collector.lost()
    parts = ["a recurrent state begins anew"] if None in states.values() else []
    if lost:
        reasons = "; ".join(sorted(set(lost.values())))
        parts.append(f"{len(lost)} of {session.envs.n_envs} environments start a new episode ({reasons})")
    return " and ".join(parts)


def _pack_state(name: str, value: Any, tensors: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """Return the structure of a recurrent state; None for one of a kind of its own, as a policy may have."""
    found: dict[str, np.ndarray] = {}
    try:
        structure: dict[str, Any] = pack(name, value, found)
    except TypeError:
        return None
    tensors.update(found)
    return structure


def restore(session: Session, selection: Selection, tensors: dict[str, np.ndarray], record: dict[str, Any]) -> Any:
    """Give a session what `state_of` returned; return the observations."""
    obs, collector = unpack(record["obs"], tensors), session.collector
    if collector.log is not None:
        if not alike(obs, session.envs.obs):
            raise ValueError("its observations are of another environment")
        collector.log.restore(_named(tensors, "log."))
    session.create_student(load_normalizer(record["normalizer"], describe_space(session.envs.observation_space)))
    assert session.policy is not None
    session.policy.load_state_dict(_torch(_named(tensors, "student.")))
    session.trainer.stepper.restore(_named(tensors, "training."))
    session.trainer.recovery.n = _count(record, "recoveries")
    selection.best, selection.owed = None, _metrics(record.get("owed"))
    if record["best_env_steps"] is not None:
        returns = np.array(tensors["selection.returns"])
        weights = _torch(_named(tensors, "best."))
        if not alike(weights, session.weights()):
            raise ValueError("its best student is of another network")
        selection.best = Candidate(_count(record, "best_env_steps"), weights, returns)
    session.buffer.restore(_named(tensors, "buffer."), _count(record, "buffer_next"))
    if record["calibration"] is not None:
        session.teacher = session.teacher.with_calibration(record["calibration"])
    for name in ("n_episodes", "running", "starts"):
        saved, now = tensors[f"collector.{name}"], getattr(collector, name)
        if not alike(saved, now) or ((saved < 0).any() and name == "n_episodes"):
            raise ValueError(f"{name} are of other environments")
        now[:] = saved
    returns = tensors["collector.returns"]
    if returns.ndim != 1 or not np.isfinite(returns).all():
        raise ValueError("returns are no list of numbers")
    collector.returns.clear()
    collector.returns.extend(returns.tolist())
    states = {name: unpack(value, tensors) for name, value in record["states"].items() if value is not None}
    if len(states) < len(record["states"]):
        LOG.warning("a recurrent state has no form in a checkpoint: it begins anew, and the run differs from there on")
    collector.state, session.label_state = states.get("actor"), states.get("teacher")
    session.restarts.go_on(_count(record, "env_restarts"))
    session.seconds = {stage: _seconds(record["seconds"][stage]) for stage in session.seconds}
    collector.env_seconds = session.seconds["environment"]
    session.began = time.perf_counter() - _seconds(record["wall_seconds"])
    session.env_steps, session.iteration = _count(record, "env_steps"), _count(record, "iteration")
    return obs


def _metrics(values: Any) -> dict[str, float] | None:
    """Return what an iteration measured."""
    return None if values is None else {str(name): float(value) for name, value in values.items()}


def _count(record: dict[str, Any], name: str) -> int:
    """Return a number of steps or other events."""
    value = record[name]
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"{name} is no count")
    return value


def _seconds(value: Any) -> float:
    """Return a time that has passed."""
    if not 0.0 <= float(value) < math.inf:
        raise ValueError("a time is not finite")
    return float(value)


def _named(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _torch(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
