"""What happens when an environment misbehaves: it is named, and restarted where that was asked for.

In: an environment's index and what went wrong. Out: a `RunFault` that says where, or a count and a fresh start. Nothing
here runs while environments behave, but for one count a step.
"""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from policy_distill.environments.restarts import Restarts
from policy_distill.errors import RunFault, one_line
from policy_distill.system.nested import arrays_of

LOG = logging.getLogger("policy_distill")


class Misbehaviour(RunFault):
    """An environment broke its own promise; `index` says which one."""

    def __init__(self, index: int | None, message: str) -> None:
        super().__init__(message)
        self.index = index


ALL: weakref.WeakSet[EnvFaults] = weakref.WeakSet()
"""Of all environments there are, so that one watch looks after those of training and of evaluation."""


class EnvFaults:
    """Remembers where each environment's episode began, and decides about its faults."""

    def __init__(self, env_id: str, n_envs: int, restarts: Restarts | None = None) -> None:
        self.env_id = env_id
        self.first = 0
        """The number of the first among all environments of a run, where others are stepped elsewhere."""
        self.restarts = restarts
        """Restarts that may be made in all; None where nobody was asked for any."""
        self.n_restarts = 0
        """Restarts made of these environments."""
        self.failed: set[int] = set()
        """Environments that were restarted, and have begun no episode since."""
        self.n_steps = 0
        """Steps taken, of all environments at once."""
        self.n_calls = 0
        """Steps and resets begun, so that one that hangs is told from many."""
        self.stepping = False
        """True while the environments compute."""
        self._seeds: list[int | None] = [None] * n_envs
        self._begun = [0] * n_envs
        ALL.add(self)

    def began(self, index: int, seed: int) -> None:
        """Note that an episode of environment `index` began from `seed`."""
        self._seeds[index] = seed
        self._begun[index] = self.n_steps
        self.failed.discard(index)

    def part(self, first: int, n_envs: int) -> EnvFaults:
        """Return what is remembered of environments `first` to `first + n_envs - 1`."""
        found = EnvFaults(self.env_id, n_envs, self.restarts)
        found.first, found.n_steps = self.first + first, self.n_steps
        own = slice(first, first + n_envs)
        found._seeds, found._begun = self._seeds[own], self._begun[own]
        return found

    def handle(self, index: int | None, error: Exception) -> None:
        """Count a restart of environment `index`, or stop the run.

        Raises:
            RunFault: where no restart is left, or the environment is unknown; with its index, step and seed.
        """
        # First of all: the time that this takes is not the environment's.
        self.stepping = False
        if index is None or self.restarts is None:
            self.stop(index, error)
        if not self.restarts.take():
            used = f" ({self.restarts.n} restarts were used)" if self.restarts.n else ""
            self.stop(index, error, f"{used}; fix the environment, or allow restarts with --env-restarts")
        self.n_restarts += 1
        self.failed.add(index)
        message = self._message(index, error)
        LOG.warning("%s; restarted (%d of at most %d)", message, self.restarts.n, self.restarts.allowed)

    def stop(self, index: int | None, error: Exception, advice: str = "; fix the environment") -> NoReturn:
        """Stop the run.

        Raises:
            RunFault: with the environment's index, where it is known, its step and its seed.
        """
        self.stepping = False
        raise RunFault(f"{self._message(index, error)}{advice}") from error

    def _message(self, index: int | None, error: Exception) -> str:
        return f"{self.env_id} failed: {self._where(index)}: {reason_of(error)}"

    def _where(self, index: int | None) -> str:
        if index is None:
            return f"one of {len(self._seeds)} environments at step {self.n_steps}"
        seed = self._seeds[index]
        step = self.n_steps - self._begun[index]
        from_seed = "unknown" if seed is None else seed
        return f"environment {self.first + index} at step {step} of its episode, seed {from_seed}"


def check_return(envs: Any, index: int, episode_return: float) -> bool:
    """Say whether an episode's return is a number; else its environment is restarted for it, to be reset.

    Raises:
        RunFault: where no restart is left; with the environment's index, step and seed.
    """
    if math.isfinite(episode_return):
        return True
    envs.restart(index, Misbehaviour(index, f"the rewards of its episode sum to {episode_return}"))
    return False


def _make_writer(storage: np.ndarray) -> Callable[[int, Any], None]:
    """Return what stores one observation in `storage` `[N, ...]`; NumPy would stretch and truncate what does not fit.

    It raises `Misbehaviour` for another shape, or a dtype of another kind; one of the same kind is converted, as SB3
    does.
    """
    shape, dtype, array_type = storage.shape[1:], storage.dtype, np.ndarray
    converted: set[np.dtype[Any]] = set()

    def write(index: int, obs: Any) -> None:
        # Mostly three looks at what is there already: this is called for every step of every environment.
        if obs.__class__ is not array_type or obs.shape != shape or not (obs.dtype is dtype or obs.dtype in converted):
            obs = np.asarray(obs)
            if obs.shape != shape:
                raise Misbehaviour(index, f"it returned an observation of shape {obs.shape}, expected {shape}")
            if not np.can_cast(obs.dtype, dtype, "same_kind"):
                raise Misbehaviour(index, f"it returned an observation of dtype {obs.dtype}, expected {dtype}")
            converted.add(obs.dtype)
        storage[index] = obs

    return write


def make_writer(storage: Any) -> Callable[[int, Any], None]:
    """Return what stores the observation of one environment."""
    if not isinstance(storage, dict):
        return _make_writer(storage)
    # Not by `nested.write`: this is called for every step of every environment.
    writers = {key: _make_writer(value) for key, value in storage.items()}

    def write(index: int, obs: Any) -> None:
        for key, writer in writers.items():
            writer(index, obs[key])

    return write


def check_finite(obs: Any, env_id: str, where: str, first: int = 0) -> None:
    """Stop where observations `[N, ...]`, or a dict of such, hold NaN or infinity; `where` names the moment.

    `first` is the number of the first of these environments among all.

    Raises:
        RunFault: naming the environment's index and the component.
    """
    for key, array in arrays_of(obs):
        # A sum of squares is the quickest look at all of them; it may overflow, so only the second look is believed.
        if array.dtype.kind != "f" or math.isfinite(np.vdot(array, array)) or np.isfinite(array).all():
            continue
        index, *component = np.argwhere(~np.isfinite(array))[0].tolist()
        raise Misbehaviour(
            index,
            f"{env_id} returned {array[(index, *component)]} in an observation{f' under key {key!r}' if key else ''}: "
            f"environment {first + index} {where}, component {component}",
        )


def check_observations(envs: Any, where: str) -> int | None:
    """Look for NaN in the current observations; return the environment that was restarted for it, to be reset.

    Raises:
        RunFault: where no restart is left; with the environment's index, step and seed.
    """
    try:
        check_finite(envs.obs, envs.env_id, where, envs.faults.first)
    except Misbehaviour as fault:
        assert fault.index is not None
        envs.restart(fault.index, fault)
        return fault.index
    return None


def reason_of(error: BaseException) -> str:
    """Return an error in one line, with its type where it is not one of ours."""
    kind = "" if isinstance(error, RunFault) else f"{type(error).__name__}: "
    return one_line(f"{kind}{error}"[:300])
