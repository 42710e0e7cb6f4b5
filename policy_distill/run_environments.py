"""The environments of a run: those that data is collected in, and what selection and proof make theirs from.

In: what the user calls the environment, a teacher and settings. Out: opened environments that fit the teacher.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.env_choice import for_policy
from policy_distill.environment_list import EnvironmentList
from policy_distill.environments import Environments, is_recipe, open_environments, without_normalization
from policy_distill.fit import check_fit
from policy_distill.interfaces import Teacher

LOG = logging.getLogger("policy_distill")


def open_for_run(
    env: Any, teacher: Teacher, config: DistillConfig, scope: ExitStack, env_kwargs: Mapping[str, Any] | None = None
) -> tuple[Environments, Any]:
    """Return the environments of a run, closed with `scope`, and what those that judge them are made from.

    Where one is asked for everywhere and a second cannot be made beside it, the one is what they borrow.
    """
    env = without_normalization(for_policy(env, teacher, env_kwargs))
    envs = open_environments(env, config.n_envs, teacher.env_wrappers)
    scope.enter_context(closing(envs))
    check_fit(teacher, envs)
    if isinstance(envs, EnvironmentList) and is_recipe(env) and config.n_envs == config.n_eval_envs == 1:
        try:
            open_environments(env, 1, teacher.env_wrappers).close()
        except Exception as error:
            LOG.info("only one environment can be made (%s): selection and proof borrow it", error)
            return envs, envs.lend()
    return envs, env
