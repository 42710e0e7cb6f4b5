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
from policy_distill.evaluation.episodes import Evaluation, OnStep, join
from policy_distill.evaluation.mode_and_sample import ModeAndSample, mode_and_sample
from policy_distill.evaluation.proof.kept import Retention, retention
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.proof.scale import Scale
from policy_distill.evaluation.proof.verdict import Verdict, judge
from policy_distill.evaluation.reference import REFERENCES, Player, Reference
from policy_distill.interfaces import Policy
from policy_distill.system.wording import sampled_warning

LOG = logging.getLogger("policy_distill")

ENOUGH = 100
"""Episodes after which a verdict that can no longer be clear ends a proof: the returns themselves are known by then."""

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


def compare_policies(
    teacher: Policy,
    student: Policy,
    env: Any,
    plan: ProofPlan,
    *,
    on_episode: OnStep | None = None,
    on_look: OnLook | None = None,
    reference: Reference | None = None,
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
    with closing(reference or Reference(teacher, env, plan, restarts=restarts)) as reference, closing(player):
        steps = plan.steps()
        (_, look), n_looks = steps[0], 1
        runs = {"student": [player.play("student", plan.seed, look)]}
        if plan.n_envs == 1:
            # Where one environment was asked for, the reference may need that one.
            player.close()
        # Only now: it may have been running beside.
        scale, *known, by_sampling = reference.result(_offset(on_episode, look))
        runs |= dict(zip(REFERENCES, known, strict=True))
        player.n_done += 2 * plan.n_scale + sum(part.n_episodes for run in known for part in run)
        player.n_done += by_sampling.n_episodes if by_sampling else 0
        while True:
            student_run, teacher_run, random_run = _seen(runs, n_looks)
            returns = (student_run.returns, teacher_run.returns, random_run.returns)
            # The verdict alone: the bootstrap of a whole retention at every look would cost more than the episodes.
            verdict = judge(*returns, plan.margin, scale=scale, n_looks=n_looks)
            if on_look:
                on_look(look, verdict)
            if n_looks == len(steps) or verdict.decided or (verdict.beyond and look >= ENOUGH):
                break
            (done, look), n_looks = steps[n_looks], n_looks + 1
            for who, parts in runs.items():
                if len(parts) < n_looks:
                    parts.append(player.play(who, plan.seed + done, look - done))
    options: dict[str, Any] = {"scale": scale, "n_looks": n_looks, "may_stop": plan.batch is not None}
    kept = retention(*returns, plan.seed, plan.margin, **options)
    found = Comparison(teacher_run, student_run, random_run, kept, scale)
    return found if by_sampling is None else _with_sampled(found, join(runs["teacher"]), by_sampling)


def _with_sampled(found: Comparison, mode: Evaluation, by_sampling: Evaluation) -> Comparison:
    """Return the comparison with the teacher by sampling beside its mode; where that is better, say so."""
    beside = mode_and_sample(mode, by_sampling, found.scale.stake)
    warning = sampled_warning({"teacher_sampled": beside.to_json()})
    if warning:
        LOG.warning("%s: %s", by_sampling.env_id, warning)
    return replace(found, teacher_sampled=beside)


def _seen(runs: dict[str, list[Evaluation]], n_looks: int) -> tuple[Evaluation, Evaluation, Evaluation]:
    """Return the episodes of student, teacher and random policy up to a look."""
    student, teacher, random = (join(runs[who][:n_looks]) for who in ("student", *REFERENCES))
    return student, teacher, random


def _offset(on_episode: OnStep | None, done_before: int) -> OnStep | None:
    return (lambda n_done: on_episode(done_before + n_done)) if on_episode else None
