"""Trains a teacher with Stable-Baselines3.

In: an environment id and the algorithm's settings. Out: a zip as SB3 writes it, with `vecnormalize.pkl` beside it where
observations were normalised.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback, StopTrainingOnRewardThreshold
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, VecTransposeImage

from policy_distill.environments.names import with_kwargs
from policy_distill.environments.open import is_recipe, open_environments
from policy_distill.errors import RequestError
from policy_distill.interfaces.stages import Tracker
from policy_distill.seeds import TEACHER_CHECKS
from policy_distill.teachers.files.save_agent import place_for, save_agent

ALGORITHMS: dict[str, Any] = {cls.__name__.lower(): cls for cls in (PPO, A2C, DQN, SAC, TD3, DDPG)}
N_STOP_EPISODES = 20
"""Episodes in each look at whether training may stop."""


class _Recorder(BaseCallback):
    """Logs the teacher's returns while it trains, some hundred times in all."""

    def __init__(self, tracker: Tracker, every: int) -> None:
        super().__init__()
        self._tracker = tracker
        self._every = every
        self._next = 0
        self._began = time.perf_counter()

    def _on_step(self) -> bool:
        episodes = self.model.ep_info_buffer
        if self.num_timesteps >= self._next and episodes:
            self._next = self.num_timesteps + self._every
            seconds = time.perf_counter() - self._began
            metrics = {"rollout/teacher_return": sum(episode["r"] for episode in episodes) / len(episodes)}
            metrics |= {"time/wall_seconds": seconds, "time/fps": self.num_timesteps / seconds}
            self._tracker.log(metrics, self.num_timesteps)
        return True


class _Reporter(BaseCallback):
    """Tells a progress function the steps done."""

    def __init__(self, on_step: Any) -> None:
        super().__init__()
        self._report = on_step

    def _on_step(self) -> bool:
        self._report(self.num_timesteps)
        return True


def train_teacher(
    env: Any,
    algo: str = "ppo",
    timesteps: int = 100_000,
    net_arch: tuple[int, ...] = (256, 256),
    seed: int = 0,
    out: str | Path | None = None,
    *,
    normalize: bool = False,
    n_envs: int = 8,
    stop_at: float | None = None,
    hyperparameters: dict[str, Any] | None = None,
    on_step: Any = None,
    tracker: Tracker | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
) -> BaseAlgorithm:
    """Train a teacher and, where `out` is given, save it.

    Args:
        env: a Gymnasium id, such as `Pendulum-v1` or `package:Id-v0`, an EnvSpec, or a callable that makes one.
        algo: a key of `ALGORITHMS`.
        timesteps: environment steps at most.
        net_arch: widths of the hidden layers.
        seed: of the algorithm and its environments.
        out: the zip to write.
        normalize: wrap the environments in `VecNormalize`; its statistics are written beside the zip, as
            `vecnormalize.pkl`, or under the agent's name where other agents lie there too.
        n_envs: environments side by side.
        stop_at: stop once the mean return of some evaluation episodes reaches this.
        hyperparameters: further arguments of the algorithm; `policy_kwargs` add to the widths.
        on_step: called with the steps done so far.
        tracker: a sink of `rollout/teacher_return` while it trains.
        env_kwargs: arguments of the environment's constructor; written beside the zip, where `load_teacher` finds them.

    Raises:
        RequestError: for an unknown algorithm, environment or hyperparameter, or counts below 1.
    """
    env, given = with_kwargs(env, env_kwargs), hyperparameters or {}
    _check(env, algo, timesteps, net_arch, n_envs, given)
    policy_kwargs = {"net_arch": list(net_arch), **given.get("policy_kwargs", {})}
    task = _Task(env, n_envs, seed, normalize, timesteps, stop_at)
    return task.train(algo, {**given, "policy_kwargs": policy_kwargs}, out, _watchers(timesteps, on_step, tracker))


@dataclass(frozen=True)
class _Task:
    """What is to be trained in, and how far."""

    env: Any
    n_envs: int
    seed: int
    normalize: bool
    timesteps: int
    stop_at: float | None

    def train(
        self, algo: str, settings: dict[str, Any], out: str | Path | None, callbacks: list[BaseCallback]
    ) -> BaseAlgorithm:
        """Return the trained model, saved where `out` names a place."""
        place = None if out is None else place_for(out)
        vec_env = self.open(self.n_envs, self.seed)
        try:
            policy = _policy_name(vec_env.observation_space)
            model: BaseAlgorithm = ALGORITHMS[algo](policy, vec_env, seed=self.seed, device="cpu", **settings)
            if self.stop_at is not None:
                callbacks = [*callbacks, self.stopper(self.stop_at)]
            model.learn(self.timesteps, callback=callbacks)
            if place is not None:
                save_agent(model, place, self.env, vec_env)
            return model
        finally:
            vec_env.close()

    def open(self, n_envs: int, seed: int) -> VecEnv:
        """Return new environments."""
        # Given an id, SB3 would render every step.
        make = self.env if callable(self.env) else lambda: gymnasium.make(self.env)
        vec_env = make_vec_env(lambda: make(), n_envs, seed=seed)
        return VecNormalize(vec_env) if self.normalize else vec_env

    def stopper(self, stop_at: float) -> EvalCallback:
        """Return what ends the training once some episodes gain `stop_at` on average."""
        vec_env = self.open(5, self.seed + TEACHER_CHECKS)
        if is_image_space(vec_env.observation_space):
            # As SB3 does for the training's own environments.
            vec_env = VecTransposeImage(vec_env)
        if isinstance(vec_env, VecNormalize):
            vec_env.training, vec_env.norm_reward = False, False
        return EvalCallback(
            vec_env,
            callback_on_new_best=StopTrainingOnRewardThreshold(stop_at, verbose=0),
            n_eval_episodes=N_STOP_EPISODES,
            eval_freq=max(self.timesteps // 20 // self.n_envs, 1),
            verbose=0,
        )


def _watchers(timesteps: int, on_step: Any, tracker: Tracker | None) -> list[BaseCallback]:
    watchers: list[BaseCallback] = [_Reporter(on_step)] if on_step else []
    return watchers if tracker is None else [*watchers, _Recorder(tracker, max(timesteps // 300, 1))]


def _policy_name(space: Any) -> str:
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image_space(space) else "MlpPolicy"


def _check(
    env: Any, algo: str, timesteps: int, net_arch: tuple[int, ...], n_envs: int, hyperparameters: dict[str, Any]
) -> None:
    if algo not in ALGORITHMS:
        raise RequestError(f"expected an algorithm among {', '.join(ALGORITHMS)}, found {algo!r}")
    for name, value in (("timesteps", timesteps), ("n_envs", n_envs), *(("net_arch", width) for width in net_arch)):
        if value < 1:
            raise RequestError(f"expected {name} of at least 1, found {value}")
    known = inspect.signature(ALGORITHMS[algo]).parameters
    for name in hyperparameters:
        if name not in known:
            raise RequestError(f"{algo} has no hyperparameter {name!r}; it has {', '.join(known)}")
    if not isinstance(env, str | EnvSpec) and not is_recipe(env):
        raise RequestError(
            "expected a Gymnasium id, an EnvSpec, or a callable that makes an environment, found a "
            f"{type(env).__name__}: training makes several; pass something that makes one"
        )
    open_environments(env, 1).close()
