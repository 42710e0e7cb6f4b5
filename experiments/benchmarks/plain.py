"""What a researcher writes in an afternoon: on-policy distillation by KL, with vector environments and batch labels.

The yardstick of `speed.py`. It takes the same teacher and the same networks, and keeps 50,000 states.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

KEPT = 50_000


def distill_plainly(
    teacher: Any, env_id: str, widths: tuple[int, ...], timesteps: int, seed: int = 0, n_envs: int = 8
) -> nn.Sequential:
    """Distil by Adam on minibatches of 256, four passes a rollout of 1,024 states; return the student's network."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    envs = gymnasium.make_vec(env_id, n_envs, vectorization_mode="sync")
    family = teacher.family
    sizes = [int(np.prod(teacher.observation_space.shape)), *widths]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    student = nn.Sequential(*layers, nn.Linear(sizes[-1], family.n_params))
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    normalize = teacher.normalizer or (lambda x: x.astype(np.float32))
    features: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    obs, _ = envs.reset(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(timesteps // (n_envs * 128)):
        seen = np.empty((128, *obs.shape), obs.dtype)
        for step in range(128):
            seen[step] = obs
            with torch.no_grad():
                actions = family.sample(student(torch.from_numpy(normalize(obs))), generator).numpy()
            obs, *_ = envs.step(teacher.action_map.execute(actions))
        params, _ = teacher.label(seen, np.zeros((128, n_envs), bool))
        features.append(torch.from_numpy(normalize(seen.reshape(-1, *obs.shape[1:]))))
        labels.append(params.reshape(-1, params.shape[-1]))
        x, y = torch.cat(features)[-KEPT:], torch.cat(labels)[-KEPT:]
        for _ in range(4 * n_envs * 128 // 256):
            rows = torch.from_numpy(rng.integers(len(x), size=256))
            loss = family.kl(y[rows], student(x[rows])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    envs.close()
    return student
