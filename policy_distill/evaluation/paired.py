"""Teacher, student and a random policy on the same episodes, until the verdict is clear.

In: policies, an environment and a plan. Out: a `Comparison`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from policy_distill.environments.restarts import Restarts
from policy_distill.evaluation.episodes import Evaluation, join_evaluations
from policy_distill.evaluation.mode_and_sample import ModeAndSample, mode_and_sample
from policy_distill.evaluation.policy_records import PolicyRecord
from policy_distill.evaluation.proof.kept import Retention, retention
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.proof.scale import Scale
from policy_distill.evaluation.proof.verdict import Verdict, judge
from policy_distill.evaluation.records import ComparisonRecord
from policy_distill.evaluation.reference import REFERENCES, Player, ReferenceReturns, ReferenceRuns
from policy_distill.evaluation.side_by_side import OnStep
from policy_distill.interfaces.policies import Policy

LOG = logging.getLogger("policy_distill")

ENOUGH = 100
"""Episodes after which a verdict that can no longer be clear ends a proof: the returns themselves are known by then."""

PAYS = 0.5
"""Seconds of a part from which teacher and random policy play theirs in a process beside: its start takes a fifth."""

OnLook = Callable[[int, Verdict], None]
"""Called after each look with the episodes so far and what they say."""


@dataclass(frozen=True)
class Comparison:
    """Teacher, student and a random policy on the same episode seeds."""

    teacher: Evaluation
    student: Evaluation
    random: Evaluation
    retention: Retention
    scale: Scale
    """What the returns were measured by, from episodes of their own."""
    teacher_sampled: ModeAndSample | None = None
    """The teacher by sampling, beside its mode; None where that was not asked for, or is the same."""

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of what is measured besides, by its name."""
        return {"teacher_sampled": self.teacher_sampled.sampled.wall_seconds} if self.teacher_sampled else {}

    @property
    def paired(self) -> bool:
        """True where episode i is the same one for all three."""
        return self.teacher.paired and self.student.paired and self.random.paired

    def record(self) -> ComparisonRecord:
        """Return what files say of it, without the sizes of the policies."""
        return ComparisonRecord(
            env_id=self.teacher.env_id,
            seed=self.teacher.seed,
            n_episodes=self.teacher.n_episodes,
            paired=self.paired,
            teacher=PolicyRecord(self.teacher.record()),
            student=PolicyRecord(self.student.record()),
            random=PolicyRecord(self.random.record()),
            retention=self.retention.record(),
            verdict=self.retention.verdict.record(),
            falls=self.retention.falls_record(),
            teacher_sampled=self.teacher_sampled.record() if self.teacher_sampled else None,
            scale=self.scale.record(),
        )


def compare_policies(
    teacher: Policy,
    student: Policy,
    env: Any,
    plan: ProofPlan,
    *,
    on_episode: OnStep | None = None,
    on_look: OnLook | None = None,
    reference: ReferenceRuns | None = None,
    restarts: Restarts | None = None,
) -> Comparison:
    """Evaluate teacher, student and a random policy on the same episode seeds, until the verdict is clear.

    Args:
        teacher: as of `compare.compare`.
        student: likewise.
        env: likewise.
        plan: which episodes, and how often to look.
        on_episode: told the episodes done so far, of all policies.
        on_look: told the episodes of each policy and the verdict, after each look.
        reference: one of the same teacher, environment and plan that was started before.
        restarts: those that may be made of environments that fail.

    Raises:
        RequestError: for an environment that is unknown or does not fit.
        RunFault: for observations that are not finite, or an environment that fails.
    """
    player = Player(teacher, env, plan, restarts)
    player.add("student", student)
    player.on_episode = on_episode
    with closing(reference or ReferenceRuns(teacher, env, plan, restarts=restarts)) as reference, closing(player):
        looks = _Looks(plan, player, reference)
        looks.play_on()
        if plan.n_envs == 1:
            # Where one environment was asked for, the reference may need that one.
            player.close()
        # Only now: it may have been running beside.
        looks.add(reference.result(_offset(on_episode, player.n_done)))
        while not looks.over(on_look):
            looks.play_on()
    return looks.comparison()


