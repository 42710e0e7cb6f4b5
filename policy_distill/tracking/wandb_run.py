"""Weights & Biases as a tracker that never stops a run.

In: metrics, a summary, the student's file. Out: an offline (or online) W&B run in the run folder. Whatever W&B raises
becomes one warning, after which this tracker is silent; `metrics.jsonl` has everything in any case.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policy_distill.tracking.metrics import STEP, check_names

LOG = logging.getLogger("policy_distill")
DEFAULT_PROJECT = "policy-distill"
INIT_SECONDS = 15
"""Longest wait for an online W&B to answer."""
FINISH_SECONDS = 60
"""Longest wait for W&B to write or send what is left."""


class WandbTracker:
    """One W&B run. Use `start` to make one."""

    def __init__(self, run: Any, wandb: Any, data_folder: Path) -> None:
        self._run: Any = run
        self._wandb = wandb
        self._data_folder = data_folder

    @property
    def url(self) -> str | None:
        """Where the run is on the web; None offline."""
        return self._run.url if self._run is not None else None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics against `time/env_steps`."""
        check_names(metrics)
        self._guarded("log", lambda: self._run.log({STEP: step, **metrics}))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Write the final values; nested ones by their dotted names."""
        self._guarded("summary", lambda: self._run.summary.update(values))

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Log a file as an artifact of type `kind`; its bytes are staged inside the run folder."""

        def log_artifact() -> None:
            artifact = self._wandb.Artifact(f"{kind}-{self._run.id}", type=kind, metadata=dict(metadata))
            artifact.add_file(str(path))
            self._run.log_artifact(artifact)

        with _environment(_folders(self._data_folder)):
            self._guarded("artifact", log_artifact)

    def close(self) -> None:
        """Finish the run, within a bounded time."""
        if self._run is None:
            return
        run, self._run = self._run, None
        with _environment(_folders(self._data_folder)):
            _within(FINISH_SECONDS, run.finish)

    def _guarded(self, what: str, call: Callable[[], Any]) -> None:
        if self._run is None:
            return
        try:
            call()
        except Exception as error:
            LOG.warning("W&B failed at %s (%s): the run goes on without it; metrics.jsonl is complete", what, error)
            self._run = None


def start(
    mode: str,
    out: Path,
    *,
    config: dict[str, Any],
    project: str | None = None,
    group: str | None = None,
    job_type: str = "distill",
    tags: tuple[str, ...] = (),
) -> WandbTracker | None:
    """Start a run in `out`, or return None with a warning where W&B cannot.

    Args:
        mode: `offline` or `online`; WANDB_MODE overrides offline. Online without key or answer is offline.
        out: the run folder; W&B's files lie in `wandb` in it.
        config: the run's settings.
        project: WANDB_PROJECT, or "policy-distill", where None.
        group: the name of the run folder where None.
        job_type: `train`, `distill` or `evaluate`.
        tags: free words.
    """
    try:
        import wandb
    except ImportError:
        LOG.warning("wandb is not installed: metrics go to metrics.jsonl alone; pip install wandb")
        return None
    mode = _mode(mode)
    if mode == "disabled":
        return None
    (out / "wandb").mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = {
        "project": project or os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT,
        "group": group or out.name,
        "job_type": job_type,
        "tags": tags,
        "config": config,
        "dir": str(out),
    }
    with _environment(_folders(out / "wandb")):
        for attempt in dict.fromkeys((mode, "offline")):
            run = _init(wandb, attempt, arguments)
            if run is not None:
                return WandbTracker(run, wandb, out / "wandb")
    return None


def _init(wandb: Any, mode: str, arguments: dict[str, Any]) -> Any:
    try:
        settings = wandb.Settings(console="off", silent=True, init_timeout=INIT_SECONDS)
        run = wandb.init(mode=mode, settings=settings, **arguments)
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        return run
    except Exception as error:
        LOG.warning("W&B could not start %s (%s)", mode, " ".join(str(error).split()))
        return None


def _mode(mode: str) -> str:
    if mode == "offline":
        mode = os.environ.get("WANDB_MODE") or "offline"
    if mode == "online" and not _has_key():
        LOG.warning("W&B has no key: this run is tracked offline; log in, or set WANDB_API_KEY")
        return "offline"
    return mode if mode in ("offline", "online", "disabled") else "offline"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    netrc = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    return netrc.is_file() and "wandb" in netrc.read_text(errors="replace")


def _folders(folder: Path) -> dict[str, str]:
    # Without these an artifact's bytes stay in the user's home, and a copied run folder has lost its model.
    path = str(folder.resolve())
    return {"WANDB_DATA_DIR": path, "WANDB_CACHE_DIR": f"{path}/cache", "WANDB_ARTIFACT_DIR": f"{path}/artifacts"}


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _within(seconds: float, call: Callable[[], Any]) -> None:
    """Run `call` in a thread of its own and wait for it so long and no longer."""
    errors: list[Exception] = []

    def guarded() -> None:
        try:
            call()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        LOG.warning("W&B did not finish within %s seconds: it is left behind; metrics.jsonl is complete", seconds)
    elif errors:
        LOG.warning("W&B failed at finish (%s); metrics.jsonl is complete", errors[0])
