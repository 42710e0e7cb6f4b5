"""Trains a teacher with Stable-Baselines3.

In: an environment id and the algorithm's settings. Out: a zip as SB3 writes it, with `vecnormalize.pkl` beside it where
observations were normalised.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import yaml
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback, StopTrainingOnRewardThreshold
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, VecTransposeImage

from policy_distill.environments.identity import identify
from policy_distill.environments.names import with_kwargs
from policy_distill.environments.open import is_recipe, open_environments
from policy_distill.errors import RequestError
from policy_distill.interfaces.stages import Tracker
from policy_distill.seeds import TEACHER_CHECKS
from policy_distill.student.file import write_atomically

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
    env = with_kwargs(env, env_kwargs)
    _check(env, algo, timesteps, net_arch, n_envs, hyperparameters or {})
    if out is not None:
        out = Path(out).with_suffix(".zip")
        out.parent.mkdir(parents=True, exist_ok=True)
    given = hyperparameters or {}
    vec_env = _vec_env(env, n_envs, seed, normalize)
    try:
        model: BaseAlgorithm = ALGORITHMS[algo](
            _policy_name(vec_env.observation_space),
            vec_env,
            seed=seed,
            device="cpu",
            **{**given, "policy_kwargs": {"net_arch": list(net_arch), **given.get("policy_kwargs", {})}},
        )
        callbacks = _watchers(timesteps, on_step, tracker)
        if stop_at is not None:
            callbacks.append(_stopper(env, seed, normalize, stop_at, timesteps, n_envs))
        model.learn(timesteps, callback=callbacks)
        if out is not None:
            was_there = out.exists()
            model.save(out)
            _note_environment(out, env)
            _write_statistics(out, vec_env, replace=was_there)
        return model
    finally:
        vec_env.close()


def _note_environment(out: Path, env: Any) -> None:
    """Write what the zip's name cannot say of the environment, as the RL Zoo does, into the folder of its name."""
    known = identify(env) if isinstance(env, str | EnvSpec) else None
    if known is None or known.missing or not (known.own_kwargs or known.module):
        # That of an agent whose place this one takes.
        (out.with_suffix("") / "args.yml").unlink(missing_ok=True)
        return
    named = f"{known.module}:{known.id}" if known.module else known.id
    out.with_suffix("").mkdir(exist_ok=True)
    note = {"env": named, "env_kwargs": known.to_json()["kwargs"]}
    write_atomically(out.with_suffix("") / "args.yml", yaml.safe_dump(note).encode())


def _write_statistics(out: Path, vec_env: VecEnv, replace: bool) -> None:
    """Write the statistics of `VecNormalize` beside an agent, under its own name where other agents lie there too.

    Those of an agent whose place this one takes go: they would be taken for this one's.
    """
    own, shared = out.with_name(f"{out.stem}_vecnormalize.pkl"), out.with_name("vecnormalize.pkl")
    alone = [path.name for path in out.parent.glob("*.zip")] == [out.name]
    own.unlink(missing_ok=True)
    if replace and alone:
        shared.unlink(missing_ok=True)
    if isinstance(vec_env, VecNormalize):
        vec_env.save(str(shared if alone else own))


def _watchers(timesteps: int, on_step: Any, tracker: Tracker | None) -> list[BaseCallback]:
    watchers: list[BaseCallback] = [_Reporter(on_step)] if on_step else []
    return watchers if tracker is None else [*watchers, _Recorder(tracker, max(timesteps // 300, 1))]


def _policy_name(space: Any) -> str:
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image_space(space) else "MlpPolicy"


def _vec_env(env: Any, n_envs: int, seed: int, normalize: bool) -> VecEnv:
    # Given an id, SB3 would render every step.
    vec_env = make_vec_env(lambda: env() if callable(env) else gymnasium.make(env), n_envs, seed=seed)
    return VecNormalize(vec_env) if normalize else vec_env


def _stopper(env: Any, seed: int, normalize: bool, stop_at: float, timesteps: int, n_envs: int) -> EvalCallback:
    look_every = max(timesteps // 20 // n_envs, 1)
    vec_env = _vec_env(env, 5, seed + TEACHER_CHECKS, normalize)
    if is_image_space(vec_env.observation_space):
        # As SB3 does for the training's own environments.
        vec_env = VecTransposeImage(vec_env)
    if isinstance(vec_env, VecNormalize):
        vec_env.training, vec_env.norm_reward = False, False
    return EvalCallback(
        vec_env,
        callback_on_new_best=StopTrainingOnRewardThreshold(stop_at, verbose=0),
        n_eval_episodes=N_STOP_EPISODES,
        eval_freq=look_every,
        verbose=0,
    )


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
            f"expected a Gymnasium id, an EnvSpec, or a callable that makes an environment, found a "
            f"{type(env).__name__}: a training makes several; hand over what makes one"
        )
    open_environments(env, 1).close()
