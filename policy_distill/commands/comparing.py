"""How `compare` plays what it was asked for: plainly, under perturbations, or in contexts.

In: the command, and both policies. Out: `Comparison`s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from policy_distill.environments.perturbations.conditions import parse_conditions
from policy_distill.environments.perturbations.contexts import read_contexts
from policy_distill.evaluation.contexts.in_contexts import InContexts, compare_contexts
from policy_distill.evaluation.contexts.robustness import compare_conditions
from policy_distill.evaluation.paired import Comparison, compare_policies
from policy_distill.evaluation.proof.plan import N_SAMPLED, ProofPlan
from policy_distill.system.progress import Progress

if TYPE_CHECKING:
    from policy_distill.commands.compare import Compare


def plainly(asked: Compare, teacher: Any, student: Any, env: Any, seed: int) -> Comparison:
    """Compare in the environment as it is."""
    cap, batch = (asked.max_episodes, asked.episodes) if asked.until_certain else (asked.episodes, None)
    plan = _plan(asked, cap, seed, batch)
    with Progress(plan.n_played, description="episodes", enabled=not asked.json) as bar:
        return compare_policies(teacher, student, env, plan, on_episode=lambda done: bar.update(done, {}))


def under_perturbations(asked: Compare, teacher: Any, student: Any, env: Any, seed: int) -> dict[str, Comparison]:
    """Compare without and under each condition, by their names."""
    conditions = parse_conditions(asked.perturb or "")
    with _told(asked, len(conditions), "conditions") as told:
        return compare_conditions(teacher, student, env, conditions, _plan(asked, asked.episodes, seed), told)


def in_contexts(asked: Compare, teacher: Any, student: Any, env: Any, seed: int) -> InContexts:
    """Compare in the environment as it is and in each context.

    Raises:
        RequestError: for a file that holds no contexts, or one that the environment does not take.
    """
    assert asked.contexts is not None, "the command was asked for contexts"
    contexts = read_contexts(asked.contexts)
    with _told(asked, len(contexts), "contexts") as told:
        return compare_contexts(teacher, student, env, contexts, _plan(asked, asked.episodes, seed), told)


@contextmanager
def _told(asked: Compare, n_conditions: int, what: str) -> Iterator[Callable[[str], None]]:
    """Within, each condition that is told moves a bar on."""
    n_done = count()
    with Progress(n_conditions + 1, description=what, enabled=not asked.json) as bar:
        yield lambda _: bar.update(next(n_done), {})


def _plan(asked: Compare, n_episodes: int, seed: int, batch: int | None = None) -> ProofPlan:
    return ProofPlan(
        n_episodes,
        seed,
        batch,
        worst_loss=asked.worst_loss,
        margin=asked.margin,
        stochastic=asked.stochastic,
        n_sampled=N_SAMPLED if asked.sampled_teacher else 0,
        n_envs=asked.n_envs,
        max_episode_steps=asked.max_episode_steps,
    )
