"""What a student does, in words: the rules of a tree, the formula of a linear one.

In: a student, and names for what it observes. Out: lines for people, and JSON values. Names come from the caller, from
the student's record, or from what is known of its environment (`student/onboard/names.py`); else they are numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.features import Featurizer
from policy_distill.student.onboard.names import action_names, check_names, n_components, observation_names
from policy_distill.student.runtime import Student
from policy_distill.student.tree import Tree


@dataclass(frozen=True)
class Words:
    """How a student's observation and actions are named."""

    features: list[str]
    """One for each number that its first layer of weights, or its tree, looks at."""
    actions: tuple[str, ...] | None
    """Choices, or dimensions of an action; None where they are numbered."""


def words_for(student: Student, names: Sequence[str] = ()) -> Words:
    """Return the names for a student; `names` are the components of its observation, where the caller has any.

    Raises:
        RequestError: for names that do not fit.
    """
    view, space = student.view, student.description.observation_space
    env_id = student.origin.env_id
    whole = space if view.whole is None else view.whole
    wiring = student.wiring
    if names and len(names) == n_components(space):
        found: Sequence[str] | None = check_names(names, space, "what the student observes")
    elif wiring.observations and not names:
        found = wiring.observations
    else:
        named = check_names(names, whole, "what its environment shows") if names else _recorded(student, whole)
        found = named or observation_names(env_id, whole)
        if found is not None and "" in view.components:
            found = [found[column] for column in view.components[""]]
    features = _feature_names(student.plan.featurizer, found)
    if student.plan.selected is not None:
        features = [features[column] for column in student.plan.selected]
    return Words(features, wiring.actions or action_names(env_id, student.description.action_space))


