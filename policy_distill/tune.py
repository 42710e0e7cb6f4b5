"""Searches with Ray Tune, for those who live there: a trainable and a search space for `ray.tune.Tuner`.

In: a teacher and an environment. Out: a function of a trial's settings, which reports the mean return on selection
episodes for each student that a run judges, with a checkpoint to go on from. The proof's episodes are played by
`prove_best` alone, once all is chosen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from policy_distill.config import make_config
from policy_distill.errors import RequestError
from policy_distill.run.folder import RunFolder
from policy_distill.run.judging.selection import N_CANDIDATES
from policy_distill.run.result import DistillResult
from policy_distill.run.suite.grid import require_student
from policy_distill.run.suite.search import JUDGED
from policy_distill.run.suite.search_space import STUDENT, space_of
from policy_distill.tracking.base import BaseTracker

METRIC = "selection_return"
"""What trials report, to be maximised; beside it `env_steps`, the steps that the student has learnt from."""
STEPS = "env_steps"


def search_space(space: Mapping[str, Any] | None = None, students: Sequence[str] = ()) -> dict[str, Any]:
    """Return a `param_space` for `ray.tune.Tuner`.

    Args:
        space: as under `search:` in a suite's grid (docs/suite.md); the usual one where None.
        students: networks to choose from.

    Raises:
        RequestError: naming the setting that is not as expected.
    """
    return space_of(None if space is None else dict(space), "search_space", tuple(students)).for_tune()


def trainable(
    teacher: str | Path,
    env: str | None = None,
    student: str = "mlp:32,32",
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Callable[[dict[str, Any]], None]:
    """Return what `ray.tune.Tuner` trains: a distillation with the settings of a trial.

    It reports `selection_return` and `env_steps` for each student that a run judges, so that a scheduler
    such as ASHA can stop it, with a checkpoint, so that `Tuner.restore` goes on with it.

    Args:
        teacher: path of an agent, which every machine sees.
        env: Gymnasium id, which may name its package; None for the one that the agent was trained in.
        student: the network of trials that choose none.
        env_kwargs: arguments of the environment's constructor.
        **settings: fields of `DistillConfig`, which those of a trial go before.

    Raises:
        RequestError: for a wrong setting, or no file at the path.
    """
    make_config(None, settings)
    require_student(student, str(settings.get("activation", "tanh")), "trainable")
    source = Path(os.path.abspath(teacher))
    if not source.exists():
        raise RequestError(f"expected an agent's file or folder, found nothing at {source}; check the path")

    def train(config: dict[str, Any]) -> None:
        from ray import tune

        folder = Path(tune.get_context().get_trial_dir()) / "run"
        checkpoint = tune.get_checkpoint()
        if checkpoint is not None:
            # What lies here may be newer, and may be half written; Tune goes on from what it was told.
            shutil.rmtree(folder, ignore_errors=True)
            checkpoint.to_directory(folder)
        _distil(source, env, env_kwargs, student, {**settings, **config}, folder, tracker=_Reports(folder), prove=False)

    return train


def prove_best(
    best: Any, teacher: str | Path, out: str | Path, env: str | None = None, student: str = "mlp:32,32", **settings: Any
) -> DistillResult:
    """Prove the student of a trial once, on episodes that nothing was chosen by, and return its result.

    Args:
        best: what `ResultGrid.get_best_result` returns.
        teacher: as of `trainable`, like all that follow but `out`.
        out: a new run folder.
        env: the environment.
        student: the network of trials that choose none.
        **settings: the same as for `trainable`, `env_kwargs` among them.

    Raises:
        RequestError: for a folder that is not empty, or a trial without a checkpoint.
    """
    folder, env_kwargs = Path(out), settings.pop("env_kwargs", None)
    if folder.is_dir() and any(folder.iterdir()):
        raise RequestError(f"expected an empty folder for out, found files in {folder}; choose another")
    if best.checkpoint is None:
        raise RequestError("expected a trial with a checkpoint, found none; choose one that has reported")
    best.checkpoint.to_directory(folder)
    return _distil(Path(os.path.abspath(teacher)), env, env_kwargs, student, {**settings, **best.config}, folder)


def _distil(
    source: Path,
    env: str | None,
    env_kwargs: Mapping[str, Any] | None,
    student: str,
    settings: dict[str, Any],
    folder: Path,
    **others: Any,
) -> DistillResult:
    """Distil as a trial asks for, or go on with it."""
    from policy_distill.commands.options.policies import find_env
    from policy_distill.run.distill import distill
    from policy_distill.teachers.files.agent_file import find_agent
    from policy_distill.teachers.load import load_teacher

    network = str(settings.pop(STUDENT, student))
    config = make_config(None, settings)
    # Often, since no report is without one; what a run keeps changes nothing in its student.
    every = min(2 * config.rollout_size, config.timesteps // N_CANDIDATES - config.rollout_size)
    kept = {"checkpoint_every": max(every, 1)}
    loaded = load_teacher(source, env=env, env_kwargs=env_kwargs)
    words = [f"{key}:{value!r}" for key, value in (env_kwargs or {}).items()]
    chosen = find_env(env, find_agent(source), loaded, env_kwargs=words)
    begun = RunFolder(folder).resumable
    left = not begun and folder.is_dir()
    place: dict[str, Any] = {"out": folder, "resume": begun, "overwrite": left}
    return distill(loaded, chosen, network, config=make_config(config, kept), **place, **others)


class _Reports(BaseTracker):
    """Tells Tune of judged students, each once the checkpoint after it is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._judged: tuple[float, int] | None = None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Report the student judged before; keep what is said of one now."""
        # The end of a run says of its last step which student was kept, in the place of the last one.
        if self._judged is not None and step > self._judged[1]:
            self._report()
        if JUDGED in metrics:
            self._judged = float(metrics[JUDGED]), step

    def close(self) -> None:
        """Report the last student."""
        if self._judged is not None:
            self._report()

    def _report(self) -> None:
        from ray import tune

        assert self._judged is not None
        (value, step), self._judged = self._judged, None
        kept = tune.Checkpoint.from_directory(self._folder) if RunFolder(self._folder).resumable else None
        tune.report({METRIC: value, STEPS: step}, checkpoint=kept)
