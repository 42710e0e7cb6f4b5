"""Checkpoints: a run at the end of an iteration, in one file that holds nothing executable.

In: a run. Out: a file, and a run that goes on from it as if it had never stopped.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError, one_line
from policy_distill.run.checkpoints.files import OfRun, newest_first, remove_unfinished, set_aside, write_checkpoint
from policy_distill.run.checkpoints.stream_state import Saved
from policy_distill.run.provenance import fingerprint
from policy_distill.run.stream import Stream
from policy_distill.student.file import read_sealed
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.ranges import BEFORE, FREE
from policy_distill.system.records import dump, load
from policy_distill.tracking.attempts import note_again, noted

LOG = logging.getLogger("policy_distill")
LIES = (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, AssertionError)
"""What a file whose checksum is right and whose contents are not may lead to."""
MAX_NAMED = 3
"""Fields that a refusal names at most."""


class OtherRun(RequestError):
    """A checkpoint of a run with other settings."""


class Resumable(Protocol):
    """A run that can be saved between two rollouts, and brought back."""

    @property
    def stream(self) -> Stream:
        """Where its states come from."""
        ...

    @property
    def begun(self) -> bool:
        """True once there is something to keep."""
        ...

    def state(self) -> Saved:
        """Return all that its rest depends on."""
        ...

    def restore(self, tensors: dict[str, np.ndarray], record: Mapping[str, Any]) -> Any:
        """Take what `state` returned, in a run that was just opened; return the observations to go back to."""
        ...


class Keeper:
    """Writes a run's checkpoints when they are due: every so many steps or minutes, at the end, and before a stop."""

    def __init__(
        self, folder: Path | None, run: Resumable, identity: Mapping[str, Any], *, interrupts: Interrupts
    ) -> None:
        """Write to `folder` (None writes nothing); `interrupts` are told whether there is a checkpoint."""
        self.folder, self.run, self.identity, self.interrupts = folder, run, identity, interrupts
        self._steps, self._time = 0, time.monotonic()
        self._said = False
        """True once it was said what a resumed run would begin anew."""

    def begin(self, *, resume: bool) -> None:
        """Begin to count, after the run was brought to the newest checkpoint where it is to `resume`.

        Raises:
            RequestError: where it cannot be.
            Interrupted: where it was asked to stop meanwhile.
        """
        if self.folder is not None and resume:
            stop = partial(self.interrupts.stop_if_requested, "while its episodes were brought back")
            resume_newest(self.folder, self.run, self.identity, stop)
        self._steps, self._time = self.run.stream.env_steps, time.monotonic()
        self.interrupts.saved = self.folder is not None and self._steps > 0

    def due(self, *, stopping: bool) -> bool:
        """Say whether one is to be written now; `stopping` where the run is about to stop."""
        stream, config = self.run.stream, self.run.stream.config
        by_steps = 0 < config.checkpoint_every <= stream.env_steps - self._steps
        by_time = 0.0 < 60.0 * config.checkpoint_minutes <= time.monotonic() - self._time
        return self.folder is not None and (by_steps or by_time or stream.done or stopping)

    def save(self) -> None:
        """Write one."""
        assert self.folder is not None
        begins_anew = save_checkpoint(self.folder, self.run, self.identity)
        if begins_anew and not self._said:
            LOG.warning("in a run that is resumed from this checkpoint %s, and from there on it differs", begins_anew)
            self._said = True
        self.interrupts.saved, self._steps, self._time = True, self.run.stream.env_steps, time.monotonic()


def save_checkpoint(folder: Path, run: Resumable, identity: Mapping[str, Any]) -> str:
    """Write a run into a folder; `identity` is what a resumed run must share with this one.

    Returns:
        In words, what a resumed run would have to begin anew; empty where it would be the same run.
    """
    tensors, record = run.state()
    of_run = {"identity": _whole(identity, run.stream), "tracker": noted(folder.parent)}
    whole = {"checkpoint": {**dump(record), **of_run}}
    write_checkpoint(folder, run.stream.env_steps, run.stream.config.keep_checkpoints, tensors, whole)
    return record.begins_anew or ""


