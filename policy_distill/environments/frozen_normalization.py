"""Statistics of a `NormalizeObservation`, as a wrapper that a record can hold: the world of a student, made again.

In: what is known of an environment, and the statistics of its wrappers. Out: the same, with the statistics in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import NormalizeObservation

from policy_distill.environments.identity import EnvIdentity, what_is_missing
from policy_distill.errors import RequestError

NAME = "NormalizeObservation"
PRECISIONS = ("float32", "float64")


class FrozenNormalization(NormalizeObservation[Any, Any, Any]):
    """A `NormalizeObservation` with statistics from elsewhere, which stay as they are."""

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        mean: list[float],
        variance: list[float],
        epsilon: float = 1e-8,
        dtype: str = "float64",
    ) -> None:
        """Take statistics `[n]` of flat observations, in the precision `dtype` that they were kept in.

        Raises:
            RequestError: where they are no statistics of such observations; a record of them may come from anywhere.
        """
        # The first to record arguments is the one that is asked for them.
        gymnasium.utils.RecordConstructorArgs.__init__(self, mean=mean, variance=variance, epsilon=epsilon, dtype=dtype)
        super().__init__(env, epsilon)
        shape = self.observation_space.shape
        try:
            if dtype not in PRECISIONS:
                raise ValueError(f"the precision {dtype!r:.40}")
            self.obs_rms.mean, self.obs_rms.var = (np.asarray(one, dtype).reshape(shape) for one in (mean, variance))
            if not (np.isfinite(self.obs_rms.mean).all() and (self.obs_rms.var >= 0.0).all()):
                raise ValueError("numbers that cannot be statistics of observations")
        except (TypeError, ValueError) as error:
            raise RequestError(
                f"expected mean and variance of observations of shape {shape}, in {' or '.join(PRECISIONS)}, found "
                f"others ({error}); set --env, or pass the environment from Python"
            ) from None
        self.obs_rms.count = np.inf
        self.update_running_mean = False


def with_statistics(identity: EnvIdentity, statistics: Sequence[dict[str, Any]]) -> EnvIdentity:
    """Return an identity whose wrappers `NormalizeObservation` carry `statistics`, both innermost first."""
    places = [index for index, one in enumerate(identity.wrappers) if one["name"] == NAME]
    if not places or len(places) != len(statistics):
        return identity
    wrappers = list(identity.wrappers)
    for index, kwargs in zip(places, statistics, strict=True):
        point = f"{FrozenNormalization.__module__}:{FrozenNormalization.__name__}"
        wrappers[index] = {"name": FrozenNormalization.__name__, "entry_point": point, "kwargs": kwargs}
    missing = identity.missing or what_is_missing(identity.kwargs, tuple(wrappers))
    return dataclasses.replace(identity, wrappers=tuple(wrappers), missing=missing)
