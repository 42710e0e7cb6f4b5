"""Whether an environment can be played under a condition: made, begun and stepped once, before anything is measured.

In: conditions. Out: nothing, or a refusal that names the condition: some constructors take any value, and what they
were given fails at the first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from policy_distill.collection.actors import RandomPolicy
from policy_distill.environments.faults import check_finite
from policy_distill.environments.fit import check_fit
from policy_distill.environments.open import open_environments
from policy_distill.environments.perturbations.conditions import Condition
from policy_distill.errors import RequestError, RunFault
from policy_distill.interfaces.policies import Policy
from policy_distill.system.blame import blamed

ADVICE = "fix it, or leave it out"


def try_conditions(policy: Policy, env: Any, conditions: Sequence[Condition], seed: int = 0) -> None:
    """Make the environment under each condition; where that changes its arguments, begin an episode and step once.

    Args:
        policy: who is to act there.
        env: a Gymnasium id, an EnvSpec, or a callable that makes one.
        conditions: what changes it.
        seed: of the episode that is begun.

    Raises:
        RequestError: naming the condition, where the environment cannot be made or does not fit, or where reset or
            step raise or return what is no observation.
    """
    for condition in conditions:
        condition.check_arguments(env)
    for condition in conditions:
        make, failed = condition.maker(env), f"the environment cannot be played under {condition.name}"
        try:
            with blamed(failed, ADVICE):
                _try(policy, make, seed, step=bool(condition.env_kwargs))
        except (RequestError, RunFault) as error:
            why = str(error).removesuffix("; fix the environment")
            if why.startswith(failed):
                raise
            raise RequestError(
                f"the environment cannot be played under {condition.name}: {why}; fix it, or leave it out"
            ) from error


def _try(policy: Policy, make: Any, seed: int, *, step: bool) -> None:
    with closing(open_environments(make, 1, policy.env_wrappers)) as envs:
        check_fit(policy, envs)
        if not step:
            return
        envs.reset(0, seed)
        check_finite(envs.obs, envs.env_id, "after reset")
        masked = policy.takes_action_masks
        anybody = RandomPolicy(envs.action_space, 1, seed, takes_action_masks=masked)
        actions, _ = anybody.predict(envs.obs, action_masks=envs.action_masks() if masked else None)
        envs.step(actions)
        check_finite(envs.obs, envs.env_id, "after its first step")
