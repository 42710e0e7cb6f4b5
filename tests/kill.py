"""Kills runs at random moments, resumes them, and compares what they end in with a run that nobody killed.

    python -m tests.kill --kills 50

The environments of the runs that are killed fail now and then in episodes that a restart runs again: those of judging,
of the proof and of the measurement, and those that a resumed run brings back. Runs are forked, so that none of them
pays for imports; they die of SIGKILL, which no process can answer. Half of the kills come after a random time, half at
a random moment of a stage that is drawn: collecting, training, writing a checkpoint, and so on. A resumed run may be
killed again.
"""

import argparse
import json
import logging
import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import gymnasium
import torch

from policy_distill.run import course as loop
from policy_distill.run.checkpoints import checkpoint
from policy_distill.run.distill import distill
from policy_distill.run.judging.selection import Selection
from policy_distill.run.session import Session
from policy_distill.run.stream import Stream
from policy_distill.seeds import MEASURED, TRAINING
from policy_distill.student import file as student_file
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import pendulum_teacher

ENV = "Pendulum-v1"
SETTINGS = {
    **{"timesteps": 2048, "n_envs": 4, "n_steps": 32, "n_epochs": 8, "batch_size": 64, "checkpoint_every": 128},
    **{"eval_episodes": 6, "select_episodes": 3, "env_restarts": 10_000},
}
STAGES = (
    *("opening", "collecting", "labelling", "training", "judging", "writing a checkpoint", "between write and rename"),
    *("logging", "proving", "writing the result", "resuming"),
)
MARKED = [
    (Session, "collect", "collecting"),
    (Stream, "label_whole", "labelling"),
    (Session, "learn", "training"),
    (Selection, "judge", "judging"),
    (checkpoint, "write_checkpoint", "writing a checkpoint"),
    (checkpoint, "resume_newest", "resuming"),
    (student_file.os, "replace", "between write and rename"),
    (Stream, "metrics", "logging"),
    (loop, "prove", "proving"),
    (loop, "evaluation_record", "writing the result"),
]
HELD = {"between write and rename": 0.005}
"""Seconds that a stage is made longer, where it would be over before a kill arrives."""

AGAIN = 0.25
"""How often a resumed run is killed too."""

AGAIN_FROM_SEEDS = ("resuming", "writing the result")
"""Stages in which episodes of the training's environments are run again where these fail: the last one measures."""

FAILS = 0.2
"""How often an episode fails that may."""


class Stage:
    """Memory that two processes share: the stage that one is in, and how often it entered each."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 1 + len(STAGES))

    def clear(self):
        self.memory[:] = bytes(len(self.memory))

    @property
    def now(self):
        return STAGES[self.memory[0]]

    def entered(self, stage):
        return self.memory[1 + STAGES.index(stage)]

    def mark(self, owner, name, stage):
        plain, number = getattr(owner, name), STAGES.index(stage)

        def marked(*arguments, **options):
            before = self.memory[0]
            self.memory[0] = number
            self.memory[1 + number] = min(self.memory[1 + number] + 1, 255)
            time.sleep(HELD.get(stage, 0.0))
            try:
                return plain(*arguments, **options)
            finally:
                self.memory[0] = before

        setattr(owner, name, marked)


class Fails(gymnasium.Wrapper):
    """Raises at a random step of some episodes: of those that training does not collect."""

    def __init__(self, env, stage, share):
        super().__init__(env)
        self.stage, self.left, self.share = stage, -1, share

    def reset(self, *, seed=None, options=None):
        self.collected = TRAINING <= seed < MEASURED
        self.left = RANDOM.randint(1, 30) if RANDOM.random() < self.share else -1
        return self.env.reset(seed=seed, options=options)

    def step(self, action):
        self.left -= 1
        if self.left == 0 and (not self.collected or self.stage.now in AGAIN_FROM_SEEDS):
            raise OSError("the motor stalled")
        return self.env.step(action)


RANDOM = random.SystemRandom()
"""Of no seed: what fails differs from attempt to attempt."""


def start(out, stage, *, failing=True):
    """Fork a run; it goes on where there is something to go on from."""
    stage.clear()
    pid = os.fork()
    if pid:
        return pid

    def make():
        # Also where nothing fails: a student says which wrappers its environment had.
        return Fails(gymnasium.make(ENV), stage, FAILS if failing else 0.0)

    status = 1
    try:
        torch.set_num_threads(1)
        with (out.parent / f"{out.name}.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        logging.basicConfig()
        for mark in MARKED:
            stage.mark(*mark)
        resume = out.exists() and any(out.iterdir())
        distill(pendulum_teacher(), make, "mlp:8", out=out, resume=resume, **SETTINGS)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(pid):
    """Return a process's exit status, the negative signal that ended it, or None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def wait_for_moment(pid, stage, generator, seconds):
    """Return at a random moment of a run, or with its exit status where it ended before."""
    if generator.random() < 0.5:
        until = time.monotonic() + generator.uniform(0.0, seconds)
        while time.monotonic() < until:
            if (status := ended(pid)) is not None:
                return status
            time.sleep(0.001)
        return None
    target = generator.choice(STAGES[1:])
    # How often a run enters a stage; one that it enters less often than drawn ends before it is killed.
    at = generator.randint(1, {"judging": 4, "proving": 1, "writing the result": 1, "resuming": 1}.get(target, 14))
    while not (stage.entered(target) >= at and stage.now == target):
        if (status := ended(pid)) is not None:
            return status
        time.sleep(0.00005)
    time.sleep(generator.choice((0.0, 0.0002, 0.002, 0.01)) * generator.random())
    return None


