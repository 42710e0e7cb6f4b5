"""How robots' students are distilled elsewhere: squared errors of means over windows of 15 steps, as rsl_rl has it.

The yardstick of `blind.py`. Schwarke et al. 2025 (arXiv 2509.10771), with the settings of Isaac Lab's example, a robot
that walks on flat ground: the student acts with a fixed noise and the teacher labels; rollouts of 120 steps are gone
through in order, twice, each 15 steps one step of Adam on the mean squared error of the means; states are carried on
without their gradient, and what was learnt from is thrown away. There are thousands of environments there, here eight.
"""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from policy_distill.collection.collector import Collector
from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError

WINDOW, ROLLOUT, N_EPOCHS, NOISE, RATE = 15, 120, 2, 0.1, 1e-3


class WindowStudent(PolicyDefaults, nn.Module):
    """Means of actions from some components of a vector, with SB3's `predict`; a recurrent unit first where one is."""

    def __init__(self, teacher: Any, columns: list[int], spec: str) -> None:
        """Take `mlp:64,64`, `gru:32`, or `gru:32+mlp:32`."""
        super().__init__()
        self.teacher, self.columns, self.noise = teacher, columns, 0.0
        self.normalize = teacher.normalizer or (lambda x: x.astype(np.float32))
        first, _, rest = spec.partition("+")
        kind, _, sizes = first.partition(":")
        if kind not in ("mlp", "gru"):
            raise RequestError(f"expected mlp:64,64 or gru:32+mlp:32 to learn on windows, found {spec!r}")
        self.unit = nn.GRU(len(columns), int(sizes)) if kind == "gru" else None
        widths = [int(size) for size in (sizes if self.unit is None else rest.removeprefix("mlp:")).split(",") if size]
        sizes_in = [len(columns) if self.unit is None else self.unit.hidden_size, *widths]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes_in):
            layers += [nn.Linear(n_in, n_out), nn.ELU()]
        self.head = nn.Sequential(*layers, nn.Linear(sizes_in[-1], int(np.prod(teacher.action_space.shape))))

    def features(self, obs: np.ndarray) -> torch.Tensor:
        """Return `[..., n]` of what is seen, normalised by the teacher's statistics."""
        return torch.from_numpy(np.asarray(self.normalize(obs), np.float32)[..., self.columns])

    def forward(self, x: torch.Tensor, state: Any, starts: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return means `[N, A]` for one step of each environment, and the next state."""
        if self.unit is not None:
            state = torch.zeros(1, len(x), self.unit.hidden_size) if state is None else state
            x, state = self.unit(x[None], state * ~starts[None, :, None])
            x = x[0]
        return self.head(x), state

    @torch.no_grad()
    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions, with noise while it collects."""
        starts = torch.as_tensor(np.ones(len(observation), bool) if episode_start is None else episode_start)
        means, state = self(self.features(observation), state, starts)
        means = means + self.noise * torch.randn(means.shape)
        return self.teacher.action_map.execute(means.numpy()), state


def distill_in_windows(
    teacher: Any, env_id: str, columns: list[int], spec: str, timesteps: int, seed: int = 0, n_envs: int = 8
) -> WindowStudent:
    """Return a student that sees `columns` of the observation, after about so many environment steps."""
    torch.manual_seed(seed)
    student = WindowStudent(teacher, columns, spec)
    optimizer = torch.optim.Adam(student.parameters(), lr=RATE)
    with closing(open_environments(env_id, n_envs, teacher.env_wrappers)) as envs:
        collector, begun = Collector(envs, seed), None
        for _ in range(max(1, timesteps // (n_envs * ROLLOUT))):
            student.noise = NOISE
            rollout = collector.collect(student, ROLLOUT, False, 0.0)
            means = teacher.family.mode(teacher.label(rollout.obs, rollout.episode_starts).params)
            starts, state = torch.from_numpy(rollout.episode_starts), None
            for _ in range(N_EPOCHS):
                state = _pass(student, optimizer, student.features(rollout.obs), means, starts, begun)
            begun = state
    student.noise = 0.0
    return student


def _pass(
    student: WindowStudent, optimizer: Any, x: torch.Tensor, means: torch.Tensor, starts: torch.Tensor, state: Any
) -> Any:
    """Go through a rollout once, in order, and return the state after it."""
    for begin in range(0, len(x), WINDOW):
        loss = torch.zeros(())
        for step in range(begin, min(begin + WINDOW, len(x))):
            found, state = student(x[step], state, starts[step])
            loss = loss + (found - means[step]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        state = None if state is None else state.detach()
    return state
