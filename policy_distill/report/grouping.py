"""Which runs are training seeds of the same thing: all that they were asked for is equal, apart from the seed.

In: runs. Out: groups of them, in which each seed counts once, and sentences on what was left out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, NamedTuple

from policy_distill.report.read_run import RunRecord
from policy_distill.system.ranges import LIMITS
from policy_distill.tracking.settings import TeacherFacts

BESIDE = ("seed", *LIMITS)
"""Settings that may differ within a group: the seed, and what changes nothing in a run that goes well."""
MAX_NAMED = 5
"""Paths and settings that a sentence or a label names at most."""

Names = tuple[str, str, str]
"""Environment, teacher, student."""


class RunGroup(NamedTuple):
    """Runs that differ in their training seed alone."""

    env_id: str
    teacher: str
    student: str
    """The network; with the settings that tell this group from others of the same three names."""
    runs: list[RunRecord]
    """One for each seed, by their paths."""
    repeated: list[RunRecord]
    """Further runs with a seed that is among these: the same student once more, and no evidence of its own."""


def grouped(runs: list[RunRecord]) -> list[RunGroup]:
    """RunGroup the finished runs among `runs`."""
    known: dict[Names, dict[str, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for run in sorted(runs, key=lambda run: str(run.path)):
        if run.evaluation is not None:
            settings = json.dumps(_settings(run), sort_keys=True, default=str)
            known[run.env_id, run.teacher, run.student][settings].append(run)
    found = []
    for (env_id, teacher, student), by_settings in known.items():
        labels = _labels([_settings(members[0]) for members in by_settings.values()])
        for members, label in zip(by_settings.values(), labels, strict=True):
            first = {json.dumps(run.seed): run for run in reversed(members)}
            once = [run for run in members if first[json.dumps(run.seed)] is run]
            again = [run for run in members if first[json.dumps(run.seed)] is not run]
            found.append(RunGroup(env_id, teacher, f"{student}{label}", once, again))
    return found


def is_defined(run: RunRecord) -> bool:
    """Say whether a run's retention means anything: the teacher's gain was told apart from chance."""
    kept = run.proof.retention
    # The first versions kept no mean.
    return kept is not None and (kept.mean, kept.iqm) != (None, None) and kept.outcome != "undefined"


def left_out(runs: list[RunRecord]) -> list[str]:
    """Return a sentence on each kind of run that no mean of a folder of runs takes in."""
    groups = grouped(runs)
    again = [run for group in groups for run in group.repeated]
    undefined = [run for group in groups for run in group.runs if not is_defined(run)]
    sentences = []
    if again:
        what = (
            "repeats the seed and the settings of another run, and counts"
            if len(again) == 1
            else ("repeat the seeds and the settings of other runs, and count")
        )
        sentences.append(f"{len(again)} of the runs {what} once with it: {_names(again)}.")
    if undefined:
        are = "is" if len(undefined) == 1 else "are"
        sentences.append(
            f"{len(undefined)} of the runs {are} in no mean, since the teacher's gain over random is not clear there: "
            f"{_names(undefined)}."
        )
    return sentences


def _settings(run: RunRecord) -> dict[str, Any]:
    """Return all that was asked for apart from the seed, flat, by dotted names."""
    settings, teacher = run.settings, run.settings.teacher or TeacherFacts()
    asked = {name: value for name, value in (settings.config or {}).items() if name not in BESIDE}
    beside = {"env": settings.env, "request": settings.request, **(settings.others or {})}
    others = {name: value for name, value in beside.items() if value is not None}
    known = {"sha256": teacher.sha256, "env_wrappers": teacher.env_wrappers}
    return _flat({**asked, **others, "teacher": known})


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _labels(settings: list[dict[str, Any]]) -> list[str]:
    """Return, for each of several settings, those that differ among them; empty for a single one."""
    known = dict.fromkeys(name for one in settings for name in one)
    names = [name for name in known if len({str(one.get(name)) for one in settings}) > 1]
    parts = [[f"{name} {str(one.get(name))[:20]}" for name in names[:MAX_NAMED]] for one in settings]
    return [f" ({', '.join(part)})" if part else "" for part in parts]


def _names(runs: list[RunRecord]) -> str:
    more = f", and {len(runs) - MAX_NAMED} more" if len(runs) > MAX_NAMED else ""
    return ", ".join(run.name for run in runs[:MAX_NAMED]) + more
