"""What a student keeps of its teacher: on a number of episodes, until the verdict is clear, and under perturbations.

In: two policies and an environment. Out: a `Retention`, or a `Comparison` for each condition.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, overload

import numpy as np
import torch

from policy_distill.environments import open_environments, without_normalization
from policy_distill.episodes import Evaluation
from policy_distill.errors import RequestError
from policy_distill.evaluation import Comparison, compare_policies
from policy_distill.fidelity import Fidelity, agreement, as_taught
from policy_distill.interfaces import Policy, Teacher
from policy_distill.robustness import compare_under
from policy_distill.rollout import Collector
from policy_distill.runtime import Student
from policy_distill.seeds import measured_seed
from policy_distill.statistics import Retention, retention
from policy_distill.verdict import MARGIN, Verdict, judge, spending_boundaries

MAX_EPISODES = 1000
"""Episodes at most until the verdict is clear."""

N_STATES = 1000
"""States on which fidelity and the spread of observations are measured."""

OnBatch = Callable[[int, Verdict], None]
"""Called after each batch with the episodes so far and what they say."""


@overload
def compare(
    teacher: Policy, student: Policy, env: Any, n_episodes: int = ..., seed: int = ..., *, margin: float = ...,
    until_certain: bool = ..., max_episodes: int = ..., perturb: None = ...,
) -> Retention: ...  # fmt: skip
@overload
def compare(
    teacher: Policy, student: Policy, env: Any, n_episodes: int = ..., seed: int = ..., *, margin: float = ...,
    until_certain: bool = ..., max_episodes: int = ..., perturb: str,
) -> dict[str, Comparison]: ...  # fmt: skip
def compare(
    teacher: Policy,
    student: Policy,
    env: Any,
    n_episodes: int = 100,
    seed: int = 0,
    *,
    margin: float = MARGIN,
    until_certain: bool = False,
    max_episodes: int = MAX_EPISODES,
    perturb: str | None = None,
) -> Retention | dict[str, Comparison]:
    """Return the share of the teacher's gain over a random policy that the student keeps, on paired episode seeds.

    Args:
        teacher: a teacher, or anything with SB3's `predict`; acts deterministically, as the student does.
        student: likewise.
        env: a Gymnasium id, an EnvSpec, a callable, or a vector environment.
        n_episodes: episodes of each, or in each batch with `until_certain`.
        seed: episode i starts from reset(seed=seed + i), for all three.
        margin: share of the teacher's gain that a non-inferior student may lose.
        until_certain: run batches until the verdict is clear or `max_episodes` are run.
        max_episodes: the cap.
        perturb: conditions such as `obs-noise:0.1,sticky:0.25,delay:1,env:gravity=-12`; then a `Comparison` for each
            is returned by its name, the unperturbed one first, as `none`.

    Raises:
        RequestError: for an environment that is unknown or does not fit, or a condition that it does not take.
        RunFault: for observations that are not finite.
    """
    if perturb is not None:
        return compare_under(teacher, student, env, perturb, n_episodes, seed, margin=margin)
    if until_certain:
        return compare_until_certain(teacher, student, env, n_episodes, seed, margin, max_episodes).retention
    return compare_policies(teacher, student, env, n_episodes, seed, margin=margin).retention


def compare_until_certain(
    teacher: Policy,
    student: Policy,
    env: Any,
    batch: int,
    seed: int,
    margin: float = MARGIN,
    max_episodes: int = MAX_EPISODES,
    on_batch: OnBatch | None = None,
) -> Comparison:
    """Compare in batches until the verdict is clear or the cap is reached; see `verdict.py` for what looking costs.

    The verdict allows for the looks; the retention's interval is that of the episodes run, as if they had been planned.

    Raises:
        RequestError: for a batch of fewer than 2 episodes or more than the cap.
    """
    if not 2 <= batch <= max_episodes:
        raise RequestError(f"expected batches of 2 to {max_episodes} episodes (the cap), found {batch}; set --episodes")
    looks = (*range(batch, max_episodes, batch), max_episodes)
    boundaries = spending_boundaries(looks)
    runs: list[list[Evaluation]] = [[], [], []]
    for look, (n_episodes, boundary) in enumerate(zip(looks, boundaries, strict=True), start=1):
        done = looks[look - 2] if look > 1 else 0
        found = compare_policies(teacher, student, env, n_episodes - done, seed + done, margin=margin)
        for run, new in zip(runs, (found.teacher, found.student, found.random), strict=True):
            run.append(new)
        returns = [np.concatenate([part.returns for part in run]) for run in runs]
        verdict = judge(returns[1], returns[0], returns[2], margin, boundary=boundary, n_looks=look)
        if on_batch:
            on_batch(n_episodes, verdict)
        if verdict.outcome in ("non-inferior", "inferior"):
            break
    kept = replace(retention(returns[1], returns[0], returns[2], seed, margin), verdict=verdict)
    teacher_run, student_run, random_run = (_join(run) for run in runs)
    return Comparison(teacher_run, student_run, random_run, kept)


def fidelity_on_own_states(teacher: Teacher, student: Student, env: Any, seed: int = 0) -> Fidelity:
    """Let the student act, and compare it with the teacher's labels on the states that it comes to.

    The labels are those that the student learnt from: of a teacher of action values, at the temperature in its record.
    """
    teacher = as_taught(teacher, student.metadata.get("provenance"))
    masked = bool(getattr(teacher, "takes_action_masks", False))
    with closing(open_environments(without_normalization(env), 8, teacher.env_wrappers)) as envs:
        rollout = Collector(envs, seed, measured_seed).collect(student, N_STATES // 8, True, 0.0, masked=masked)
    params, _ = teacher.label(rollout.obs, rollout.episode_starts, None, rollout.action_masks)
    taught = params.reshape(-1, params.shape[-1])
    own = torch.from_numpy(np.ascontiguousarray(student.distribution_params(rollout.flat_obs), np.float32))
    dense = teacher.family.name != "deterministic"
    kl = float(teacher.family.kl(taught, own).mean()) if dense else float("nan")
    return Fidelity(agreement(teacher.family, teacher.action_map, taught, own), kl)


def _join(parts: list[Evaluation]) -> Evaluation:
    returns, lengths = (np.concatenate([getattr(part, name) for part in parts]) for name in ("returns", "lengths"))
    known = [part.phases for part in parts if part.phases is not None]
    phases = np.concatenate(known) if len(known) == len(parts) else None
    seconds = sum(part.wall_seconds for part in parts)
    return Evaluation(parts[0].env_id, parts[0].seed, returns, lengths, seconds, phases)
