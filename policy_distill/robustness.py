"""How well teacher and student bear what they were not trained for: each condition on the same episode seeds.

In: two policies, an environment and conditions as of `perturb.py`. Out: a `Comparison` for each condition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from policy_distill.blame import blamed
from policy_distill.environment_list import EnvironmentList
from policy_distill.environments import without_normalization
from policy_distill.episodes import run_episodes
from policy_distill.interfaces import Policy
from policy_distill.paired import Comparison, compare_policies
from policy_distill.perturb import Condition, parse_conditions
from policy_distill.perturb_wrappers import Recorder
from policy_distill.pixels import is_image
from policy_distill.proof_plan import ProofPlan
from policy_distill.seeds import units_start
from policy_distill.spaces import describe_space
from policy_distill.usable_keys import without_unusable
from policy_distill.verdict import MARGIN
from policy_distill.wrappers import WrapperSpec, apply_wrappers

UNPERTURBED = Condition("none", (), ())


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
    on_condition: Callable[[str], None] | None = None,
    max_episode_steps: int | None = None,
) -> dict[str, Comparison]:
    """Compare without and under each condition, on the same episode seeds; see `compare`."""
    env = without_normalization(env)
    conditions = [UNPERTURBED, *parse_conditions(perturb)]
    wrappers = list(getattr(teacher, "env_wrappers", ()))
    for condition in conditions:
        condition.check_arguments(env)
    noisy = any(name == "obs-noise" for condition in conditions for name, _ in condition.wrappers)
    scale = _spread(teacher, env, wrappers) if noisy else None
    # Each is made once first, so that the last condition's mistake does not cost the time of those before it.
    for condition in conditions:
        with blamed(f"the environment cannot be made under {condition.name}", "mend it, or leave the condition out"):
            condition.maker(env, wrappers, scale)().close()
    found = {}
    for condition in conditions:
        if on_condition:
            on_condition(condition.name)
        make = condition.maker(env, wrappers, scale)
        limits: dict[str, Any] = {"worst_loss": worst_loss, "max_episode_steps": max_episode_steps}
        plan = ProofPlan(n_episodes, seed, margin=margin, **limits)
        found[condition.name] = compare_policies(teacher, student, make, plan)
    return found


def _spread(teacher: Policy, env: Any, wrappers: Sequence[WrapperSpec]) -> Any:
    """Return each component's standard deviation over an episode of the teacher's; of images, one number for all."""
    recorder = Recorder(UNPERTURBED.maker(env)())
    with closing(EnvironmentList([apply_wrappers(recorder, list(wrappers))])) as envs:
        run_episodes(teacher, envs, 1, units_start(0), True)
    seen = recorder.seen
    if isinstance(seen[0], dict):
        parts = without_unusable(recorder.observation_space, envs.env_id).spaces
        return {key: _deviation(np.stack([obs[key] for obs in seen]), sub) for key, sub in parts.items()}
    return _deviation(np.stack(seen), recorder.observation_space)


def _deviation(obs: np.ndarray, space: Any) -> np.ndarray:
    return np.asarray(obs.std() if is_image(describe_space(space)) else obs.std(axis=0, dtype=np.float64))
