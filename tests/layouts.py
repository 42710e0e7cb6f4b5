"""Every layout in which the ecosystem leaves an agent and what belongs to it, made as its own tools make them.

SB3's callbacks write their files themselves; what `rl_zoo3` and `huggingface_sb3` write is written here under the same
names. `python -m tests.strangers` and `test_companions.py` go through all of them.
"""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from gymnasium import spaces
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from policy_distill.teachers.load import load_teacher
from tests.doubles import Corridor

ENV = "Corridor-v0"
ORDERED = "!!python/object/apply:collections.OrderedDict\n"
NORMALISED, RAW = "normalised observations", "raw observations"


class Steered(Corridor):
    """A corridor with one continuous action, for algorithms that need one."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def step(self, action: Any) -> Any:
        return super().step(int(np.ravel(action)[0] > 0))


def agent(normalized: bool = True, *, off_policy: bool = False, n_stack: int = 1, **options: Any) -> Any:
    """Return a model that was trained for some steps; its statistics go on with its environment."""
    make = (lambda: Monitor(Steered())) if off_policy else (lambda: Monitor(Corridor()))
    env: Any = DummyVecEnv([make] * 2)
    env = VecNormalize(env, **options) if normalized else env
    env = VecFrameStack(env, n_stack) if n_stack > 1 else env
    widths: dict[str, Any] = {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu"}
    if off_policy:
        model: Any = SAC("MlpPolicy", env, learning_starts=8, buffer_size=200, **widths)
    else:
        model = PPO("MlpPolicy", env, n_steps=16, batch_size=16, **widths)
    return model.learn(64)


def statistics(model: Any, path: Path) -> None:
    """Save a model's statistics."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model.get_vec_normalize_env().save(str(path))


def configure(folder: Path, config: dict[str, Any], args: dict[str, Any] | None = None) -> None:
    """Write what the RL Zoo writes for a run, ordered dictionaries and all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in (("config.yml", config), ("args.yml", {"env": ENV, "algo": "ppo", **(args or {})})):
        pairs = [[key, value] for key, value in sorted(values.items())]
        (folder / name).write_text(ORDERED + yaml.safe_dump([pairs]))


def hub(folder: Path, model: Any, *, env_id: str = ENV, with_statistics: bool = True, **args: Any) -> Path:
    """Write a folder as `rl_zoo3.push_to_hub` and `huggingface_sb3` do."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"ppo-{env_id}"
    model.save(folder / name)
    with zipfile.ZipFile(folder / f"{name}.zip") as archive:
        archive.extractall(folder / name)
    if with_statistics:
        statistics(model, folder / "vec_normalize.pkl")
    configure(
        folder, {"normalize": True, "n_envs": 2, "policy": "MlpPolicy"}, {"env": env_id, "env_kwargs": args or None}
    )
    (folder / "env_kwargs.yml").write_text(yaml.safe_dump({**args, "render_mode": "rgb_array"}))
    (folder / "results.json").write_text(json.dumps({"mean_reward": 1.0}))
    (folder / "replay.mp4").write_bytes(b"not a film")
    (folder / "README.md").write_text("# a card")
    with zipfile.ZipFile(folder / "train_eval_metrics.zip", "w") as archive:
        archive.writestr("evaluations.npz", b"")
    return folder


