"""Several teachers one by one: which of them is best before a run, and what each returns beside its proof.

In: teachers that are one, and an environment. Out: the same, knowing what each returns; or records of each.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np

from policy_distill.environments.open import without_normalization
from policy_distill.environments.restarts import Restarts
from policy_distill.errors import RequestError
from policy_distill.evaluation.apart.record import ApartRecord, warnings_of
from policy_distill.evaluation.evaluate import open_for
from policy_distill.evaluation.paired import Comparison
from policy_distill.evaluation.proof.plan import N_ENVS, ProofPlan
from policy_distill.evaluation.proof.verdict import MARGIN
from policy_distill.evaluation.reference import Player
from policy_distill.evaluation.statistics import json_number
from policy_distill.interfaces.policies import Policy, Teacher
from policy_distill.seeds import teachers_start
from policy_distill.student.onboard.origins import TeacherProvenance
from policy_distill.system.nested import map_arrays, stack, take, with_axis
from policy_distill.teachers.combining.chooser import integers_of
from policy_distill.teachers.combining.standing import MemberReturns
from policy_distill.teachers.kinds.ensemble import EnsembleTeacher

LOG = logging.getLogger("policy_distill")

N_EPISODES = 60
"""Episodes that say which teacher is best, of each of them."""
MOST_EPISODES = 100
"""Episodes of a proof in which each teacher acts alone, at most."""
Z = 1.96
"""Standard errors on either side of a mean, for a 95% interval."""
LEAST = 8
"""Episodes below which there is no interval."""


def measured(teacher: Teacher, env: Any, seed: int = 0, *, n_envs: int = N_ENVS) -> Teacher:
    """Return teachers that know who of them is best, where that takes episodes; any other teacher as it is.

    Each acts in the same episodes, which begin from seeds that serve nothing else.

    Raises:
        RequestError: for an environment that does not fit, or whose episodes cannot be begun from seeds.
    """
    if not isinstance(teacher, EnsembleTeacher) or not teacher.awaits_returns:
        return teacher
    env, start = without_normalization(env), teachers_start(seed)
    returns = np.stack(
        [one.returns for one in _played(teacher, teacher.members, env, N_EPISODES, start, n_envs=n_envs)]
    )
    function, place = teacher.combination.function, teacher.combination.place
    contexts: dict[int, tuple[float, ...]] = {}
    if function is not None:
        told = integers_of(function, place, _first_observations(teacher, env, N_EPISODES, start))[0]
        contexts = {int(n): tuple(returns[:, told == n].mean(axis=1).tolist()) for n in np.unique(told)}
    standing = MemberReturns(tuple(returns.mean(axis=1).tolist()), contexts, N_EPISODES)
    LOG.info("mean returns of the teachers, in their order: %s", standing.to_json())
    return teacher.with_standing(standing)


def teachers_apart(
    teacher: Teacher, comparison: Comparison, env: Any, restarts: Restarts | None = None, *, plan: ProofPlan
) -> tuple[ApartRecord, ...]:
    """Return what each of several teachers returns in the first of a proof's episodes, and warn of those that fail.

    Nothing for one teacher alone. The best of them is the one with the highest mean there, which flatters it a little:
    a student that is as good as the best is so in truth.
    """
    if len(teacher.members) < 2:
        return ()
    n_episodes, seed = min(comparison.student.n_episodes, MOST_EPISODES), comparison.student.seed
    limits: dict[str, Any] = {"n_envs": plan.n_envs, "max_episode_steps": plan.max_episode_steps}
    played = _played(teacher, teacher.members, env, n_episodes, seed, restarts, **limits)
    best = int(np.argmax([one.mean for one in played]))
    allowed = MARGIN * max(played[best].mean - float(comparison.random.returns[:n_episodes].mean()), 0.0)
    found = []
    for place, (member, one) in enumerate(zip(teacher.members, played, strict=True)):
        known = TeacherProvenance.of(member.provenance)
        low, _ = _interval(played[best].returns - one.returns)
        more = comparison.student.returns[:n_episodes] - one.returns
        found.append(
            ApartRecord(
                algorithm=known.algorithm,
                source=known.source,
                sha256=known.sha256,
                returns=one.record(),
                n_episodes=n_episodes,
                best=place == best,
                below=bool(low > allowed),
                student_more=float(more.mean()),
                # Equal differences in all episodes say nothing of how much others would differ.
                student_more_ci95=[json_number(end) if np.ptp(more) else None for end in _interval(more)],
            )
        )
    for line in warnings_of(found):
        LOG.warning(line)
    return tuple(found)


def _played(
    teacher: Teacher,
    members: Sequence[Policy],
    env: Any,
    n_episodes: int,
    seed: int,
    restarts: Restarts | None = None,
    **limits: Any,
) -> list[Any]:
    """Return the evaluation of each member, on the same episodes."""
    with closing(Player(teacher, env, ProofPlan(n_episodes, seed, **limits), restarts)) as player:
        for place, member in enumerate(members):
            player.add(f"teacher {place}", member)
        return [player.play(f"teacher {place}", seed, n_episodes) for place in range(len(members))]


def _first_observations(teacher: Teacher, env: Any, n_episodes: int, seed: int) -> Any:
    """Return what each episode shows first, raw observations `[1, n_episodes, ...]`."""
    with closing(open_for(teacher, env, 1)) as envs:
        if envs.resets_itself:
            raise RequestError(
                f"expected an environment that resets from seeds, which tell the contexts, found {envs.env_id}, which "
                "restarts itself; pass its id, or use --combine best"
            )
        seen = []
        for number in range(n_episodes):
            envs.reset(0, seed + number)
            # A copy: the next step overwrites it.
            seen.append(map_arrays(np.array, take(envs.obs, 0)))
    return with_axis(stack(seen))


def _interval(x: np.ndarray) -> tuple[float, float]:
    """Return the 95% interval of the mean of `x` `[n]`, by its standard error; NaN for too few."""
    if len(x) < LEAST:
        return (math.nan, math.nan)
    half = Z * float(x.std(ddof=1)) / math.sqrt(len(x))
    return (float(x.mean()) - half, float(x.mean()) + half)
