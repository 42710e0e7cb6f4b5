"""What learning from one state costs a student with a memory, in states of an mlp of about as many parameters.

python -m experiments.benchmarks.remembering

All that a run does for a gradient step is in it: drawing from the buffer, windows, both passes, Adam, averages. States
that only bring a recurrent unit to where it may be learnt from are paid for, and not counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import tyro

from experiments.benchmarks.population import FAMILIES, FEATURES, make_student, text_of
from policy_distill.cli import guarded
from policy_distill.commands.showing.output import table
from policy_distill.config import DistillConfig
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.losses.kl import forward_kl
from policy_distill.system.threads import threads_for
from policy_distill.training.buffer import Buffer
from policy_distill.training.stores import Rows
from policy_distill.training.trainer import Trainer
from policy_distill.training.windows import batch_size_for

PAIRS = (
    ("gru:16", "mlp:36,36"),
    ("gru:32", "mlp:64,64"),
    ("gru:16+mlp:16", "mlp:40,40"),
    ("history:4+mlp:32", "mlp:92"),
)
COLUMNS = ("parameters", "ns a state", "beside", "parameters", "times as long")
N_ENVS, EPISODE = 8, 200


@dataclass(frozen=True)
class Config:
    """What to measure."""

    rounds: int = 15
    """Rounds in which all students are measured in turn."""
    states: int = 65_536
    """States that each learns from in a round."""
    stored: int = 50_000
    """States in the buffer."""


def main(config: Config) -> None:
    """Measure and print medians and quartiles, for discrete and continuous actions."""
    for name, family in FAMILIES.items():
        sides = {spec: learning(spec, family, config) for pair in PAIRS for spec in pair}
        with threads_for():
            spent: dict[str, list[float]] = {spec: [] for spec in sides}
            for _ in range(config.rounds):
                for spec, (_, learn) in sides.items():
                    spent[spec].append(learn())
        rows = []
        for spec, plain in PAIRS:
            (n, _), (n_plain, _) = sides[spec], sides[plain]
            times, plain_times = (np.array(spent[one]) for one in (spec, plain))
            each = f"{1e9 * np.median(times):,.0f}"
            rows.append((spec, n, each, plain, n_plain, text_of(times / plain_times)))
        print(f"\n{table(rows, (name, *COLUMNS))}", flush=True)


def learning(spec: str, family: ActionDistribution, config: Config) -> tuple[int, Callable[[], float]]:
    """Return a student's parameters, and what learns and returns the seconds of this process for one state."""
    student, settings = make_student(family, spec, "tanh"), DistillConfig()
    batch_size = batch_size_for(student.network, settings.batch_size)
    trainer = Trainer(student, forward_kl, replace(settings, batch_size=batch_size))
    buffer, n_steps = filled(family, config.stored), max(1, config.states // batch_size)

    def learn() -> float:
        began = time.process_time()
        trainer.fit(buffer, n_steps, (0.5, 0.5), torch.Generator().manual_seed(0))
        return (time.process_time() - began) / (n_steps * batch_size)

    learn()
    return sum(parameter.numel() for parameter in student.parameters()), learn


def filled(family: ActionDistribution, n_states: int) -> Buffer:
    """Return a buffer of random states, in episodes."""
    buffer = Buffer(Rows(n_states, (FEATURES,)), family.n_params, N_ENVS, {"episode_starts": ((), torch.bool)})
    starts = torch.arange(n_states) % (N_ENVS * EPISODE) < N_ENVS
    buffer.add(torch.randn(n_states, FEATURES), torch.randn(n_states, family.n_params), {"episode_starts": starts})
    return buffer


if __name__ == "__main__":
    settings = tyro.cli(Config, description=__doc__)
    sys.exit(guarded(lambda: main(settings)))
