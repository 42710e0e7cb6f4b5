"""What a run begins with: settings that are known to fit, and its environments.

In: what the user calls the environment, a teacher and settings. Out: opened environments that fit the teacher, and what
selection and proof make theirs from.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.device import check_device
from policy_distill.env_choice import for_policy
from policy_distill.environment_list import EnvironmentList
from policy_distill.environments import Environments, is_recipe, open_environments, without_normalization
from policy_distill.fit import check_fit
from policy_distill.interfaces import Loss, Teacher
from policy_distill.losses.table import choose_loss
from policy_distill.networks.table import make_network

LOG = logging.getLogger("policy_distill")


def settle(teacher: Teacher, student: str, config: DistillConfig) -> tuple[DistillConfig, Loss]:
    """Return the settings and their loss once it is known that device, network and loss fit."""
    check_device(config.device)
    make_network(student, config.activation)
    return config, choose_loss(config.loss, teacher.family)


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
