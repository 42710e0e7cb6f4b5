"""States that an artefact is checked on: those that the student visits, and hostile ones.

In: a student, and its environment where there is one. Out: batches of raw observations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_distill.collection.collector import Collector
from policy_distill.collection.state_sample import sample_states
from policy_distill.environments.choice import env_of
from policy_distill.environments.fit import check_fit
from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import open_for
from policy_distill.seeds import measured_seed
from policy_distill.student.features import Normalizer, Part
from policy_distill.student.runtime import Student
from policy_distill.student.spaces import SpaceRecord
from policy_distill.system.nested import map_arrays

N_ENVS = 4
DRAWN_STEPS = 64
HUGE = 1e6
"""Size of a value that no sensor should give."""


def collect_states(student: Student, env: Any, n_states: int, seed: int) -> tuple[Any, str]:
    """Return `n_states` raw observations and where they come from: an environment's id, or `sampled`.

    Those of an environment are drawn from whole episodes of the student.

    `env` None is the environment that the student was distilled in; where that is not registered here, observations
    are drawn from the space, around the student's statistics.

    Raises:
        RequestError: for an `env` that cannot be made or does not fit.
    """
    env = env if env is not None else own_env(student)
    if env is None:
        return drawn_states(student, n_states, seed), "sampled"
    envs = open_for(student, env, N_ENVS)
    try:
        check_fit(student, envs)
        found = sample_states(envs, seed, student, n_states, masked=student.takes_action_masks)
        return _seen(student, found.obs), envs.env_id
    finally:
        envs.close()


def collect_episodes(student: Student, env: Any, n_states: int, seed: int) -> tuple[Any, np.ndarray, str]:
    """Return raw observations of a student with a memory, one step after another; where episodes begin; and whence.

    As of `collect_states`, but for the order: whole episodes, the last of them cut short. Those that are drawn from the
    space are episodes of `DRAWN_STEPS`.
    """
    env = env if env is not None else own_env(student)
    if env is None:
        return drawn_states(student, n_states, seed), np.arange(n_states) % DRAWN_STEPS == 0, "sampled"
    envs = open_for(student, env, N_ENVS)
    try:
        check_fit(student, envs)
        collector, n_steps = Collector(envs, seed, measured_seed), -(-n_states // envs.n_envs)
        rollout = collector.collect(student, n_steps, True, 0.0, masked=student.takes_action_masks)
        obs = map_arrays(lambda array: np.concatenate(np.moveaxis(array, 1, 0)), rollout.obs)
        return _seen(student, obs), rollout.episode_starts.T.ravel(), envs.env_id
    finally:
        envs.close()


def own_env(student: Student) -> Any:
    """Return the environment that a student was distilled in, where it can be made here."""
    try:
        env = env_of(student)
        if env is not None:
            open_for(student, env, 1).close()
    except RequestError:
        # A package of the environment is missing here, where only an artefact is wanted.
        return None
    return env


def drawn_states(student: Student, n_states: int, seed: int) -> Any:
    """Return observations drawn from the space, or around the statistics where it has no bounds."""
    rng = np.random.default_rng(seed)
    return _by_part(student, lambda part, sub: _draw(part, sub, n_states, rng))


def hostile_states(student: Student, seed: int) -> Any:
    """Return observations that should not occur: bounds, zeros, and huge values of every sign."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(12, max(part.raw_size for part in student.plan.featurizer.parts)))
    return _by_part(student, lambda part, sub: _hostile(part, sub, signs))


def _seen(student: Student, obs: Any) -> Any:
    """Return what the student takes of observations: an artefact takes no more."""
    seen = student.view.narrow(obs)
    return {part.key: seen[part.key] for part in student.plan.featurizer.parts} if isinstance(seen, dict) else seen


def _by_part(student: Student, make: Any) -> Any:
    space, parts = student.description.observation_space, student.plan.featurizer.parts
    if space["type"] != "Dict":
        return make(parts[0], space)
    return {part.key: make(part, space["spaces"][part.key]) for part in parts}


def _draw(part: Part, space: SpaceRecord, n: int, rng: np.random.Generator) -> np.ndarray:
    low, high = _bounds(part, space)
    if part.dtype.kind != "f":
        return rng.integers(low, high, (n, *part.shape), endpoint=True).astype(part.dtype)
    mean, deviation = np.zeros(part.shape), np.ones(part.shape)
    if isinstance(part.normalizer, Normalizer):
        mean, deviation = part.normalizer.mean, 1.0 / part.normalizer.scale
    drawn = rng.normal(mean, deviation, (n, *part.shape))
    return np.clip(drawn, low, high).astype(part.dtype)


def _hostile(part: Part, space: SpaceRecord, signs: np.ndarray) -> np.ndarray:
    low, high = _bounds(part, space)
    whole = part.dtype.kind != "f"
    least, most = (low, high) if whole else (-HUGE, HUGE)
    signs = signs[:, : part.raw_size].reshape(-1, *part.shape)
    rows = [np.broadcast_to(value, part.shape) for value in (low, high, 0.0, least, most)]
    rows += [sign * size for sign in signs for size in (1e2, HUGE)]
    if whole:
        return np.stack([np.clip(row, low, high) for row in rows]).astype(part.dtype)
    return np.stack([np.where(np.isfinite(row), row, np.sign(row) * HUGE) for row in rows]).astype(part.dtype)


def _bounds(part: Part, space: SpaceRecord) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest values, float64 of the part's shape; infinite where there are none."""
    if part.offsets is not None:
        low = np.ravel(np.asarray(space["start"], np.float64)).reshape(part.shape)
        return low, low + np.asarray(part.one_hot, np.float64).reshape(part.shape) - 1
    if space["type"] == "MultiBinary":
        return np.zeros(part.shape), np.ones(part.shape)

    def full(bound: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(bound, np.float64).reshape(-1), (part.raw_size,)).reshape(part.shape)

    return full(space["low"]), full(space["high"])
