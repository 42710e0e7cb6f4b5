"""What a device is worth for images: labels a second of a wide CNN teacher, and frames a second that students train on.

python -m experiments.benchmarks.device --device cuda

Labels are those of a run: raw frames lie in memory as arrays, and their way to the device counts. In autocast layers
compute in bfloat16, as students do with `--precision bfloat16`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gymnasium
import numpy as np
import torch
import tyro
from stable_baselines3 import PPO

from experiments.benchmarks import images
from policy_distill import load_teacher
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.interfaces.policies import Teacher
from policy_distill.losses.kl import forward_kl
from policy_distill.system.device import check_device
from policy_distill.system.threads import threads_for
from policy_distill.training.autograd_step import AutogradStep

PRECISIONS = {"float32": "float32", "autocast": "bfloat16"}


@dataclass(frozen=True)
class Config:
    """What to measure."""

    device: str = "cuda"
    """Where teacher and student are."""
    states: int = 4_096
    """States that are labelled at once."""
    width: int = 2_048
    """Units behind the teacher's convolutions, which are those of Mnih et al. (2015)."""
    students: tuple[str, ...] = images.Config.students
    """Networks."""
    batch_sizes: tuple[int, ...] = (256, 1_024, 4_096)
    """Frames in a minibatch."""
    side: int = 84
    """Rows and columns of a frame."""
    rounds: int = 5
    """Times that each is measured, in turn; medians and quartiles are given."""
    seconds: float = 1.0
    """Of each measurement, at least."""


class Frames(gymnasium.Env[np.ndarray, np.int64]):
    """The spaces of a teacher; nobody steps it."""

    def __init__(self, side: int) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (images.N_STACK, side, side), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(images.N_ACTIONS)


def main(config: Config) -> None:
    """Measure labels and training in both precisions and print medians, with quartiles."""
    check_device(config.device)
    with threads_for():
        n_params, labelled = labels(config)
        print(
            table([(f"teacher, {n_params:,} parameters", f"{config.states:,}", *labelled)], header("labels a second"))
        )
        rows = [
            (network, f"{n:,}", *frames(config, network, n)) for network in config.students for n in config.batch_sizes
        ]
    print(f"\n{table(rows, header('training frames a second'))}")


def header(title: str) -> tuple[str, ...]:
    """Return what stands above the columns of a table."""
    return (title, "at once", *PRECISIONS)


def labels(config: Config) -> tuple[int, list[str]]:
    """Return the parameters of the teacher, and labels a second in each precision."""
    arguments = {"features_extractor_kwargs": {"features_dim": config.width}, "net_arch": []}
    model = PPO(
        "CnnPolicy", Frames(config.side), n_steps=2, batch_size=2, device=config.device, policy_kwargs=arguments
    )
    teacher = load_teacher(model)
    shape = (config.states // images.N_ENVS, images.N_ENVS, images.N_STACK, config.side, config.side)
    obs = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    work: list[Callable[[], object]] = [partial(label, teacher, obs, config.device, one) for one in PRECISIONS]
    spent = images.in_turn(work, config.device, config.rounds, config.seconds)
    return teacher.n_params, [images.text_of(config.states / seconds) for seconds in spent]


def label(teacher: Teacher, obs: np.ndarray, device: str, name: str) -> torch.Tensor:
    """Return labels `[T, N, P]` of raw observations `[T, N, ...]`, made in a precision."""
    precision = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=name == "autocast")
    with precision:
        return teacher.label(obs, np.zeros(obs.shape[:2], bool)).params


def frames(config: Config, network: str, n: int) -> list[str]:
    """Return frames a second of training on minibatches of `n`, drawing them included, in each precision."""
    student = images.make_student(network, config.side).to(config.device)
    stored = images.Config(side=config.side, stored=max(n, images.N_ENVS), device=config.device)
    buffer, generator = images.filled(stored, student), torch.Generator().manual_seed(0)
    steppers = [AutogradStep(student, forward_kl, 1.0, precision) for precision in PRECISIONS.values()]

    def step(stepper: AutogradStep) -> None:
        for batch in buffer.minibatches(1, n, generator):
            stepper.step(batch, 1e-4)

    spent = images.in_turn([partial(step, one) for one in steppers], config.device, config.rounds, config.seconds)
    return [images.text_of(n / seconds) for seconds in spent]


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
