"""What a repository of the hub says that its agent scores: shown beside what is measured, and never used.

In: the folder of an agent that was fetched. Out: a mean, a spread and a number of episodes, as far as they are there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.student.onboard.origins import TeacherProvenance
from policy_distill.system.files import read_json_object, read_plain
from policy_distill.system.records import NUMBER, TEXT, dump, load_known, part
from policy_distill.teachers.files.zoo_config import parse_mapping

MAX_CARD = 2**20
FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
"""The settings that a card begins with."""
SCORE = re.compile(r"\s*(?P<mean>-?[\d.]+)\s*(?:(?:\+/-|±)\s*(?P<std>[\d.]+))?\s*")


@dataclass(frozen=True)
class Claims:
    """A score as its repository says it."""

    mean_reward: float | None = part(NUMBER)
    std_reward: float | None = part(NUMBER)
    n_eval_episodes: int | None = part(NUMBER)
    file: str | None = part(TEXT)
    """Where it stands."""

    def __str__(self) -> str:
        spread = f" ± {self.std_reward:,.2f}" if self.std_reward is not None else ""
        episodes = f" in {self.n_eval_episodes:,} episodes" if self.n_eval_episodes is not None else ""
        return f"{self.mean_reward:,.2f}{spread}{episodes}, says {self.file}"

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dump(self)


def claims_of(agent: Path) -> Claims | None:
    """Return what lies beside an agent in `results.json`, or in its card; None where neither names a mean reward."""
    known = {**read_json_object(agent.parent / "results.json"), "file": "results.json"}
    found = load_known(Claims, known)
    return found if found.mean_reward is not None else _on_card(agent.parent / "README.md")


def claimed_by(policy: Any) -> Claims | None:
    """Return what the repository says that a policy was fetched from; None where it says nothing, or there is none."""
    known = TeacherProvenance.of(policy.provenance).claimed
    return load_known(Claims, known) if known else None


def _on_card(path: Path) -> Claims | None:
    try:
        front = FRONT.match(read_plain(path, MAX_CARD, "a model card").decode(errors="replace"))
        settings = parse_mapping(front[1].encode(), path) if front else {}
    except RequestError:
        # A card is for people; one that cannot be read claims nothing.
        return None
    for metric in _metrics(settings):
        score = SCORE.fullmatch(str(metric.get("value"))) if metric.get("type") == "mean_reward" else None
        if score:
            numbers = {"mean_reward": _number(score["mean"]), "std_reward": _number(score["std"]), "file": "its card"}
            return load_known(Claims, numbers)
    return None


def _metrics(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics in a card's `model-index`, whatever else stands there."""
    found = []
    for model in _mappings(settings.get("model-index")):
        for result in _mappings(model.get("results")):
            found += _mappings(result.get("metrics"))
    return found


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
