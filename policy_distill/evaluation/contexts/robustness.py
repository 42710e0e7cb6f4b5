"""How well teacher and student bear what they were not trained for: each condition on the same episode seeds.

In: two policies, an environment and conditions as of `environments/perturbations`. Out: a `Comparison` for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from policy_distill.collection.trial import try_conditions
from policy_distill.environments.open import without_normalization
from policy_distill.environments.perturbations.conditions import UNPERTURBED, Condition, parse_conditions
from policy_distill.evaluation.observation_units import measure_units
from policy_distill.evaluation.paired import Comparison, compare_policies
from policy_distill.evaluation.proof.plan import N_ENVS, ProofPlan
from policy_distill.evaluation.proof.verdict import MARGIN
from policy_distill.interfaces.policies import Policy


def compare_under(
    teacher: Policy,
    student: Policy,
    env: Any,
    perturb: str,
    n_episodes: int,
    seed: int,
    *,
    margin: float = MARGIN,
    worst_loss: float | None = None,
    stochastic: bool = False,
    n_sampled: int = 0,
    on_condition: Callable[[str], None] | None = None,
    max_episode_steps: int | None = None,
    n_envs: int = N_ENVS,
) -> dict[str, Comparison]:
    """Compare without and under each condition of a text, on the same episode seeds; see `compare`."""
    conditions = parse_conditions(perturb)
    plan = ProofPlan(
        n_episodes,
        seed,
        margin=margin,
        n_envs=n_envs,
        stochastic=stochastic,
        n_sampled=n_sampled,
        worst_loss=worst_loss,
        max_episode_steps=max_episode_steps,
    )
    return compare_conditions(teacher, student, env, conditions, plan, on_condition)


def compare_conditions(
    teacher: Policy,
    student: Policy,
    env: Any,
    conditions: Sequence[Condition],
    plan: ProofPlan,
    on_condition: Callable[[str], None] | None = None,
) -> dict[str, Comparison]:
    """Compare in the environment as it is, as `none`, and under each condition, on the episodes of a plan."""
    env = without_normalization(env)
    conditions = [UNPERTURBED, *conditions]
    wrappers = list(teacher.env_wrappers)
    # All of them first, so that the last condition's mistake does not cost the time of those before it.
    try_conditions(teacher, env, conditions, plan.seed)
    scale = noise_units(teacher, env, conditions)
    found = {}
    for condition in conditions:
        if on_condition:
            on_condition(condition.name)
        make = condition.maker(env, wrappers, scale)
        # The teacher by sampling is measured once, in the environment as it is.
        own = replace(plan, n_sampled=plan.n_sampled if condition is UNPERTURBED else 0)
        found[condition.name] = compare_policies(teacher, student, make, own)
    return found


def noise_units(teacher: Policy, env: Any, conditions: Sequence[Condition]) -> Any:
    """Return the unit of `obs-noise`, as of `measure_units`; None where no condition asks for it."""
    noisy = any(name == "obs-noise" for condition in conditions for name, _ in condition.wrappers)
    return measure_units(teacher, UNPERTURBED.maker(env), list(teacher.env_wrappers)) if noisy else None
