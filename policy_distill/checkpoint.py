"""Checkpoints: a session at the end of an iteration, in one file that holds nothing executable.

In: a `Session`. Out: a file written whole or not at all, and a session that goes on from it. Episodes restart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from policy_distill.config import LIMITS
from policy_distill.errors import RequestError
from policy_distill.observations import dump_normalizer, load_normalizer
from policy_distill.selection import Candidate, Selection
from policy_distill.session import Session
from policy_distill.spaces import describe_space
from policy_distill.student_file import read_sealed, write_sealed


def save_checkpoint(path: Path, session: Session, selection: Selection, identity: dict[str, Any]) -> None:
    """Write the session; `identity` is what a resumed run must share with this one."""
    assert session.policy is not None
    size = session.buffer.size
    tensors = {f"student.{name}": array for name, array in session.policy.tensors().items()}
    tensors |= {f"training.{name}": array for name, array in session.trainer.stepper.state().items()}
    tensors["buffer.features"] = session.buffer.features[:size].cpu().numpy()
    tensors["buffer.teacher_params"] = session.buffer.teacher_params[:size].cpu().numpy()
    tensors["recovery.n"] = np.array(session.trainer.recovery.n)
    tensors["collector.n_episodes"] = session.collector.n_episodes
    if selection.best is not None:
        tensors |= {f"best.{name}": value.cpu().numpy() for name, value in selection.best.weights.items()}
        tensors["selection.returns"] = selection.best.returns
    record = {
        "best_env_steps": selection.best.env_steps if selection.best else None,
        "identity": identity,
        "env_steps": session.env_steps,
        "iteration": session.iteration,
        "seconds": session.seconds,
        "returns": list(session.collector.returns),
        "normalizer": dump_normalizer(session.policy.spec.normalizer),
        "buffer_next": session.buffer.next,
        "calibration": getattr(session.teacher, "calibration", None),
    }
    write_sealed(path, tensors, {"checkpoint": record})


def load_checkpoint(path: Path, session: Session, selection: Selection, identity: dict[str, Any]) -> None:
    """Bring a fresh session to where the checkpoint was written.

    Raises:
        RequestError: where the file is broken, or was made with other settings; the first that differs is named.
    """
    tensors, metadata = read_sealed(path)
    record = metadata.get("checkpoint")
    if record is None:
        raise RequestError(f"expected a checkpoint, found a student file at {path}")
    _check_identity(record["identity"], identity)
    space = describe_space(session.envs.observation_space)
    session.create_student(load_normalizer(record["normalizer"], space))
    assert session.policy is not None
    session.policy.load_state_dict(_torch(_named(tensors, "student.")))
    session.trainer.stepper.restore(_named(tensors, "training."))
    session.trainer.recovery.n = int(tensors["recovery.n"])
    if record["best_env_steps"] is not None:
        returns = np.array(tensors["selection.returns"])
        selection.best = Candidate(record["best_env_steps"], _torch(_named(tensors, "best.")), returns)
    stored = _torch(_named(tensors, "buffer."))
    session.buffer.add(stored["features"], stored["teacher_params"])
    session.buffer.next = record["buffer_next"]
    if record["calibration"] is not None:
        session.teacher.calibration = record["calibration"]  # type: ignore[attr-defined]
    session.collector.n_episodes = np.array(tensors["collector.n_episodes"])
    session.collector.returns.extend(record["returns"])
    session.collector.env_seconds = record["seconds"]["environment"]
    session.env_steps, session.iteration, session.seconds = record["env_steps"], record["iteration"], record["seconds"]


def _check_identity(saved: dict[str, Any], now: dict[str, Any]) -> None:
    saved, now = ({**values, **values.get("config", {})} for values in (saved, now))
    for name in saved:
        if name not in ("config", *LIMITS) and saved[name] != now.get(name):
            raise RequestError(
                f"the checkpoint was made with {name}={saved[name]!r}, found {now.get(name)!r}; "
                "resume with the same settings, or start anew with --overwrite"
            )


def _named(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _torch(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
