"""How `compare` plays what it was asked for: plainly, under perturbations, or in contexts.

In: the command, and both policies. Out: `Comparison`s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy_distill.environments.perturbations.conditions import parse_conditions
from policy_distill.environments.perturbations.contexts import read_contexts
from policy_distill.evaluation.contexts.gap import InContext, contexts_record
from policy_distill.evaluation.contexts.records import ContextsRecord
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
    return _under(asked, teacher, student, env, seed, parse_conditions(asked.perturb or ""), "conditions")


def in_contexts(asked: Compare, teacher: Any, student: Any, env: Any, seed: int) -> tuple[Comparison, ContextsRecord]:
    """Compare in the environment as it is and in each context; return the first, and what all of them come to.

    Raises:
        RequestError: for a file that holds no contexts, or one that the environment does not take.
    """
    assert asked.contexts is not None, "the command was asked for contexts"
    contexts = {one.name: one for one in read_contexts(asked.contexts)}
    conditions = [one.condition for one in contexts.values()]
    found = _under(asked, teacher, student, env, seed, conditions, "contexts")
    played = [InContext(one, found[name]) for name, one in contexts.items()]
    return found["none"], contexts_record(found["none"], played)


def _under(
    asked: Compare, teacher: Any, student: Any, env: Any, seed: int, conditions: list[Any], what: str
) -> dict[str, Comparison]:
    n_done, plan = iter(range(1_000_000)), _plan(asked, asked.episodes, seed)
    with Progress(len(conditions) + 1, description=what, enabled=not asked.json) as bar:
        return compare_conditions(
            teacher, student, env, conditions, plan, on_condition=lambda _: bar.update(next(n_done), {})
        )


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
