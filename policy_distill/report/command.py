"""The command line that makes a run again, from what its settings say of teacher, environment and student.

In: the settings of a run. Out: words for a shell, or why there are none: what was handed over from Python has no
name on a command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.environments.identity import identity_from
from policy_distill.tracking.settings import RunSettings, TeacherFacts


def make_again(settings: RunSettings, path: Path) -> tuple[str, str]:
    """Return the command that makes the run in `path` again in a folder beside it, and why there is none."""
    teacher, missing = _teacher(settings)
    # Several tasks have theirs in a file, which the request names.
    environment, lost = ([], "") if "tasks" in (settings.others or {}) else _environment(settings)
    if missing or lost:
        return (
            "",
            f"This run was made from Python and has no command line: {' and '.join(filter(None, (missing, lost)))}.",
        )
    words = ["policy-distill", *_made(settings, [*teacher, *environment])]
    for key, value in _settings(settings).items():
        words += option_words(key, value)
    # The folder of the run itself is in use.
    return shlex.join([*words, "--out", f"{path}-again"]), ""


def _made(settings: RunSettings, given: list[str]) -> list[str]:
    """Return the command with what it makes, after the options that name teacher and environment."""
    if goes_on(settings):
        asked = settings.request or {}
        return [str(asked.get("command", "finetune")), str(asked.get("student", "")), *given]
    limits = (settings.others or {}).get("compress")
    if not isinstance(limits, Mapping):
        return ["distill", *given, "--student", settings.student or ""]
    words = ["compress", *given, "--students", *(settings.student or "").split()]
    for key, value in limits.items():
        # A record of the run: what it calls the bar the command line calls the share that is kept.
        words += option_words("retention" if key == "bar" else str(key), value) if value not in (None, False) else []
    return words


def is_finetuned(settings: RunSettings) -> bool:
    """Say whether a run fine-tuned a student."""
    return isinstance((settings.others or {}).get("finetuning"), Mapping)


def goes_on(settings: RunSettings) -> bool:
    """Say whether a run began with a student: one that it fine-tuned, or took to another task."""
    return is_finetuned(settings) or isinstance((settings.others or {}).get("transfer"), Mapping)


def _settings(settings: RunSettings) -> Mapping[str, Any]:
    """Return the settings that are not as they are by themselves."""
    if goes_on(settings):
        # Those that the student brought along are no options: the run says which it was asked for.
        asked = (settings.request or {}).get("settings")
        return asked if isinstance(asked, Mapping) else {}
    defaults = DistillConfig().to_json()
    return {key: one for key, one in (settings.config or {}).items() if key in defaults and one != defaults[key]}


def _teacher(settings: RunSettings) -> tuple[list[str], str]:
    """Return the options that load the teacher, as they were given, and what cannot be given so."""
    request = settings.request
    if goes_on(settings) and not (request and ("student" in request or "missing" in request)):
        return [], "which student it began with is not recorded"
    if request is None:
        # A run of a version that recorded the file's name alone.
        teacher = settings.teacher or TeacherFacts()
        return ["--teacher", str(teacher.source or teacher.algorithm)], ""
    if request.get("missing"):
        return [], str(request["missing"])
    words = []
    for key, value in request.items():
        ours = goes_on(settings) and key in ("student", "settings", "command")
        words += option_words(key, value) if value not in (None, False, []) and not ours else []
    return words, ""


def _environment(settings: RunSettings) -> tuple[list[str], str]:
    known = identity_from(settings.env)
    if known is None:
        return ["--env", settings.env_id or "unknown environment"], ""
    if known.missing:
        return [], f"its environment is not made from a name ({known.missing})"
    if known.wrappers or known.has_own_limit:
        return [], "its environment is a specification with wrappers or a limit of steps of its own"
    words = ["--env", f"{known.module}:{known.id}" if known.module else known.id]
    return [
        *words,
        *(option_words("env_kwargs", [f"{k}:{v!r}" for k, v in known.kwargs.items()]) if known.kwargs else []),
    ], ""


def option_words(key: str, value: Any) -> list[str]:
    """Return the words of a command line that set an option."""
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", *(map(str, value) if isinstance(value, list | tuple) else (str(value),))]
