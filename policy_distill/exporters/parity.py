"""Whether an artefact acts as its student: the executed actions on visited and hostile states.

In: a student, observations, and the artefact's actions. Out: a `Parity`, which goes into the artefact's metadata.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from policy_distill.collection.along import outputs_along
from policy_distill.exporters.states import collect_episodes, collect_states, hostile_states
from policy_distill.interfaces.students import Run
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from policy_distill.system.nested import count, joined, map_arrays, take

TOLERANCE = 1e-5
"""Largest difference of a continuous action, as a share of its range."""
TIE = 1e-5
"""Best actions whose logits are as close as this, relative to their size, may be chosen either way."""
TWIN_DIFFERENCE = 1e-3
"""Largest mean difference of a continuous action from an eight-bit twin's in NumPy, as a share of its range."""


@dataclass(frozen=True)
class Reference:
    """What the student does on the states that an artefact is checked on."""

    obs: Any
    """Raw observations `[B, ...]`, or a dict of such."""
    actions: np.ndarray
    """Executed deterministic actions `[B, *shape]`."""
    scores: np.ndarray
    """What the actions are chosen by, `[B, n_scores]`: all logits, or means."""
    margins: np.ndarray
    """`[B]`: distance of the best logit from the next, relative to their size; infinite for continuous actions."""
    n_visited: int
    """The first states, which the student visits; the others are hostile."""
    masks: np.ndarray | None = None
    """Bool `[B, n_scores]`, the actions that are allowed; None where all are."""
    starts: np.ndarray | None = None
    """Bool `[B]`, where episodes begin, of a student with a memory, whose states are in order; None for others."""

    def actions_of(self, run: Run) -> np.ndarray:
        """Return what an artefact that was opened does on these states."""
        if self.starts is not None:
            return run(self.obs, self.masks, self.starts)
        return run(self.obs) if self.masks is None else run(self.obs, self.masks)

    def first(self, n: int) -> Reference:
        """Return the first `n` states."""
        kept = slice(n)
        arrays = {name: array[kept] for name, array in vars(self).items() if isinstance(array, np.ndarray)}
        return replace(self, **{**arrays, "obs": take(self.obs, kept), "n_visited": min(n, self.n_visited)})


@dataclass(frozen=True)
class Parity:
    """How an artefact's executed actions compare with the student's."""

    passed: bool
    """True where all actions are equal (but for ties), or within `TOLERANCE` of the range."""
    n_visited: int
    """States that the student visits, or that stand for them."""
    n_hostile: int
    """Bounds, zeros and huge values."""
    states: str
    """Where the visited states come from: an environment, or `sampled` from the space."""
    agreement: float
    """Share of equal actions (discrete), or of actions within the tolerance."""
    ties: int
    """States where the actions differ and the student's two best are as good as equal."""
    max_difference: float
    """Largest difference of a continuous action, as a share of its range; 0 for discrete ones."""
    masked_agreement: float | None = None
    """Share of equal actions where some are ruled out; None for a student or a format without action masks."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "tolerance": TOLERANCE}


def reference_for(student: Student, env: Any, n_states: int, seed: int) -> tuple[Reference, str]:
    """Return what the student does on states that it visits and on hostile ones, and where the visited come from."""
    hostile, starts = hostile_states(student, seed), None
    if student.plan.memory.size:
        visited, begin, source = collect_episodes(student, env, n_states, seed)
        # Each hostile one in an episode of its own.
        starts = np.concatenate([begin, np.ones(count(hostile), dtype=bool)])
    else:
        visited, source = collect_states(student, env, n_states, seed)
    return make_reference(student, joined(visited, hostile), count(visited), starts), source


def make_reference(student: Student, obs: Any, n_visited: int, starts: np.ndarray | None = None) -> Reference:
    """Return the student's own actions; states where its outputs are not finite are left out.

    Of a student with a memory the states are in order, episodes begin at `starts` `[B]`, and of an episode all that
    follows is left out too.
    """
    if starts is None:
        outputs = student.network_outputs(obs)
        finite = np.isfinite(outputs).all(axis=1)
    else:
        outputs = outputs_along(student, map_arrays(lambda array: array[:, None], obs), starts[:, None])[0][:, 0]
        episodes = np.split(np.isfinite(outputs).all(axis=1), np.flatnonzero(starts)[1:])
        finite = np.concatenate([np.logical_and.accumulate(episode) for episode in episodes])
    kept = np.flatnonzero(finite)
    scores = student.plan.head.scores(outputs[kept])
    found = reference_from_scores(student.record, take(obs, kept), scores, int(finite[:n_visited].sum()))
    return replace(found, starts=None if starts is None else starts[kept])


def reference_from_scores(student: StudentRecord, obs: Any, scores: np.ndarray, n_visited: int) -> Reference:
    """Return what follows from `scores` `[B, n_scores]`, as the student's head chooses by them."""
    head, action_map = student.plan.head, student.plan.action_map
    return Reference(obs, action_map.execute(head.mode(scores)), scores, logit_margins(student, scores), n_visited)