def resume_newest(
    folder: Path, run: Resumable, identity: Mapping[str, Any], on_step: Callable[[], None] | None = None
) -> None:
    """Bring a fresh run to the newest checkpoint that is whole, and its environments with it.

    `on_step` is called before each step that these take.

    Raises:
        RequestError: where no file is whole, or a whole one was made with other settings.
    """
    remove_unfinished(folder)
    paths, broken = newest_first(folder), None
    if not paths:
        LOG.warning("the run was stopped before its first checkpoint: it starts from the beginning")
        return
    for path in paths:
        try:
            observations = load_checkpoint(path, run, identity)
        except OtherRun:
            raise
        except RequestError as error:
            LOG.warning("%s; going back to the checkpoint before", error)
            set_aside(path)
            broken = broken or error
            continue
        _say_restarts(run.stream, run.stream.source.go_on(observations, on_step))
        return
    raise RequestError(f"expected an intact checkpoint in {folder}: {broken}; start over with --overwrite")


def load_checkpoint(path: Path, run: Resumable, identity: Mapping[str, Any]) -> Any:
    """Bring a fresh run to where the checkpoint was written, and return the observations that it saw then.

    Raises:
        RequestError: where the file is broken, or was made with other settings; those that differ are named.
    """
    tensors, metadata = read_sealed(path)
    record = metadata.get("checkpoint")
    if record is None:
        raise RequestError(f"expected a checkpoint, found a student file at {path}")
    try:
        of_run = load(OfRun, record, "checkpoint")
        _check_identity(of_run.identity, _whole(identity, run.stream))
        observations = run.restore(tensors, record)
        note_again(path.parent.parent, dict(of_run.tracker))
        return observations
    except OtherRun:
        raise
    except LIES as error:
        reason = one_line(f"{type(error).__name__}: {error}"[:200])
        raise RequestError(f"{path} is not a checkpoint that this version can resume ({reason})") from None


def _say_restarts(stream: Stream, failed: dict[int, str]) -> None:
    if failed:
        reasons = sorted(set(failed.values()))
        LOG.warning(
            "%s: %d of %d environments could not be brought back to where they were, and start a new episode (%s); "
            "from here on the run differs from one that was not interrupted",
            stream.envs.env_id,
            len(failed),
            stream.envs.n_envs,
            "; ".join(reasons[:MAX_NAMED]),
        )


def _whole(identity: Mapping[str, Any], stream: Stream) -> dict[str, Any]:
    """Return an identity with all that tells the teacher from another, as JSON gives it back."""
    found: dict[str, Any] = json.loads(json.dumps({**identity, "made_with": dump(fingerprint(stream.teacher))}))
    return found


def _check_identity(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    # One that was written before environments were recorded whole has their id alone.
    one, other = _fields(saved), _fields(now if "env" in saved else {**now, "env": None})
    if "made_with.files" not in one:
        other.pop("made_with.files", None)  # Of a version that did not tell the files of several teachers.
    differing = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    if differing:
        named = "; ".join(f"{name}={one.get(name)!r}, found {other.get(name)!r}" for name in differing[:MAX_NAMED])
        raise OtherRun(
            f"the checkpoint was made with {named}; resume with the same settings, or start over with --overwrite"
        )


def _fields(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be equal, by name: settings by their own, all else by where it stands."""
    fields: dict[str, Any] = {}
    for name, value in identity.items():
        if name == "config":
            # A setting that the version did not have which wrote it was what it is by itself, or had been before.
            value = {**DistillConfig().to_json(), **BEFORE, **value}
            fields |= {key: setting for key, setting in value.items() if key not in FREE}
        elif name == "request":
            # Where the teacher's file lies; the file itself is told by its digest.
            continue
        elif isinstance(value, dict):
            # By which module an environment is found, it is the same one.
            value = {key: part for key, part in value.items() if (name, key) != ("env", "module")}
            fields |= {f"{name}.{key}": part for key, part in value.items()}
        else:
            fields[name] = value
    return fields
