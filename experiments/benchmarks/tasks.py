"""What the benchmarks are run on: a teacher, its environment and the student's network for each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs import cartpole
from policy_distill import load_teacher, train_teacher
from policy_distill.errors import RequestError


@dataclass(frozen=True)
class Task:
    """A teacher in its environment."""

    env_id: str
    """Gymnasium id."""
    agent: str | None
    """Folder in the RL Zoo's collection; None where the benchmark makes the teacher."""
    student: str = "mlp:32,32"
    """The student's network."""
    timesteps: int = 100_000
    """Environment steps of one run."""
    wrappers: tuple[str, ...] = ()
    """Environment wrappers that the teacher needs."""
    n_episodes: int = 10
    """Episodes on which a student's return is looked at while it learns."""


TASKS = {
    "cartpole": Task("CartPole-v1", None),
    "lunar_lander": Task("LunarLander-v3", "ppo-LunarLander-v2", n_episodes=40),
    "half_cheetah": Task("HalfCheetah-v5", "ppo-HalfCheetah-v3"),
    "acrobot": Task("Acrobot-v1", "a2c-Acrobot-v1"),
    # SB3's convolutional network as it is initialised: how good it plays does not change what a step costs.
    "pong": Task("PongNoFrameskip-v4", None, "cnn:16,32", 4_096, ("AtariWrapper", "FrameStack:n_stack=4")),
}


def prepare(tasks: Sequence[str], zoo: Path | None, out: Path, **counts: int | None) -> None:
    """Make the folder `out`, once it is known that all tasks can be measured: the first of them may take minutes.

    Raises:
        RequestError: for a task that there is not, an agent that is not in the collection, or a count below 1.
    """
    unknown = [name for name in tasks if name not in TASKS]
    if unknown or not tasks:
        raise RequestError(f"expected tasks among {', '.join(TASKS)}, found {', '.join(unknown) or 'none'}")
    for name in tasks:
        agent = TASKS[name].agent
        if agent is not None and zoo is not None and not (zoo / agent).exists():
            raise RequestError(f"expected the RL Zoo's agents in --zoo, found no {agent} in {zoo.resolve()}")
        if agent is not None and zoo is None:
            raise RequestError(f"expected --zoo, a folder of the RL Zoo's agents, for {name}; found none")
    for option, count in counts.items():
        if count is not None and count < 1:
            raise RequestError(f"expected at least 1 for --{option}, found {count}")
    out.mkdir(parents=True, exist_ok=True)


def make_teacher(name: str, zoo: Path | None, made: Path) -> Any:
    """Return the teacher of a task: from the collection in `zoo`, or made once and kept in the folder `made`.

    Raises:
        RequestError: where the collection is needed and not named.
    """
    task = TASKS[name]
    if task.agent is not None:
        if zoo is None:
            raise RequestError(f"expected --zoo, a folder of the RL Zoo's agents, for {name}; found none")
        return load_teacher(zoo / task.agent)
    path = made / f"{name}.zip"
    if not path.exists():
        _make(task, path)
    return load_teacher(path, wrappers=task.wrappers)


def _make(task: Task, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if task.env_id == cartpole.ENV_ID:
        train_teacher(
            task.env_id,
            "ppo",
            60_000,
            out=path,
            stop_at=cartpole.SOLVED,
            hyperparameters=cartpole.TEACHER.hyperparameters,
        )
        return
    import ale_py
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gymnasium.register_envs(ale_py)
    vec_env = VecFrameStack(make_atari_env(task.env_id, 1), 4)
    PPO("CnnPolicy", vec_env, n_steps=8, batch_size=8, device="cpu", seed=0).save(path)
    vec_env.close()
