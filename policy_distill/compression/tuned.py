"""A student at the border that goes on by reward before it is dropped, by the session and the course of `finetune`.

In: the best student of a network that misses the bar, as it was trained. Out: the best of its fine-tuning, which
competes as any other. It is chosen here on episodes of its own, and nothing is proven of it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from policy_distill.compression.limits import CHOOSING
from policy_distill.compression.work import Work
from policy_distill.errors import RequestError, RunFault
from policy_distill.run.finetuning.finetune import session_for
from policy_distill.run.finetuning.form import check_trainable
from policy_distill.run.finetuning.settings import CRITIC_STEPS, DISCOUNT, FinetuneConfig
from policy_distill.run.place import Place
from policy_distill.seeds import selection_start
from policy_distill.student.runtime import Student
from policy_distill.system.progress import Progress
from policy_distill.tracking.fan_out import FanOut
from policy_distill.training.policy import StudentPolicy

MOST_EVOLVED = 2_000
"""Parameters of a student that an evolution strategy improves, at most."""

WARM_UP = 0.2
"""Share of the steps in which only the critic learns, at most."""

SHARED = (
    *("loss", "device", "n_envs", "n_steps", "n_eval_envs", "max_episode_steps", "select_episodes", "eval_episodes"),
    *("observe", "observation_keys", "observation_names", "action_names", "control_hz", "student_wrapper"),
    *("max_recoveries", "env_restarts", "env_timeout"),
)
"""Settings that are those of the race; how PPO learns is its own."""


@dataclass(frozen=True)
class Tuned:
    """How reward improved a student."""

    method: str
    """`ppo` or `es`."""
    env_steps: int
    """Steps that it learnt from."""
    spent: tuple[int, int]
    """From and up to which seeds its best moment was chosen."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"method": self.method, "env_steps": self.env_steps}


class BorderTuning:
    """Fine-tunes students of a race that has collected all its data, each from a seed of its own."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._n = 0

    def tune(self, spec: str, policy: StudentPolicy) -> tuple[StudentPolicy, Tuned] | None:
        """Return the best student of a fine-tuning from `policy`, which stays as it is; None where there is none."""
        origin = Student.of(policy.to_record({}))
        method, n_steps = method_for(origin), self._n_steps
        if method is None:
            self._work.say(
                f"{spec}: not fine-tuned: PPO needs feed-forward layers, es at most {MOST_EVOLVED:,} weights"
            )
            return None
        if n_steps == 0:
            return None
        self._n += 1
        config = self._config(method, n_steps)
        try:
            found, tuned = self._run(origin, config)
        except (RequestError, RunFault) as error:
            self._work.say(f"{spec}: not fine-tuned: {error}")
            return None
        self._work.say(f"{spec}: fine-tuned by {method} in {tuned.env_steps:,} steps")
        return found, tuned

    @property
    def _n_steps(self) -> int:
        """Steps of one fine-tuning: those of the race, and of a budget a part of what is left."""
        race = self._work.race
        return int(min(race.stream.config.timesteps, (1 - CHOOSING) * race.judge.n_left))

    def _config(self, method: Any, n_steps: int) -> FinetuneConfig:
        stream = self._work.race.stream
        shared = {name: getattr(stream.config, name) for name in SHARED}
        return FinetuneConfig(
            **shared,
            seed=(stream.config.seed + 32_452_843 * self._n) % 2**29,
            timesteps=n_steps,
            method=method,
            gamma=stream.teacher.discount or DISCOUNT,
            critic_steps=min(CRITIC_STEPS, int(WARM_UP * n_steps)),
        )

    def _run(self, origin: Student, config: FinetuneConfig) -> tuple[StudentPolicy, Tuned]:
        """Return the best student of a course that no file keeps."""
        work, stream = self._work, self._work.race.stream
        restarts = stream.restarts
        with ExitStack() as scope, Progress(config.timesteps, enabled=False) as bar:
            try:
                session, course = session_for(
                    origin, stream.teacher, stream.envs, work.env, config, scope, anchored=True
                )
            finally:
                # A session counts restarts from none on: these are the compression's, as is the time it takes.
                stream.envs.faults.restarts = restarts
            session.stream.restarts, session.stream.watch = restarts, stream.watch
            nowhere, interrupts = Place(None), work.interrupts
            run = course(session, work.env, work.identity, nowhere, interrupts, scope, gate_seed=0, request={})
            try:
                run.iterate(FanOut([]), bar)
                run.selection.finish()
            finally:
                work.race.judge.tuning_steps += session.stream.env_steps + run.selection.env_steps
            start = selection_start(config.seed)
            tuned = Tuned(config.method, session.stream.env_steps, (start, start + run.selection.n_seeds))
            return StudentPolicy.from_record(session.learner.student().record), tuned


def method_for(student: Student) -> str | None:
    """Return how reward improves a student: PPO where it can, else evolution of a small one, else None."""
    try:
        check_trainable(student.record)
    except RequestError:
        return "es" if not student.plan.is_tree and student.n_params <= MOST_EVOLVED else None
    return "ppo"
