"""Wrappers that change what is seen or gained by statistics of their own: found in an environment's chain, and frozen.

In: an environment. Out: the same, whose observations are those that a policy was trained on, and its raw rewards; or an
error, where the statistics that a policy was trained with are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np

from policy_distill.errors import RequestError
from policy_distill.system.foreign import asked
from policy_distill.system.notices import say_once

SEEN = 1.0
"""Observations that statistics have at least been updated with, where they are of anything."""
REWARDS = ("NormalizeReward", "TransformReward", "ClipReward", "ClipRewardEnv")
"""Wrappers below which the raw reward is to be had."""


class Tap(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Remembers the last reward that passed through it."""

    reward: Any = 0.0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step."""
        obs, self.reward, *rest = self.env.step(action)
        return (obs, self.reward, *rest)


class Settled:
    """What was done to one environment, and how it is undone."""

    def __init__(self, env: Any, env_id: str) -> None:
        """Freeze what runs in the chain of `env`.

        Raises:
            RequestError: where its observations are normalised by statistics of nothing.
        """
        self.tap: Tap | None = None
        """Where the raw rewards are; None where they are what the environment returns."""
        self.statistics: list[dict[str, Any]] = []
        """The frozen observation statistics as JSON values, innermost first: mean, variance, epsilon, dtype."""
        self._undo: list[Callable[[], None]] = []
        lowest = None
        for wrapper in each_wrapper(env):
            if is_kind(wrapper, "NormalizeObservation"):
                self.statistics.insert(0, _readable(wrapper, env_id))
                self._freeze(wrapper)
                say_once(env_id, FROZEN)
            elif any(is_kind(wrapper, name) for name in REWARDS):
                lowest = wrapper
                self._freeze(wrapper)
            elif isinstance(wrapper, gymnasium.RewardWrapper):
                name = type(wrapper).__name__
                say_once(env_id, f"its rewards are those of the wrapper {name}: returns are in its units")
        if lowest is not None:
            self._tap(lowest)
            name = type(lowest).__name__
            say_once(env_id, f"its rewards are changed by {name}: returns are in the units of the environment below it")

    def undo(self) -> None:
        """Leave the environment as it was."""
        while self._undo:
            self._undo.pop()()

    def _freeze(self, wrapper: Any) -> None:
        if asked(wrapper, "update_running_mean"):
            wrapper.update_running_mean = False
            self._undo.append(lambda: setattr(wrapper, "update_running_mean", True))

    def _tap(self, wrapper: Any) -> None:
        below = wrapper.env
        self.tap = wrapper.env = Tap(below)
        self._undo.append(lambda: setattr(wrapper, "env", below))


FROZEN = (
    "its observations are normalised by NormalizeObservation, whose statistics are frozen as they are; the student "
    "sees what the wrapper returns, so that its own environment needs the same wrapper with the same statistics"
)


def each_wrapper(env: Any) -> Iterator[Any]:
    """Go inwards through the wrappers of an environment or of a Gymnasium vector, the outermost first."""
    while isinstance(env, gymnasium.Wrapper | gymnasium.vector.VectorWrapper):
        yield env
        env = env.env


def check_vector(vector: Any, env_id: str) -> list[dict[str, Any]]:
    """Freeze or refuse what runs in a vector that steps as one; return the statistics that were frozen.

    Raises:
        RequestError: for observations normalised by statistics of nothing, and rewards that a running scale divides.
    """
    statistics: list[dict[str, Any]] = []
    for wrapper in each_wrapper(vector):
        if is_kind(wrapper, "NormalizeObservation"):
            statistics.insert(0, _readable(wrapper, env_id))
            wrapper.update_running_mean = False
            say_once(env_id, FROZEN)
        elif is_kind(wrapper, "NormalizeReward"):
            raise RequestError(f"{env_id}: {SCALED}")
        elif any(is_kind(wrapper, name) for name in REWARDS):
            say_once(env_id, f"its rewards are changed by {type(wrapper).__name__}: returns are in its units")
    if asked(vector, "env_is_wrapped") is None:
        return statistics
    if any(vector.env_is_wrapped(gymnasium.wrappers.NormalizeReward)):
        raise RequestError(f"{env_id}: {SCALED}")
    if any(vector.env_is_wrapped(gymnasium.wrappers.NormalizeObservation)):
        say_once(
            env_id,
            "its observations are normalised by NormalizeObservation in other processes, where its statistics can be "
            "neither read nor frozen, and they change while it is stepped; pass a DummyVecEnv or one environment",
        )
    return statistics


SCALED = (
    "expected rewards in fixed units, found NormalizeReward, which scales rewards by the earlier ones; pass the "
    "environments without it"
)


def is_kind(wrapper: Any, name: str) -> bool:
    """By name: Gym's, Gymnasium's for one environment and for vectors, and copies of them are different classes."""
    return any(cls.__name__ == name for cls in type(wrapper).__mro__)


def _readable(wrapper: Any, env_id: str) -> dict[str, Any]:
    """Return the statistics of a `NormalizeObservation`."""
    rms = asked(wrapper, "obs_rms")
    count = asked(rms, "count", 0.0)
    if not count >= SEEN and _untouched(rms):
        raise RequestError(
            f"{env_id}: expected the observation statistics that the teacher was trained with, found "
            "NormalizeObservation with none; pass the environment that it was trained in, or a callable that sets "
            "obs_rms to them"
        )
    assert rms is not None
    mean, variance = (np.asarray(moment, np.float64) for moment in (rms.mean, rms.var))
    epsilon = float(asked(wrapper, "epsilon", 1e-8))
    # Its precision too: in another one, observations would differ in their last bits.
    dtype = str(np.asarray(rms.mean).dtype)
    return {"mean": mean.ravel().tolist(), "variance": variance.ravel().tolist(), "epsilon": epsilon, "dtype": dtype}


def _untouched(rms: Any) -> bool:
    """Say whether statistics are those that a wrapper begins with; somebody may have set them and not the count."""
    if rms is None:
        return True
    return bool(np.all(np.asarray(rms.mean) == 0.0) and np.all(np.asarray(rms.var) == 1.0))
