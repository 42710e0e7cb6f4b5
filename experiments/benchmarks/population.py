"""What a step of many small students costs, in steps of one `mlp:32,32` alone: together, and each by itself.

python -m experiments.benchmarks.population

On two cores of a virtual machine (Intel Xeon, AVX-512, 2 MB of L2 cache each) that others used too; 8 features, batches
of 256, medians and quartiles of 60 rounds in seconds of one thread. One step of `mlp:32,32` takes some 0.1 ms.

categorical, 4 actions                together             each by itself          MB together
1: mlp:2                              1.01 (0.97 to 1.16)  0.61 (0.59 to 0.64)     0.1
4: linear, mlp:2, 4, 8                1.39 (1.16 to 1.61)  2.31 (2.06 to 2.41)     0.1
11: all up to width 16                2.67 (2.33 to 2.85)  6.71 (6.03 to 6.97)     0.4
16: all                               4.87 (4.30 to 5.18)  11.90 (10.23 to 12.57)  1.1
64: 16 of each width below 6          4.53 (4.20 to 4.87)  36.99 (32.25 to 38.38)  1.2
71: up to width 16, restarts below 6  5.59 (5.04 to 6.04)  40.79 (37.85 to 44.59)  1.5
76: all, restarts below 6             7.49 (6.74 to 8.16)  48.15 (43.84 to 51.07)  2.1

Gaussian, 2 actions                   together             each by itself          MB together
11: all up to width 16                2.35 (1.98 to 2.53)  7.14 (6.34 to 7.46)     0.5
71: up to width 16, restarts below 6  5.77 (5.00 to 6.03)  45.99 (40.22 to 47.79)  2.2
76: all, restarts below 6             7.73 (7.24 to 8.03)  52.05 (49.26 to 54.10)  3.0

Of the 71, two fifths of the time are the loss on 71 x 256 outputs, and a fifth the products of later layers.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from dataclasses import dataclass

import numpy as np
import torch
import tyro

from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.families.categorical import Categorical
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.losses.batch import Batch
from policy_distill.losses.kl import forward_kl
from policy_distill.student.actions import ActionMap
from policy_distill.student.spaces import SpaceRecord
from policy_distill.system.threads import threads_for
from policy_distill.training.dense_step import DenseStep
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.population.step import PopulationStep
from policy_distill.training.spec import StudentSpec

UNIT = ("mlp:32,32", "tanh")
LADDER = [("linear", "tanh"), *((f"mlp:{width}", "tanh") for width in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64))]
DEEP = [(f"mlp:{width},{width}", "tanh") for width in (4, 8, 16, 32)]
RESTARTS = [(f"mlp:{width}", kind) for width in (1, 2, 3, 4) for kind in ("tanh", "relu") for _ in range(8)]
NARROW = [*LADDER[:9], *DEEP[:2]]
"""Up to 16 units."""
POPULATIONS = {
    "1: mlp:2": [LADDER[2]],
    "4: linear, mlp:2, 4, 8": [LADDER[0], LADDER[2], LADDER[4], LADDER[6]],
    "11: all up to width 16": NARROW,
    "16: all": [*LADDER, *DEEP],
    "64: 16 of each width below 6": RESTARTS,
    "71: up to width 16, restarts below 6": [*(one for one in NARROW if one not in RESTARTS), *RESTARTS],
    "76: all, restarts below 6": [*(one for one in [*LADDER, *DEEP] if one not in RESTARTS), *RESTARTS],
}
FAMILIES: dict[str, ActionDistribution] = {"categorical": Categorical(4), "diagonal_gaussian": DiagonalGaussian(2)}
FEATURES, BATCH = 8, 256


@dataclass(frozen=True)
class Config:
    """What to measure."""

    rounds: int = 60
    """Rounds in which all sides are measured in turn."""
    steps: int = 10
    """Steps of each side in a round."""


def main(config: Config) -> None:
    """Measure all populations, for discrete and continuous actions, and print medians and quartiles."""
    for name, family in FAMILIES.items():
        batch = Batch(torch.randn(BATCH, FEATURES), torch.randn(BATCH, family.n_params))
        rows = [(title, *measure(config, family, networks, batch)) for title, networks in POPULATIONS.items()]
        print(f"\n{table(rows, (name, 'together', 'each by itself', 'MB together'))}", flush=True)


def measure(
    config: Config,
    family: ActionDistribution,
    networks: list[tuple[str, str]],
    batch: Batch,
) -> tuple[str, str, str]:
    """Return what a step of all costs together, and each by itself, in steps of `UNIT`; and megabytes, of the first."""
    students = [make_student(family, *network) for network in networks]
    tracemalloc.start()
    population = PopulationStep(students, forward_kl, 1.0)
    population.step(batch, 1e-3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    alone = [DenseStep(student, forward_kl, 1.0) for student in students]
    unit = DenseStep(make_student(family, *UNIT), forward_kl, 1.0)
    sides: tuple[list[DenseStep] | list[PopulationStep], ...] = ([unit], [population], alone)
    with threads_for():
        spent = np.array([[seconds(side, config.steps, batch) for side in sides] for _ in range(config.rounds)])
    units, together, apart = spent.T
    return text_of(together / units), text_of(apart / units), f"{peak / 2**20:.1f}"


def seconds(steppers: list[DenseStep] | list[PopulationStep], n_steps: int, batch: Batch) -> float:
    """Return the seconds of some steps of each, of this process alone: other work on the machine does not count."""
    began = time.process_time()
    for _ in range(n_steps):
        for stepper in steppers:
            stepper.step(batch, 1e-3)
    return time.process_time() - began


def text_of(values: np.ndarray) -> str:
    """Return the median and the quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def make_student(family: ActionDistribution, network: str, activation: str) -> StudentPolicy:
    """Return a student as it is initialised."""
    box: SpaceRecord = {"type": "Box", "shape": [FEATURES], "dtype": "float32", "low": -9.0, "high": 9.0}
    spec = StudentSpec(
        network=network,
        activation=activation,
        family=family,
        log_std=None if isinstance(family, Categorical) else "vector",
        observation_space=box,
        action_space={},
        action_map=ActionMap("none", (family.n_params,), "float32"),
        normalizer=None,
    )
    return StudentPolicy(spec, torch.Generator().manual_seed(0))


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
