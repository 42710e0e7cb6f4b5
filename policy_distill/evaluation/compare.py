"""What a student keeps of its teacher: on a number of episodes, until the verdict is clear, and under perturbations.

In: two policies and an environment. Out: a `Retention`, or a `Comparison` for each condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import torch

from policy_distill.collection.one_sided import OneSided, OneSidedTeacher
from policy_distill.collection.state_sample import as_it_is, sample_states
from policy_distill.environments.choice import for_policy, recorded_in, say_where_other
from policy_distill.environments.open import open_environments, without_normalization
from policy_distill.environments.perturbations.contexts import Context, as_contexts
from policy_distill.environments.restarts import Restarts
from policy_distill.environments.two_sides import STUDENT, side_of
from policy_distill.errors import RequestError
from policy_distill.evaluation.contexts.in_contexts import InContexts, compare_contexts
from policy_distill.evaluation.contexts.robustness import compare_under
from policy_distill.evaluation.evaluate import open_for
from policy_distill.evaluation.fidelity import Fidelity, agreement, as_taught
from policy_distill.evaluation.on_workers import played_by
from policy_distill.evaluation.paired import Comparison, compare_policies
from policy_distill.evaluation.proof.kept import Retention
from policy_distill.evaluation.proof.plan import N_ENVS, N_SAMPLED, ProofPlan
from policy_distill.evaluation.proof.spent import choose_seed
from policy_distill.evaluation.proof.verdict import MARGIN
from policy_distill.interfaces.policies import Teacher, WrapperSpec
from policy_distill.student.runtime import Student
from policy_distill.student.sampling import params_of
from policy_distill.system.workers.settings import WorkerSettings
from policy_distill.teachers.sources import as_policy

MAX_EPISODES = 1000
"""Episodes at most until the verdict is clear."""

N_STATES = 1000
"""States on which fidelity is measured, drawn from whole episodes."""


@overload
def compare(
    teacher: Any, student: Any, env: Any, n_episodes: int = ..., seed: int | None = ..., *, margin: float = ...,
    worst_loss: float | None = ..., until_certain: bool = ..., max_episodes: int = ..., perturb: None = ...,
    contexts: None = ..., max_episode_steps: int | None = ..., n_envs: int = ...,
    env_kwargs: Mapping[str, Any] | None = ..., stochastic: bool = ...,
    sampled_teacher: bool = ..., workers: int | WorkerSettings = ...,
) -> Retention: ...  # fmt: skip
@overload
def compare(
    teacher: Any, student: Any, env: Any, n_episodes: int = ..., seed: int | None = ..., *, margin: float = ...,
    worst_loss: float | None = ..., until_certain: bool = ..., max_episodes: int = ..., perturb: str,
    contexts: None = ..., max_episode_steps: int | None = ..., n_envs: int = ...,
    env_kwargs: Mapping[str, Any] | None = ..., stochastic: bool = ...,
    sampled_teacher: bool = ..., workers: int | WorkerSettings = ...,
) -> dict[str, Comparison]: ...  # fmt: skip
@overload
def compare(
    teacher: Any, student: Any, env: Any, n_episodes: int = ..., seed: int | None = ..., *, margin: float = ...,
    worst_loss: float | None = ..., until_certain: bool = ..., max_episodes: int = ..., perturb: None = ...,
    contexts: str | Path | Mapping[str, Any] | Sequence[Context], max_episode_steps: int | None = ...,
    n_envs: int = ..., env_kwargs: Mapping[str, Any] | None = ..., stochastic: bool = ...,
    sampled_teacher: bool = ..., workers: int | WorkerSettings = ...,
) -> InContexts: ...  # fmt: skip
def compare(
    teacher: Any,
    student: Any,
    env: Any,
    n_episodes: int = 100,
    seed: int | None = None,
    *,
    margin: float = MARGIN,
    worst_loss: float | None = None,
    until_certain: bool = False,
    max_episodes: int = MAX_EPISODES,
    perturb: str | None = None,
    contexts: str | Path | Mapping[str, Any] | Sequence[Context] | None = None,
    max_episode_steps: int | None = None,
    stochastic: bool = False,
    sampled_teacher: bool = True,
    n_envs: int = N_ENVS,
    env_kwargs: Mapping[str, Any] | None = None,
    workers: int | WorkerSettings = 0,
) -> Retention | dict[str, Comparison] | InContexts:
    """Return the share of the teacher's gain over a random policy that the student keeps, on paired episode seeds.

    Args:
        teacher: a teacher, its path, or anything with SB3's `predict`; acts by its mode, as the student does.
        student: likewise.
        env: a Gymnasium id, an EnvSpec, a callable, or a vector environment.
        n_episodes: episodes of each, or in each batch with `until_certain`.
        seed: episode i starts from reset(seed=seed + i), for all three; None takes episodes that neither the teacher's
            training nor the student's own proof has used.
        margin: share of the teacher's gain that a non-inferior student may lose.
        worst_loss: what one episode may lose at most, in gains of the teacher over random: the assumption of the
            verdict and of the bound. None for a tenth more than the worst random episode loses.
        until_certain: run batches until the verdict is clear or `max_episodes` are run; the bound holds all the same.
        max_episodes: the cap.
        perturb: conditions such as `obs-noise:0.1,sticky:0.25,delay:1,env:gravity=-12`; then a `Comparison` for each
            is returned by its name, the unperturbed one first, as `none`.
        contexts: constructor arguments and perturbations, some seen in training and some held out: a YAML file, what
            such a file holds, or `Context`s; then `InContexts` is returned, a `Comparison` for each and the gaps.
        max_episode_steps: steps after which an episode is stopped; as of `evaluate`.
        stochastic: teacher and student act by sampling; see `collection/sampling.py`.
        sampled_teacher: run a teacher that acts by its mode by sampling too, on 100 of the episodes at most, and log a
            warning where that is better.
        n_envs: environments stepped side by side where `env` can be made.
        env_kwargs: arguments of its constructor, before those that student and teacher were made with.
        workers: processes that play the episodes, which changes none of them.

    Raises:
        RequestError: for an environment that is unknown or does not fit, or a condition or context that it does not
            take.
        RunFault: for observations that are not finite.
    """
    if sum((perturb is not None, contexts is not None, until_certain)) > 1:
        raise RequestError("expected one of perturb, contexts and until_certain, found more; choose one")
    places = None if contexts is None else as_contexts(contexts)
    teacher, student = (as_policy(one, env, env_kwargs) for one in (teacher, student))
    longest = max_episodes if until_certain else n_episodes
    seed = choose_seed(seed, longest, teacher, student)
    env = for_policy(env, teacher, env_kwargs, student)
    with closing(open_for(teacher, env, 1)) as envs:
        say_where_other(student, envs)
        if recorded_in(student) is None:
            say_where_other(teacher, envs)
    options: dict[str, Any] = {"margin": margin, "worst_loss": worst_loss, "stochastic": stochastic}
    options |= {"n_sampled": N_SAMPLED if sampled_teacher else 0, "max_episode_steps": max_episode_steps}
    options["n_envs"] = n_envs
    with played_by(workers):
        if perturb is not None:
            return compare_under(teacher, student, env, perturb, n_episodes, seed, **options)
        plan = ProofPlan(longest, seed, n_episodes if until_certain else None, **options)
        if places is not None:
            return compare_contexts(teacher, student, env, places, plan)
        return compare_policies(teacher, student, env, plan).retention


def fidelity_on_own_states(
    teacher: Teacher,
    student: Student,
    env: Any,
    seed: int = 0,
    n_envs: int = N_ENVS,
    restarts: Restarts | None = None,
) -> Fidelity:
    """Let the student act, and compare it with the teacher's labels on the states that it comes to.

    The labels are those that the student learnt from: of a teacher of action values, at the temperature in its record.
    """
    teacher = as_taught(teacher, student.metadata.get("provenance"))
    masked = teacher.takes_action_masks
    own: list[WrapperSpec] = [{**one, "both": True} for one in student.own_wrappers]
    wrappers = [*teacher.env_wrappers, *own]
    with closing(open_environments(without_normalization(env), min(n_envs, 8), wrappers, restarts)) as envs:
        actor = OneSided(student, STUDENT) if own else student
        labeller = cast(Teacher, OneSidedTeacher(teacher)) if own else teacher
        seen = partial(side_of, side=STUDENT) if own else as_it_is
        sample = sample_states(
            envs, seed, actor, N_STATES, masked=masked, teacher=labeller, followed=student, seen=seen
        )
    taught = sample.params.cpu()
    by_mode = student.plan.log_std == "dropped"
    # Of a student without log σ its means, from which alone the mode is found.
    outputs = student.network_outputs(seen(sample.obs)) if sample.outputs is None else sample.outputs
    found = outputs if by_mode else params_of(student.record, outputs)
    params = torch.from_numpy(np.ascontiguousarray(found, np.float32))
    dense = teacher.family.has_density and not by_mode
    kl = float(teacher.family.kl(taught, params).mean()) if dense else float("nan")
    return Fidelity(agreement(teacher.family, teacher.action_map, taught, params), kl)
