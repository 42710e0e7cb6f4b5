"""Environments and students that tests of fine-tuning share."""

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from policy_distill.families.table import make_family
from policy_distill.student.runtime import Student
from policy_distill.student.spaces import describe_space
from policy_distill.teachers.kinds.network import box_map, discrete_family
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec

QUICK = {
    **{"timesteps": 256, "n_envs": 4, "n_steps": 16, "n_epochs": 2, "batch_size": 16, "critic_steps": 64},
    **{"eval_episodes": 4, "select_episodes": 2, "n_selections": 2, "checkpoint_every": 64},
}


class Aim(gymnasium.Env[np.ndarray, np.ndarray]):
    """Eight steps; the reward of an action is how near it is to 0.5, whatever is observed."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._obs(), {}

    def step(self, action):
        self.t += 1
        return self._obs(), 1.0 - abs(float(action[0]) - 0.5), False, self.t == 8, {}

    def _obs(self):
        return self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32)


class Anything(gymnasium.Env[object, object]):
    """Shows whatever its space holds, for five steps; every other episode is cut short."""

    def __init__(self, observation_space, action_space) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.t = self.n = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.t, self.n = 0, self.n + 1
        return self.observation_space.sample(), {}

    def step(self, action):
        self.t += 1
        over, cut = self.t == 5, bool(self.n % 2)
        reward = float(np.sum(action)) / 10.0
        return self.observation_space.sample(), reward, over and not cut, over and cut, {}


def student_of(env, network="mlp:4", seed=0, mean=0.0, log_std=-1.0):
    """Return an untrained student of an environment; a Gaussian one acts near `mean`."""
    space = env.action_space
    if isinstance(space, spaces.Box):
        family = make_family("diagonal_gaussian", {"dim": space.shape[0]})
        action_map = box_map(space, squashed=False)
    else:
        family, action_map = discrete_family(space)
    spec = StudentSpec(
        network,
        "tanh",
        family,
        "vector" if isinstance(space, spaces.Box) else None,
        describe_space(env.observation_space),
        describe_space(space),
        action_map,
        None,
    )
    policy = StudentPolicy(spec, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        if isinstance(space, spaces.Box):
            policy.network[-1].bias.fill_(mean)
            policy.log_std.fill_(log_std)
    return Student.of(policy.to_record({}))
