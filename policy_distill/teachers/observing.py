"""What teacher kinds share: raw observations to the policy's tensors, whole rollouts at once, and SB3's `predict`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space

from policy_distill.student.features import Normalizer
from policy_distill.system.interrupts import stop_if_requested
from policy_distill.system.nested import first_of, map_arrays, merged, take

CHUNK = 16_384
"""States labelled in one forward pass at most; bounds memory, not results."""

CHUNK_NUMBERS = 2**24
"""Numbers in the observations of one forward pass at most."""

Normalizers = Normalizer | dict[str, Normalizer] | None


def normalize(obs: Any, normalizer: Normalizers) -> Any:
    """Return observations as `VecNormalize` would hand them to the policy."""
    if normalizer is None:
        return obs
    if isinstance(normalizer, dict):
        return {key: normalizer[key](value) if key in normalizer else value for key, value in obs.items()}
    return normalizer(obs)


@torch.no_grad()
def label_in_chunks(obs: Any, forward: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """Apply `forward` to raw observations `[T, N, ...]`, flattened and in chunks; return float32 `[T, N, P]`."""
    first, flat = first_of(obs), merged(obs)
    shape = first.shape[:2]
    chunk = max(min(CHUNK, CHUNK_NUMBERS // max(int(np.prod(first.shape[2:])), 1)), 1)
    parts = []
    for start in range(0, shape[0] * shape[1], chunk):
        stop_if_requested("while states were labelled")
        parts.append(forward(take(flat, slice(start, start + chunk))))
    params = parts[0] if len(parts) == 1 else torch.cat(parts)
    return params.reshape(*shape, -1).to(torch.float32).contiguous()


def batch_major(obs: Any) -> Any:
    """Return observations `[T, N, ...]` as `[N * T, ...]`: all steps of one environment, then of the next."""
    return map_arrays(lambda value: value.swapaxes(0, 1).reshape(-1, *value.shape[2:]), obs)


def to_tensor(policy: BasePolicy, obs: Any) -> Any:
    """Return a batch of normalised observations as the policy's own conversion makes them."""
    if isinstance(obs, np.ndarray) and obs.dtype.kind == "f" and not is_image_space(policy.observation_space):
        # The common case without SB3's checks, which cost more than a small network.
        return torch.from_numpy(np.ascontiguousarray(obs, dtype=np.float32)).to(policy.device)
    return policy.obs_to_tensor(obs)[0]


def count_parameters(parameters: list[torch.Tensor]) -> tuple[int, int]:
    """Return the number and the bytes of parameters."""
    return sum(p.numel() for p in parameters), sum(p.numel() * p.element_size() for p in parameters)