def zoo(folder: Path, model: Any, *, env_id: str = ENV, with_statistics: bool = True) -> Path:
    """Write a run folder as `rl_zoo3.train` does: the last agent, the best, a checkpoint, and the rest below."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (env_id, "best_model", "rl_model_64_steps"):
        model.save(folder / name)
    configure(folder / env_id, {"normalize": "{'norm_obs': True, 'gamma': 0.9}", "n_envs": 2}, {"env": env_id})
    (folder / env_id / "command.txt").write_text("python -m rl_zoo3.train")
    if with_statistics:
        statistics(model, folder / env_id / "vecnormalize.pkl")
    np.savez(folder / "evaluations.npz", timesteps=[64])
    (folder / "0.monitor.csv").write_text("#{}\n")
    return folder


@dataclass(frozen=True)
class Layout:
    """A way in which files lie, and what has to come of it."""

    name: str
    """What wrote it, in words."""
    make: Callable[[Path], tuple[Path, dict[str, Any]]]
    """Writes it into a folder; returns what `load_teacher` is given."""
    expected: str
    """`NORMALISED`, `RAW`, or the words of a refusal."""

    def outcome(self, folder: Path) -> str:
        """Return what comes of it: how the teacher observes, or the refusal."""
        source, options = self.make(folder)
        try:
            teacher = load_teacher(source, **options)
        except ValueError as error:
            return str(error)
        return NORMALISED if teacher.normalizer is not None else RAW

    def holds(self, outcome: str) -> bool:
        """Say whether an outcome is the expected one."""
        return outcome == self.expected or (self.expected not in (NORMALISED, RAW) and self.expected in outcome)


def _beside(name: str) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        model = agent()
        model.save(folder / "agent.zip")
        statistics(model, folder / name)
        return folder / "agent.zip", {}

    return make


def _of_hub(**options: Any) -> Callable[[Path], Any]:
    return lambda folder: (hub(folder / "ppo-x", agent(), **options), {})


def _of_zoo(name: str = "", **options: Any) -> Callable[[Path], Any]:
    return lambda folder: (zoo(folder / f"{ENV}_1", agent(), **options) / name, {})


def _checkpoints(name: str, **options: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        callback = CheckpointCallback(16, str(folder), name_prefix="my_run", **options)
        model = agent().learn(64, callback=callback, reset_num_timesteps=False)
        if options.get("save_vecnormalize"):
            # Later ones, of the same run and of another one.
            statistics(model, folder / "my_run_vecnormalize_9999_steps.pkl")
            statistics(model, folder / "other_vecnormalize_128_steps.pkl")
        return folder / name, {}

    return make


def _best(**options: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        model = agent()
        env = VecNormalize(DummyVecEnv([lambda: Monitor(Corridor())]), training=False, norm_reward=False)
        place = str(folder / "best")
        callback = EvalCallback(env, best_model_save_path=place, log_path=place, eval_freq=16, verbose=0)
        model.learn(64, callback=callback, reset_num_timesteps=False)
        statistics(model, folder / "vec_normalize.pkl")
        return folder / "best", options

    return make


def _two(*, equal: bool) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        model = agent()
        model.save(folder / "agent.zip")
        statistics(model, folder / "vecnormalize.pkl")
        statistics(model if equal else agent(clip_obs=3.0), folder / "vec_normalize.pkl")
        return folder / "agent.zip", {}

    return make


def _configured(config: dict[str, Any], *, normalized: bool = False, **options: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        agent(normalized, off_policy=True).save(folder / "sac.zip")
        configure(folder, config)
        return folder / "sac.zip", options

    return make


def _only_rewards(folder: Path) -> Any:
    model = agent(norm_obs=False)
    model.save(folder / "agent.zip")
    statistics(model, folder / "vecnormalize.pkl")
    return folder / "agent.zip", {}


def _beside_another(folder: Path) -> Any:
    statistics(agent(), folder / "vecnormalize.pkl")
    agent(normalized=False).save(folder / "raw.zip")
    return folder / "raw.zip", {}


def _moved(folder: Path) -> Any:
    model = agent()
    model.save(folder / "agent.zip")
    shutil.copy(folder / "agent.zip", folder / "moved.zip")
    return folder / "moved.zip", {}


def _of_the_zoos_callback(folder: Path) -> Any:
    model = agent()
    model.save(folder / "rl_model_64_steps.zip")
    statistics(model, folder / "rl_model_64_steps.pkl")
    return folder / "rl_model_64_steps.zip", {}


MISSING = "statistics are missing"
LAYOUTS = [
    Layout("SB3's guide: vec_normalize.pkl beside the zip", _beside("vec_normalize.pkl"), NORMALISED),
    Layout("the Zoo's name: vecnormalize.pkl beside the zip", _beside("vecnormalize.pkl"), NORMALISED),
    Layout("statistics under the agent's name", _beside("agent_vecnormalize.pkl"), NORMALISED),
    Layout("statistics under a name of one's own", _beside("my_norm.pkl"), "my_norm.pkl"),
    Layout("the hub's folder", _of_hub(), NORMALISED),
    Layout("the hub's folder without statistics", _of_hub(with_statistics=False), MISSING),
    Layout("the Zoo's run folder", _of_zoo(), NORMALISED),
    Layout("the last agent in it", _of_zoo(f"{ENV}.zip"), NORMALISED),
    Layout("EvalCallback's best_model.zip in it", _of_zoo("best_model.zip"), NORMALISED),
    Layout("CheckpointCallback's rl_model_64_steps.zip in it", _of_zoo("rl_model_64_steps.zip"), NORMALISED),
    Layout("the Zoo's run folder without statistics", _of_zoo("best_model.zip", with_statistics=False), MISSING),
    Layout(
        "CheckpointCallback with statistics", _checkpoints("my_run_128_steps.zip", save_vecnormalize=True), NORMALISED
    ),
    Layout("CheckpointCallback without", _checkpoints("my_run_128_steps.zip"), MISSING),
    Layout("CheckpointCallback's folder", _checkpoints("", save_vecnormalize=True), "name the zip"),
    Layout("the Zoo's SaveVecNormalizeCallback", _of_the_zoos_callback, NORMALISED),
    Layout("EvalCallback's folder, statistics above", _best(), "vec_normalize.pkl"),
    Layout("the same, declined", _best(vecnormalize=False), RAW),
    Layout("two files of the same statistics", _two(equal=True), NORMALISED),
    Layout("two files that differ", _two(equal=False), "which differ"),
    Layout("a zip moved away from its statistics", _moved, MISSING),
    Layout("an agent of raw observations beside another's statistics", _beside_another, "to another agent"),
    Layout("only rewards normalised", _only_rewards, RAW),
    Layout("a replay buffer, configuration says normalise", _configured({"normalize": True}), MISSING),
    Layout("the same as arguments", _configured({"normalize": "dict(norm_obs=True, norm_reward=False)"}), MISSING),
    Layout("the same, declined", _configured({"normalize": True}, vecnormalize="none"), RAW),
    Layout("configuration has only rewards normalised", _configured({"normalize": "dict(norm_obs=False)"}), RAW),
    Layout("configuration does not normalise", _configured({"n_envs": 1}), RAW),
    Layout("an unknown wrapper", _configured({"env_wrapper": "own.Wrapper"}), "own.Wrapper"),
    Layout("the same, declined", _configured({"env_wrapper": "own.Wrapper"}, wrappers=["none"]), RAW),
    Layout("an unknown wrapper of vectors", _configured({"vec_env_wrapper": ["own.VecWrapper"]}), "own.VecWrapper"),
    Layout("a harmless wrapper of vectors", _configured({"vec_env_wrapper": "x.VecMonitor"}), RAW),
]
