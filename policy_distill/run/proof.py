"""The proof at the end of a run: teacher, student and a random policy on episodes that training never saw.

In: a stream, and the student of it. Out: a `Comparison`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.environments.open import without_normalization
from policy_distill.evaluation.apart.record import ApartRecord
from policy_distill.evaluation.apart.teachers import teachers_apart
from policy_distill.evaluation.paired import Comparison, compare_policies
from policy_distill.evaluation.proof.plan import BATCH, N_SAMPLED, ProofPlan
from policy_distill.evaluation.proof.scale import N_EPISODES
from policy_distill.evaluation.proof.spent import choose_seed, spent_by_teacher
from policy_distill.evaluation.proof.verdict import MARGIN
from policy_distill.evaluation.reference import ReferenceRuns
from policy_distill.run.stream import Stream
from policy_distill.seeds import PROOF, fresh_start, selection_start
from policy_distill.student.runtime import Student
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress


def start_reference(
    stream: Stream, env: Any, margin: float = MARGIN, *, sampled: bool = True
) -> AbstractContextManager[ReferenceRuns | None]:
    """Start the part of the proof that needs no student: it runs beside the training where a core is idle.

    Without `sampled` the teacher does not act by sampling too, whatever the settings say.
    """
    config = stream.config
    if config.eval_episodes == 0:
        return nullcontext()
    if config.eval_seed != PROOF:
        # Taken as it is; what it meets is said once.
        choose_seed(config.eval_seed, config.eval_episodes, stream.teacher)
    limits: dict[str, Any] = {"env_timeout": config.env_timeout, "restarts": stream.restarts}
    plan = replace(proof_plan(stream), margin=margin)
    plan = plan if sampled else replace(plan, n_sampled=0)
    return closing(ReferenceRuns(stream.teacher, without_normalization(env), plan, **limits))


def proof_plan(stream: Stream) -> ProofPlan:
    """Return which episodes prove a run's student; those that chose it scale the proof, and prove nothing."""
    config = stream.config
    start = config.eval_seed
    if start == PROOF:
        # A seed of the user's own is taken as it is.
        start = fresh_start(start, config.eval_episodes, spent_by_teacher(stream.teacher))
    return ProofPlan(
        config.eval_episodes,
        start,
        batch=BATCH if config.eval_episodes > BATCH else None,
        scale_seed=selection_start(config.seed),
        n_scale=max(min(N_EPISODES, config.eval_episodes), config.select_episodes, 2),
        worst_loss=config.worst_loss or None,
        n_sampled=N_SAMPLED if config.sampled_teacher else 0,
        n_envs=config.n_eval_envs,
        max_episode_steps=config.max_episode_steps,
    )


def spent_seeds(config: DistillConfig, comparison: Comparison, n_chosen: int) -> list[list[int]]:
    """Return the seeds from and up to which a student has been chosen, on `n_chosen` episodes, and proven."""
    chosen, start = selection_start(config.seed), comparison.student.seed
    n_chosen = max(len(comparison.scale.teacher), n_chosen)
    return [[start, start + comparison.student.n_episodes], [chosen, chosen + n_chosen]]


def prove(
    stream: Stream,
    student: Callable[[], Student],
    env: Any,
    reference: ReferenceRuns | None,
    bar: Progress,
    interrupts: Interrupts,
) -> Comparison | None:
    """Compare teacher, student and a random policy on paired episode seeds."""
    config = stream.config
    if config.eval_episodes == 0:
        return None

    def on_episode(n_done: int) -> None:
        advance(n_done)
        interrupts.stop_if_requested(f"after {n_done} episodes of the proof")

    plan = proof_plan(stream)
    with stream.watch.timed("evaluate"), bar.phase("proof", plan.n_played) as advance:
        return compare_policies(
            stream.teacher,
            student(),
            without_normalization(env),
            plan,
            on_episode=on_episode,
            reference=reference,
            restarts=stream.restarts,
        )


def each_teacher(stream: Stream, comparison: Comparison | None, env: Any) -> tuple[ApartRecord, ...] | None:
    """Return what each of several teachers returns alone, on the proof's episodes; None for one, or without a proof."""
    if comparison is None or len(stream.teacher.members) < 2:
        return None
    with stream.watch.timed("evaluate"):
        plan = proof_plan(stream)
        return teachers_apart(stream.teacher, comparison, without_normalization(env), stream.restarts, plan=plan)
