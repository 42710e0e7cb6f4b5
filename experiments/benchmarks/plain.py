"""What a researcher writes in an afternoon: on-policy distillation by KL, with vector environments and batch labels.

The yardstick of `speed.py` and `learning.py`. It takes the same teacher and the same network, and keeps 50,000 states.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium.vector import SyncVectorEnv
from torch import nn

from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.environments.make import make_env

KEPT = 50_000


class PlainStudent(PolicyDefaults):
    """The network with SB3's `predict`."""

    def __init__(self, network: nn.Sequential, teacher: Any) -> None:
        self.network, self.teacher = network, teacher
        self.normalize = teacher.normalizer or (lambda x: x.astype(np.float32))

    @torch.no_grad()
    def predict(self, observation: np.ndarray, *_: Any, generator: Any = None, **__: Any) -> tuple[np.ndarray, None]:
        """Return executed actions: sampled where a generator is given, else the mode."""
        params, family = self.network(torch.from_numpy(self.normalize(observation))), self.teacher.family
        actions = family.sample(params, generator) if generator else family.mode(params)
        return self.teacher.action_map.execute(actions.numpy()), None


def distill_plainly(
    teacher: Any, env_id: str, widths: tuple[int, ...], timesteps: int, seed: int = 0, n_envs: int = 8
) -> Iterator[tuple[int, PlainStudent]]:
    """Distil by Adam, four passes in minibatches of 256 after each rollout of 1,024 states; yield steps and student."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    envs = SyncVectorEnv([lambda: make_env(env_id)] * n_envs)
    family = teacher.family
    sizes = [int(np.prod(teacher.observation_space.shape)), *widths]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    network = nn.Sequential(*layers, nn.Linear(sizes[-1], family.n_params))
    student, generator = PlainStudent(network, teacher), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    x, y = torch.empty(0, sizes[0]), torch.empty(0, family.n_params)
    obs, _ = envs.reset(seed=seed)
    for iteration in range(timesteps // (n_envs * 128)):
        seen = np.empty((128, *obs.shape), obs.dtype)
        for step in range(128):
            seen[step] = obs
            obs, *_ = envs.step(student.predict(obs, generator=generator)[0])
        params = teacher.label(seen, np.zeros((128, n_envs), bool)).params
        x = torch.cat([x, torch.from_numpy(student.normalize(seen.reshape(-1, *obs.shape[1:])))])[-KEPT:]
        y = torch.cat([y, params.reshape(-1, family.n_params)])[-KEPT:]
        for _ in range(4 * n_envs * 128 // 256):
            rows = torch.from_numpy(rng.integers(len(x), size=256))
            loss = family.kl(y[rows], network(x[rows])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield (iteration + 1) * n_envs * 128, student
    envs.close()
