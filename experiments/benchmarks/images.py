"""Microseconds that one gradient step of a convolutional student takes for each frame of its minibatch, by layout.

python -m experiments.benchmarks.images

On two cores of a virtual machine (AMD EPYC, AVX-512 with bfloat16) that others used too; four stacked frames of
84 x 84, medians of 7 rounds in time of one thread. Training takes `channels last`, and `--precision bfloat16` the last
column.

cnn:32,64,64+mlp:512, 405,158 parameters
minibatch  drawing it     channels first       channels last     bfloat16, first   bfloat16, last
64         17 (16 to 17)  725 (704 to 742)     541 (537 to 548)  377 (368 to 383)  341 (330 to 346)
128        16 (15 to 17)  637 (624 to 658)     493 (485 to 499)  327 (318 to 332)  301 (293 to 304)
256        14 (14 to 15)  835 (829 to 842)     594 (592 to 599)  328 (324 to 331)  280 (278 to 283)
512        21 (21 to 23)  1064 (1037 to 1086)  645 (622 to 661)  430 (423 to 446)  376 (367 to 381)

cnn:16,32, 27,894 parameters
64         18 (17 to 21)  290 (288 to 313)     215 (211 to 223)  169 (168 to 179)  163 (160 to 220)
128        17 (14 to 22)  265 (257 to 319)     191 (187 to 226)  145 (142 to 156)  139 (132 to 142)
256        15 (15 to 16)  354 (352 to 377)     180 (178 to 181)  135 (131 to 137)  129 (127 to 131)
512        16 (15 to 16)  424 (414 to 533)     242 (240 to 247)  181 (177 to 182)  175 (171 to 175)

cnn:8,16,16+mlp:32, 13,070 parameters
64         17 (15 to 17)  219 (215 to 220)     165 (161 to 167)  270 (268 to 272)  143 (141 to 148)
128        14 (14 to 14)  192 (190 to 194)     150 (148 to 153)  248 (243 to 254)  123 (119 to 125)
256        14 (13 to 14)  274 (273 to 275)     136 (135 to 137)  233 (232 to 234)  110 (109 to 113)
512        14 (14 to 15)  328 (320 to 330)     185 (182 to 186)  280 (278 to 290)  154 (152 to 156)

Minibatches of 128 to 256, which is the setting, cost least; of 512 the images no longer fit into the cache.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import tyro

from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.families.categorical import Categorical
from policy_distill.losses.batch import Batch
from policy_distill.losses.kl import forward_kl
from policy_distill.student.actions import ActionMap
from policy_distill.system.device import check_device
from policy_distill.system.threads import threads_for
from policy_distill.training.autograd_step import AutogradStep
from policy_distill.training.buffer import Buffer
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec
from policy_distill.training.stores import make_store

N_STACK, N_ACTIONS, N_ENVS = 4, 6, 8
SIDES = {
    "channels first": ("float32", torch.contiguous_format),
    "channels last": ("float32", torch.channels_last),
    "bfloat16, first": ("bfloat16", torch.contiguous_format),
    "bfloat16, last": ("bfloat16", torch.channels_last),
}
"""Precision and layout in memory; training takes the second, or with `--precision bfloat16` the fourth."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    students: tuple[str, ...] = ("cnn:32,64,64+mlp:512", "cnn:16,32", "cnn:8,16,16+mlp:32")
    """Networks: one of the size of Mnih et al. (2015), a small one, and a smaller one."""
    batch_sizes: tuple[int, ...] = (64, 128, 256, 512)
    """Frames in a minibatch."""
    side: int = 84
    """Rows and columns of a frame."""
    stored: int = 4_000
    """Frames in the buffer from which minibatches are drawn."""
    rounds: int = 7
    """Rounds in which all sides are measured in turn."""
    seconds: float = 0.3
    """Of each side in a round, at least."""
    device: str = "cpu"
    """Where to train."""


def main(config: Config) -> None:
    """Measure all networks and sizes and print medians, with quartiles."""
    check_device(config.device)
    header = ("minibatch", "drawing it", *SIDES)
    for network in config.students:
        student = make_student(network, config.side).to(config.device)
        buffer = filled(config, student)
        with threads_for():
            rows = [(str(n), *map(text_of, measured(config, student, buffer, n))) for n in config.batch_sizes]
        print(f"\n{network}, {sum(p.numel() for p in student.parameters()):,} parameters\n{table(rows, header)}")


def measured(config: Config, student: StudentPolicy, buffer: Buffer, n: int) -> np.ndarray:
    """Return microseconds a frame, `[1 + len(SIDES), rounds]`: of drawing minibatches of `n`, and of steps on one."""
    generator = torch.Generator().manual_seed(0)
    (drawn,) = buffer.minibatches(1, n, generator)
    work: list[Callable[[], object]] = [lambda: list(buffer.minibatches(1, n, generator))]
    for precision, layout in SIDES.values():
        stepper = AutogradStep(student, forward_kl, 1.0, precision)
        batch = Batch(drawn.features.contiguous(memory_format=layout), drawn.teacher_params)
        work.append(partial(stepper.step, batch, 1e-4))
    return in_turn(work, config.device, config.rounds, config.seconds) / n * 1e6


def in_turn(work: list[Callable[[], object]], device: str, rounds: int, seconds: float) -> np.ndarray:
    """Return seconds of one call of each, `[len(work), rounds]`; each is measured for so many `seconds` in a round."""
    for one in work:
        one()
    return np.array([[seconds_of(one, device, seconds) for one in work] for _ in range(rounds)]).T


def seconds_of(work: Callable[[], object], device: str, seconds: float) -> float:
    """Return the mean seconds of some calls: on the CPU of this process alone, whatever else the machine does."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    began, calls = clock(), 0
    while calls == 0 or clock() - began < seconds:
        work()
        calls += 1
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
    return (clock() - began) / calls


def text_of(values: np.ndarray) -> str:
    """Return the median and the quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def filled(config: Config, student: StudentPolicy) -> Buffer:
    """Return a buffer of stacked random frames, as a run has one."""
    store = make_store(student.featurizer, config.stored, N_ENVS, N_STACK, config.device)
    buffer, rng = Buffer(store, N_ACTIONS, N_ENVS), np.random.default_rng(0)
    stacks = np.zeros((N_ENVS, N_STACK, config.side, config.side), np.uint8)
    for _ in range(config.stored // N_ENVS):
        stacks = np.roll(stacks, -1, axis=1)
        stacks[:, -1] = rng.integers(0, 256, (N_ENVS, config.side, config.side), dtype=np.uint8)
        buffer.add(torch.from_numpy(stacks.copy()), torch.from_numpy(rng.normal(size=(N_ENVS, N_ACTIONS))))
    return buffer


def make_student(network: str, side: int) -> StudentPolicy:
    """Return a student of stacked frames as it is initialised."""
    shape = [N_STACK, side, side]
    spec = StudentSpec(
        network=network,
        activation="relu",
        family=Categorical(N_ACTIONS),
        log_std=None,
        observation_space={"type": "Box", "shape": shape, "dtype": "uint8", "low": 0, "high": 255},
        action_space={},
        action_map=ActionMap("none", (N_ACTIONS,), "float32"),
        normalizer=None,
    )
    return StudentPolicy(spec, torch.Generator().manual_seed(0))


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