def _recorded(student: Student, space: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names that the student's run was given; None where there are none that fit."""
    given = (student.origin.config or {}).get("observation_names")
    if not isinstance(given, str) or not given:
        return None
    try:
        names = tuple(name.strip() for name in given.split(","))
        return check_names(names, space, "its record")
    except RequestError:
        return None


def _feature_names(featurizer: Featurizer, names: Sequence[str] | None) -> list[str]:
    if names is not None:
        return list(names)
    found = []
    for part in featurizer.parts:
        key = part.key or "obs"
        if part.one_hot:
            assert part.offsets is not None
            for head, (size, end) in enumerate(zip(part.one_hot, np.cumsum(part.one_hot), strict=True)):
                start = int(end) - size - int(np.ravel(part.offsets)[head])
                where = f"{key}[{head}]" if part.shape else key
                found += [f"({where} == {start + choice})" for choice in range(size)]
        else:
            found += [f"{key}[{place}]" for place in range(part.size)] if part.size > 1 else [key]
    return found


@dataclass(frozen=True)
class Rules:
    """A tree in words."""

    student: Student
    tree: Tree
    words: Words

    def question(self, split: int) -> str:
        """Return what a split asks; yes is to the left."""
        return f"{self._sum(split)} <= {self.tree.threshold[split]:.4g}"

    def answer(self, leaf: int) -> str:
        """Return what a leaf does: its action, and how probable it is."""
        return describe_action(self.student, self.tree.leaves[leaf], self.words.actions)

    def lines(self) -> Iterator[str]:
        """Yield the rules, nested as ifs are."""
        open_ = [(0 if self.tree.n_splits else -1, 0, "")]
        while open_:
            node, level, before = open_.pop()
            space = "    " * level
            if before:
                yield f"{space}{before}"
            inner = "    " * (level + bool(before))
            if node < 0:
                yield f"{inner}{self.answer(-1 - node)}"
                continue
            yield f"{inner}if {self.question(node)}:"
            left, right = (int(child) for child in self.tree.branches[node])
            level += bool(before)
            open_ += [(right, level, "else:"), (left, level + 1, "")]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values: each leaf with the questions on its way, and their answers."""
        return {
            "kind": "tree",
            "leaves": self.tree.n_leaves,
            "depth": self.tree.depth,
            "features": self.words.features,
            "rules": [
                {"if": conditions, "action": self.answer(leaf), "outputs": self.tree.leaves[leaf].tolist()}
                for leaf, conditions in self._ways()
            ],
        }

    def _ways(self) -> Iterator[tuple[int, list[str]]]:
        open_: list[tuple[int, list[str]]] = [(0 if self.tree.n_splits else -1, [])]
        while open_:
            node, conditions = open_.pop()
            if node < 0:
                yield -1 - node, conditions
                continue
            left, right = (int(child) for child in self.tree.branches[node])
            asked = self.question(node)
            open_ += [(right, [*conditions, f"not {asked}"]), (left, [*conditions, asked])]

    def _sum(self, split: int) -> str:
        terms = [(self.words.features[feature], coefficient) for feature, coefficient in self.tree.terms(split)]
        return formula(terms) if self.tree.is_oblique else terms[0][0]


def formula(terms: Sequence[tuple[str, float]], constant: float | None = None) -> str:
    """Return a weighted sum in words, such as `0.5 x - 1.2 theta + 3`."""
    parts = [(f"{abs(value):.3g} {name}" if abs(value) != 1 else name, value < 0) for name, value in terms if value]
    if constant is not None or not parts:
        parts.append((f"{abs(constant or 0.0):.3g}", (constant or 0.0) < 0))
    text = "".join(f" {'-' if negative else '+'} {part}" for part, negative in parts)
    return f"-{text[3:]}" if parts[0][1] else text[3:]


def describe_action(student: Student, outputs: np.ndarray, names: tuple[str, ...] | None) -> str:
    """Return the deterministic action for outputs `[n_outputs]`, in words."""
    plan = student.plan
    head, scores = plan.head, plan.head.scores(outputs[None])
    action = np.ravel(plan.actions(outputs[None])[0])
    if head.kind == "argmax":
        said = []
        for choice, chosen in zip(head.split(scores), action, strict=True):
            odds = np.exp(choice[0] - choice[0].max())
            name = names[int(np.argmax(choice[0]))] if names and len(head.sizes) == 1 else f"action {int(chosen)}"
            said.append(f"{name} ({odds.max() / odds.sum():.0%})")
        return ", ".join(said)
    named = names if names and len(names) == len(action) else [f"action[{i}]" for i in range(len(action))]
    return ", ".join(f"{name} {float(value):.3g}" for name, value in zip(named, action, strict=True))


def rules_of(student: Student, names: Sequence[str] = ()) -> Rules | None:
    """Return the rules of a tree; None for a student that is none.

    Raises:
        RequestError: for names that do not fit.
    """
    if student.plan.layers[-1]["op"] != "tree":
        return None
    return Rules(student, Tree.of(student.plan.layers[-1], student.tensors), words_for(student, names))


def linear_lines(student: Student, names: Sequence[str] = ()) -> list[str] | None:
    """Return the formulas of a linear student, in the observation's own units; None for one that is not linear."""
    plan = student.plan
    ops = [layer["op"] for layer in plan.layers if layer["op"] not in ("select", "tanh")]
    if ops != ["linear"] or plan.featurizer.is_image or plan.layers[-1]["op"] == "select":
        return None
    layer = next(layer for layer in plan.layers if layer["op"] == "linear")
    weight, bias = (student.tensors[layer[key]].astype(np.float64) for key in ("weight", "bias"))
    words, (mean, scale) = words_for(student, names), _statistics(student)
    weight = plan.head.all_rows(weight * scale)
    bias = plan.head.all_rows(bias - (student.tensors[layer["weight"]] * scale) @ mean)
    known = words.actions is not None and len(words.actions) == plan.head.n_scores
    labels = words.actions if known and words.actions else [f"output {i}" for i in range(plan.head.n_scores)]
    how = {
        "argmax": "the action whose sum is largest",
        "threshold": "1 where the sum is above 0",
        "mean": "the sums are the action, within its bounds",
        "tanh": "tanh of the sums is the action, scaled to its bounds",
    }[plan.head.kind]
    rows = zip(labels, weight, bias, strict=False)
    lines = [f"{label}: {formula(list(zip(words.features, row, strict=True)), c)}" for label, row, c in rows]
    return [how, *lines]


def _statistics(student: Student) -> tuple[np.ndarray, np.ndarray]:
    """Return the means and scales `[D]` of the features that the linear layer takes."""
    means, scales = [], []
    for part in student.plan.featurizer.parts:
        own = part.normalizer
        factor = 1.0 if part.scale is None else float(part.scale)
        means.append(np.zeros(part.size) if own is None else own.mean.ravel())
        scales.append(np.full(part.size, factor) if own is None else own.scale.ravel())
    columns = slice(None) if student.plan.selected is None else student.plan.selected
    return np.concatenate(means)[columns], np.concatenate(scales)[columns]