class _Looks:
    """A comparison under way: the parts that each policy has played, one for each look, and what they say so far."""

    def __init__(self, plan: ProofPlan, player: Player, reference: ReferenceRuns) -> None:
        self._plan = plan
        self._player = player
        self._beside = reference
        self._steps = plan.steps()
        self._n = 0
        """Looks for which the student has played."""
        self._parts: dict[str, list[Evaluation]] = {"student": []}
        self._reference: ReferenceReturns | None = None

    def play_on(self) -> None:
        """Play the episodes up to the next look, of whoever has not played them yet."""
        done, look = self._steps[self._n]
        self._n += 1
        missing = [who for who, parts in self._parts.items() if len(parts) < self._n]
        span, player, student = (self._plan.seed + done, look - done), self._player, self._parts["student"]
        # As long as the student's last part took, so long may the others' take too.
        pays = len(missing) == len(self._parts) > 1 and student[-1].wall_seconds > PAYS
        with self._beside.beside(*span, pays=pays) as played:
            if "student" in missing:
                student.append(player.play("student", *span))
            found = played(_offset(player.on_episode, player.n_done))
        player.n_done += sum(one.n_episodes for one in found)
        for who, one in zip(REFERENCES, found, strict=False):
            self._parts[who].append(one)
        for who, parts in self._parts.items():
            if len(parts) < self._n:
                parts.append(player.play(who, *span))

    def add(self, found: ReferenceReturns) -> None:
        """Take up what somebody else has played: teacher and random policy, and the scale."""
        self._reference = found
        self._parts |= {"teacher": found.teacher, "random": found.random}
        played = [*found.teacher, *found.random, *([found.sampled] if found.sampled else [])]
        self._player.n_done += 2 * self._plan.n_scale + sum(part.n_episodes for part in played)

    def over(self, on_look: OnLook | None) -> bool:
        """Look, and say whether more episodes would change nothing, or there are none left."""
        student, teacher, random = (run.returns for run in self._seen())
        look, scale = self._steps[self._n - 1][1], self._found.scale
        # The verdict alone: the bootstrap of a whole retention at every look would cost more than the episodes.
        verdict = judge(student, teacher, random, self._plan.margin, scale=scale, n_looks=self._n)
        if on_look:
            on_look(look, verdict)
        hopeless = verdict.beyond is not None and look >= ENOUGH
        return self._n == len(self._steps) or verdict.decided or hopeless

    def comparison(self) -> Comparison:
        """Return what was found up to the last look."""
        plan, scale, sampled = self._plan, self._found.scale, self._found.sampled
        student, teacher, random = self._seen()
        kept = retention(
            student.returns,
            teacher.returns,
            random.returns,
            plan.seed,
            plan.margin,
            scale=scale,
            n_looks=self._n,
            may_stop=plan.batch is not None,
        )
        found = Comparison(teacher, student, random, kept, scale)
        return found if sampled is None else _with_sampled(found, join_evaluations(self._parts["teacher"]), sampled)

    @property
    def _found(self) -> ReferenceReturns:
        assert self._reference is not None, "the reference comes before the first look"
        return self._reference

    def _seen(self) -> tuple[Evaluation, Evaluation, Evaluation]:
        """Return the episodes of student, teacher and random policy up to the last look."""
        student, teacher, random = (join_evaluations(self._parts[who][: self._n]) for who in ("student", *REFERENCES))
        return student, teacher, random


def _with_sampled(found: Comparison, mode: Evaluation, by_sampling: Evaluation) -> Comparison:
    """Return the comparison with the teacher by sampling beside its mode; where that is better, say so."""
    beside = mode_and_sample(mode, by_sampling, found.scale.stake)
    warning = beside.record().warning()
    if warning:
        LOG.warning("%s: %s", by_sampling.env_id, warning)
    return replace(found, teacher_sampled=beside)


def _offset(on_episode: OnStep | None, done_before: int) -> OnStep | None:
    return (lambda n_done: on_episode(done_before + n_done)) if on_episode else None