def under_masks(student: StudentRecord, reference: Reference, seed: int) -> Reference:
    """Return what the student does on the same states with each action ruled out in half of them, the last in all."""
    masks = np.random.default_rng(seed).random(reference.scores.shape) < 0.5
    masks[-1] = False
    scores = student.plan.head.rule_out(_scores_under(student, reference, masks), masks)
    masked = reference_from_scores(student, reference.obs, scores, reference.n_visited)
    return replace(masked, masks=masks, starts=reference.starts)


def _scores_under(student: StudentRecord, reference: Reference, masks: np.ndarray) -> np.ndarray:
    """Return the scores where actions are ruled out; others than without, of a student that remembers what it did."""
    if reference.starts is None or student.plan.memory.awaited is None:
        return reference.scores
    obs, starts = map_arrays(lambda array: array[:, None], reference.obs), reference.starts[:, None]
    outputs, _ = outputs_along(Student.of(student), obs, starts, action_masks=masks[:, None])
    return student.plan.head.scores(outputs[:, 0])


def compare_actions(student: StudentRecord, reference: Reference, actions: np.ndarray, states: str) -> Parity:
    """Return the parity of an artefact's `actions` `[B, *shape]` with the reference."""
    n = count(reference.obs)
    discrete = student.plan.action_map.kind == "index"
    difference = np.abs(actions.reshape(n, -1).astype(np.float64) - reference.actions.reshape(n, -1))
    if not discrete:
        difference = difference / action_span(student, reference.actions)
    # NaN compares as false, and so never counts as equal.
    equal = (difference <= (0.0 if discrete else TOLERANCE)).all(axis=1)
    ties = ~equal & (reference.margins <= TIE)
    fits = actions.shape == reference.actions.shape and actions.dtype == reference.actions.dtype
    return Parity(
        passed=bool((equal | ties).all()) and fits,
        n_visited=reference.n_visited,
        n_hostile=n - reference.n_visited,
        states=states,
        agreement=float(equal.mean()),
        ties=int(ties.sum()),
        max_difference=0.0 if discrete else float(np.nan_to_num(difference, nan=np.inf).max()),
    )


def action_span(student: StudentRecord, actions: np.ndarray) -> np.ndarray:
    """Return the range of each action dimension, `[A]`: its bounds, or without these what the student uses."""
    action_map, flat = student.plan.action_map, actions.reshape(len(actions), -1)
    used = np.maximum(np.ptp(flat, axis=0).astype(np.float64), 1e-6)
    if action_map.low is None or action_map.high is None:
        return used
    with np.errstate(invalid="ignore"):
        span = action_map.high.ravel().astype(np.float64) - action_map.low.ravel()
    return np.where(np.isfinite(span), span, used)


def logit_margins(student: StudentRecord, scores: np.ndarray) -> np.ndarray:
    """Return how far the best logit is from the next in each row, `[B]`; see `Reference`."""
    head = student.plan.head
    if head.kind == "threshold":
        return np.abs(scores).min(axis=1)
    if not head.is_discrete:
        return np.full(len(scores), np.inf)
    return np.min([_margin(choice) for choice in head.split(scores)], axis=0)


def _margin(logits: np.ndarray) -> np.ndarray:
    if logits.shape[1] == 1:
        return np.full(len(logits), np.inf)
    second, best = np.sort(logits, axis=1)[:, -2:].T
    return (best - second) / np.maximum(1.0, np.abs(best))