def contents(out):
    """Return all that a run says, apart from times."""
    evaluation = json.loads((out / "evaluation.json").read_text())
    del evaluation["wall_seconds"]
    timed = {"model/latency_us"}
    rows = [
        {
            name: value
            for name, value in row.items()
            if name == "time/env_steps" or not (name.startswith("time/") or name in timed)
        }
        for row in read_metrics(out / "metrics.jsonl")
    ]
    return {"student": (out / "student.safetensors").read_bytes(), "evaluation": evaluation, "metrics": rows}


def without_restarts(found):
    """Return what a run says, apart from restarts, and the numbers of these: of each line, and of the evaluation."""
    counts = [row.pop("rollout/env_restarts", None) for row in found["metrics"]]
    return found, counts, found["evaluation"].pop("env_restarts", None)


def finish(pid, out):
    """Wait for a run that nobody kills."""
    _, status = os.waitpid(pid, 0)
    if status:
        raise AssertionError(f"the run {out} failed:\n{(out.parent / f'{out.name}.log').read_text()}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    generator, stage, where = random.Random(options.seed), Stage(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        began = time.monotonic()
        finish(start(whole, stage, failing=False), whole)
        seconds, (expected, _, _) = time.monotonic() - began, without_restarts(contents(whole))
        n_kills = n_runs = n_broken = n_restarts = 0
        while n_kills < options.kills:
            out = Path(folder) / f"run-{n_runs}"
            n_runs += 1
            while True:
                pid = start(out, stage)
                status = wait_for_moment(pid, stage, generator, seconds)
                if status is None:
                    os.kill(pid, signal.SIGKILL)
                    _, status = os.waitpid(pid, 0)
                    status = os.waitstatus_to_exitcode(status)
                if status == -signal.SIGKILL:
                    n_kills += 1
                    where[stage.now] += 1
                    n_broken += bool(list(out.glob("checkpoint/.*.tmp")))
                    if n_kills < options.kills and generator.random() < AGAIN:
                        continue
                    finish(start(out, stage), out)
                elif status:
                    raise AssertionError((out.parent / f"{out.name}.log").read_text())
                break
            found, counts, total = without_restarts(contents(out))
            n_restarts += total
            if counts != sorted(counts) or counts[-1] != total:
                print(f"run {n_runs} counted its restarts wrong: {counts}, then {total}", file=sys.stderr)
                return 1
            for name, value in expected.items():
                if found[name] != value:
                    print(f"run {n_runs} ended in another {name} than the one that nobody killed", file=sys.stderr)
                    return 1
    print(f"{n_kills} kills, {n_kills} resumes: all {n_runs} runs ended in the same student, metrics and evaluation")
    print(f"{n_broken} left a checkpoint half written; {n_restarts} restarts in the runs' own counts")
    print("killed while: " + ", ".join(f"{name} {count}" for name, count in where.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
