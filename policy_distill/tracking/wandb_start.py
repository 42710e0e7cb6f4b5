"""Starts a W&B run: which mode, under which name, and within which time.

In: what the user asks for, and what the environment says. Out: a `WandbTracker`, or None with a warning.
"""

from __future__ import annotations

import logging
import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from policy_distill.system.foreign import asked
from policy_distill.tracking import wandb_run
from policy_distill.tracking.attempts import bring_back, earlier, remember, supersede
from policy_distill.tracking.base import TrackerOptions
from policy_distill.tracking.metrics import STEP
from policy_distill.tracking.wandb_run import WandbTracker
from policy_distill.tracking.wandb_thread import RunThread, Started, folders
from policy_distill.tracking.worker import environment

LOG = logging.getLogger("policy_distill")
DEFAULT_PROJECT = "policy-distill"
INIT_SECONDS = 15
"""Longest wait for an online W&B to answer."""


def start(
    mode: str,
    out: Path,
    *,
    config: dict[str, Any],
    project: str | None = None,
    group: str | None = None,
    job_type: str = "distill",
    tags: tuple[str, ...] = (),
    teacher: Path | None = None,
    student: Path | None = None,
    gradients: bool = False,
) -> WandbTracker | None:
    """Return a run in `out`, or None with a warning where W&B cannot; an offline one starts when it is told something.

    Args:
        mode: `offline` or `online`; WANDB_MODE overrides offline. Online without key or answer is offline.
        out: the run folder; W&B's files lie in `wandb` in it.
        config: the run's settings.
        project: WANDB_PROJECT, or "policy-distill", where None. The entity is WANDB_ENTITY, or the key's own.
        group: WANDB_RUN_GROUP, or the name of the run folder, where None: attempts of one run, or runs of one suite,
            are found by it.
        job_type: `train`, `distill`, `finetune` or `evaluate`.
        tags: free words; WANDB_TAGS, divided by commas, where there are none.
        teacher: the zip that the student comes from, an artifact that the run uses.
        student: the student that a fine-tuning begins with, another one.
        gradients: log histograms of the gradients.
    """
    if not _is_installed():
        LOG.warning("wandb is not installed: metrics go to metrics.jsonl only; pip install wandb")
        return None
    mode = resolve_mode(mode)
    if mode == "disabled":
        return None
    folder = out / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    arguments = {"config": config, "job_type": job_type, **_names(out, project, group, tags)}
    entity = os.environ.get("WANDB_ENTITY", "")
    thread, patience = RunThread(lambda: _init(mode, arguments, folder, entity)), _patience(mode)
    # Whoever asks for a run on the web is told before the first step where it is, or that there is none.
    if mode == "online" and not thread.start_now(patience):
        thread.close(lambda: None, 0.1)
        return None
    return WandbTracker(thread, folder, config, teacher, student, gradients=gradients, patience=patience)


def _is_installed() -> bool:
    try:
        return find_spec("wandb") is not None
    except ValueError:
        # It is imported already, and does not say from where.
        return True


def _names(out: Path, project: str | None, group: str | None, tags: tuple[str, ...]) -> dict[str, Any]:
    """Return where a run stands and its names: as asked for, else as the environment says, else its folder's."""
    said, name = os.environ.get, out.resolve().name
    return {
        "project": project or said("WANDB_PROJECT") or DEFAULT_PROJECT,
        "group": group or said("WANDB_RUN_GROUP") or name,
        "tags": tags or tuple(filter(None, said("WANDB_TAGS", "").split(","))),
        "name": said("WANDB_NAME") or name,
        # Absolute: the service of an earlier run in this process may stand in another folder.
        "dir": str(out.resolve()),
    }


def start_offline(out: Path, config: dict[str, Any], options: TrackerOptions) -> WandbTracker | None:
    """Start a run that needs no account; WANDB_MODE overrides that."""
    return start("offline", out, config=config, **vars(options))


def start_online(out: Path, config: dict[str, Any], options: TrackerOptions) -> WandbTracker | None:
    """Start a run on W&B's server, or an offline one where there is no key or no answer."""
    return start("online", out, config=config, **vars(options))


def resolve_mode(mode: str) -> str:
    """Return the mode after what the environment says."""
    if mode == "offline":
        mode = os.environ.get("WANDB_MODE") or "offline"
    if mode == "online" and not has_key():
        LOG.warning("W&B has no key: this run is tracked offline; log in, or set WANDB_API_KEY")
        return "offline"
    return mode if mode in ("offline", "online", "disabled") else "offline"


def has_key() -> bool:
    """Say whether W&B will find a key."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    netrc = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    return netrc.is_file() and "wandb" in netrc.read_text(errors="replace")


def _imported() -> Any:
    import wandb

    return wandb


def _init(mode: str, arguments: dict[str, Any], folder: Path, entity: str) -> Started | None:
    """Return a run that was started; None where W&B fails in every way."""
    wandb = _imported()
    # What W&B fails to tell its makers about itself is no news for whoever runs this.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    with environment(folders(folder)):
        job = str(arguments["job_type"])
        for attempt in dict.fromkeys((mode, "offline")):
            # Before there is another of the same name.
            superseded = supersede(folder, job)
            try:
                identity = earlier(folder, attempt, job) or _own_identity(wandb)
                # A run that the program around this one has open is not ours to log to, nor to finish.
                run = wandb.init(mode=attempt, settings=_settings(wandb), reinit="create_new", **arguments, **identity)
                run.define_metric(STEP)
                run.define_metric("*", step_metric=STEP)
            except Exception as error:
                bring_back(superseded)
                words = " ".join(str(error).split())[:300]
                LOG.warning("W&B could not start %s (%s: %s)", attempt, type(error).__name__, words)
                continue
            remember(folder, attempt, job, run, entity)
            known = dict(run.summary) if asked(run, "resumed") else {}
            return Started(run, wandb, attempt == "online", known)
    return None


def _own_identity(wandb: Any) -> dict[str, Any]:
    """Return an id where W&B would take one that is in use: WANDB_RUN_ID is that of the run which is open already."""
    taken = asked(wandb, "run") is not None and os.environ.get("WANDB_RUN_ID")
    # Letters and digits, as W&B's own.
    return {"id": secrets.token_hex(4)} if taken else {}


def _patience(mode: str) -> float:
    """Return the seconds to wait for a start: an offline one takes one, an online one may be followed by it."""
    return INIT_SECONDS + (INIT_SECONDS + 10 if mode == "online" else 0)


def _settings(wandb: Any) -> Any:
    values: dict[str, Any] = {"console": "off", "silent": True, "init_timeout": INIT_SECONDS}
    # Without this a server that died in the middle holds the process at its end, for hours.
    bounded = {"finish_timeout": wandb_run.FINISH_SECONDS, "finish_timeout_raises": True}
    known = asked(wandb.Settings, "model_fields", {})
    return wandb.Settings(**values, **{name: value for name, value in bounded.items() if name in known})
