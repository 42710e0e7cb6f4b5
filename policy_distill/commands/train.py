"""`policy-distill train`: trains a teacher with Stable-Baselines3."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from policy_distill.commands.options.tracking_options import TrackName
from policy_distill.commands.showing.output import Output, widths


@dataclass(frozen=True)
class Train:
    """Train a teacher with Stable-Baselines3 and save it as a zip.

    Example: policy-distill train --env CartPole-v1 --timesteps 100000 --out teacher.zip
    """

    env: str
    """Gymnasium id of the environment, such as Pendulum-v1 or package:Id-v0."""
    out: Path
    """The zip to write; with --normalize, vecnormalize.pkl is written next to it, or NAME_vecnormalize.pkl if other
    agents are there too."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment's constructor, such as gravity:-5.0 enable_wind:True; values are Python literals."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register environments, imported first; the working folder is searched too."""
    algo: Literal["ppo", "a2c", "dqn", "sac", "td3", "ddpg"] = "ppo"
    """Algorithm."""
    timesteps: int = 100_000
    """Environment steps at most."""
    net_arch: str = "256,256"
    """Widths of the hidden layers."""
    seed: int = 0
    """Seed of the algorithm and its environments."""
    n_envs: int = 8
    """Environments side by side."""
    normalize: bool = False
    """Normalise observations and rewards (VecNormalize)."""
    stop_at: float | None = None
    """Stop once the mean return of the evaluation episodes reaches this value."""
    track: TrackName = "disabled"
    """Weights & Biases, in `wandb` beside the zip, and `metrics.jsonl` there; the same dashboard as the students'."""
    project: str | None = None
    """W&B project; by default WANDB_PROJECT, or policy-distill."""
    group: str | None = None
    """W&B group; by default the name of the zip's folder."""
    tags: tuple[str, ...] = ()
    """W&B tags."""
    overwrite: bool = False
    """Replace an existing zip."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Train, save, and say what was made."""
        from policy_distill.environments.names import parse_kwargs, with_packages, working_folder_on_path
        from policy_distill.errors import RequestError
        from policy_distill.system.progress import Progress
        from policy_distill.teachers.train import train_teacher
        from policy_distill.tracking.teacher import tracked

        zip_path = self.out.with_suffix(".zip")
        if zip_path.exists() and not self.overwrite:
            raise RequestError(f"expected a new file for --out, found {zip_path}; add --overwrite or choose another")
        working_folder_on_path()
        env, env_kwargs = with_packages(self.env, self.gym_packages), parse_kwargs(self.env_kwargs)
        began = time.perf_counter()
        settings = {"algo": self.algo, "timesteps": self.timesteps, "net_arch": self.net_arch, "seed": self.seed}
        named = {"project": self.project, "group": self.group}
        with (
            tracked(self.track, zip_path, self.env, settings, **named, tags=self.tags) as tracker,
            Progress(self.timesteps, description="teacher", enabled=not self.json) as bar,
        ):
            model = train_teacher(
                env,
                self.algo,
                self.timesteps,
                widths(self.net_arch),
                self.seed,
                zip_path,
                normalize=self.normalize,
                n_envs=self.n_envs,
                stop_at=self.stop_at,
                on_step=lambda step: bar.update(step, {}),
                tracker=tracker,
                env_kwargs=env_kwargs,
            )
        record = {
            "teacher": str(zip_path),
            "algorithm": self.algo,
            "env_id": self.env,
            "env_steps": model.num_timesteps,
            "seed": self.seed,
            "wall_seconds": time.perf_counter() - began,
        }
        Output(self.json).show(record, [(key.replace("_", " "), value) for key, value in record.items()])
        return 0
