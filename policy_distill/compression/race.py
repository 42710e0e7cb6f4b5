"""The race: one stream of labelled states, a population that learns from it, and fewer students at every rung.

In: candidates. Out: those that are left when all data is collected. At a tenth, a quarter and a half of it (successive
halving, Jamieson and Talwalkar 2016, arXiv 1502.07943) the starts of a network that follow the teacher least are
dropped, and so is what is clearly larger than a student that seems to keep enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from policy_distill.collection.actors import TeacherActor
from policy_distill.collection.dealt import Dealt
from policy_distill.collection.rollout import Rollout
from policy_distill.compression.candidates import Candidate, in_order
from policy_distill.compression.judge import Judge, Kept
from policy_distill.compression.kinds import Kinds
from policy_distill.compression.members import Gone, Member, members_for
from policy_distill.compression.population import Population
from policy_distill.errors import RunFault
from policy_distill.interfaces.policies import Actor
from policy_distill.losses.batch import Batch
from policy_distill.run.stream import Stream
from policy_distill.student.check import check_writable
from policy_distill.student.runtime import Student
from policy_distill.system.interrupts import Interrupted
from policy_distill.training.schedule import Moment, acts_by_mode, seed_of

RUNGS = (0.1, 0.25, 0.5)
"""Shares of the data at which students are dropped."""

LEFT = (12, 6, 4)
"""Starts of each network that go on after each rung: early on, the loss says little of who will be best."""

N_FIRST = 10
"""Episodes of a first impression."""

SPARE = 2
"""Networks that stay in the race beyond the smallest that seems to keep enough."""

MEMORY = 0.5
"""Weight of the newest rollout in the running mean of the losses on states that nobody had learnt from yet."""

BATCH_STATES = 4_096
"""States of a rollout on which losses are measured, at most."""


class Race:
    """A population on one stream."""

    def __init__(self, stream: Stream, kinds: Kinds, networks: Sequence[str], judge: Judge, bar: float) -> None:
        self.stream = stream
        self.kinds = kinds
        self.candidates = kinds.candidates(networks)
        """The cheapest first."""
        self.judge = judge
        self.bar = bar
        self.iteration = 0
        self.rung = 0
        """Rungs that are behind."""
        self.owed: dict[str, float] | None = None
        """What the iteration measured after which students are still to be dropped; None between iterations."""
        self.dropped: list[Gone] = []
        """Networks that are out, and starts that diverged, which are marked as such: when, and why."""
        self.kept: dict[str, Kept] = {}
        """What each network's best student kept when it was last judged."""
        self._population: Population | None = None
        self.heldout = np.zeros(0)
        """Running mean loss `[K]` on states that the member had not learnt from."""

    @property
    def begun(self) -> bool:
        """True once there are students."""
        return self._population is not None

    @property
    def population(self) -> Population:
        """The students."""
        assert self._population is not None, "the first rollout makes the students"
        return self._population

    @property
    def running(self) -> list[Candidate]:
        """Networks that are still in the race, the cheapest first."""
        active = {self.population.members[number].spec for number in self.population.active}
        return [candidate for candidate in self.candidates if candidate.spec in active]

    def best(self, spec: str, n: int = 1) -> list[int]:
        """Return the members of a network that follow the teacher most closely."""
        own = [number for number in self.population.active if self.population.members[number].spec == spec]
        return sorted(own, key=lambda number: float(np.nan_to_num(self.heldout[number], nan=np.inf)))[:n]

    def student(self, number: int) -> Student:
        """Return a member as it is deployed."""
        return self.kinds.deployed(self.population.policy(number))

    def actor(self) -> tuple[Actor, float]:
        """Return who acts next, and the teacher's share: the teacher first, then the best of each network in turns."""
        config, seed = self.stream.config, seed_of(self.stream.config, self.iteration, "act")
        if not self.begun:
            return self.stream.sight.teacher(TeacherActor(self.stream.teacher, seed)), 1.0
        n_envs, runners = self.stream.envs.n_envs, self.running
        dealt = [runners[(self.iteration * n_envs + index) % len(runners)].spec for index in range(n_envs)]
        students = {}
        for spec in dict.fromkeys(dealt):
            (number,) = self.best(spec)
            students[spec] = Student.of(self.population.policy(number).to_record({}))
            students[spec].seed(seed_of(config, self.iteration, f"act {spec}"))
        return self.stream.sight.student(Dealt([students[spec] for spec in dealt])), 0.0

    def collect(self) -> Rollout:
        """Gather the next rollout."""
        actor, share = self.actor()
        return self.stream.collect(actor, share, greedy=acts_by_mode(self.stream.config, self.iteration, share))

    def learn(self, rollout: Rollout, teacher_params: torch.Tensor) -> dict[str, float]:
        """Store a labelled rollout and let everyone learn; return what was measured."""
        stream, config = self.stream, self.stream.config
        with stream.watch.timed("train"):
            features = stream.features(rollout)
            if not self.begun:
                self.create(teacher_params)
            self._measure(Batch(features, teacher_params, stream.kept(rollout)), rollout.episode_starts.shape)
            stream.store(rollout, features, teacher_params)
            before = min((stream.env_steps - len(features)) / config.timesteps, 1.0)
            moment = Moment(before, stream.progress, len(features), seed_of(config, self.iteration, "train"))
            metrics = self.teach(self.population, moment)
            self.iteration += 1
        if not self.population.active:
            raise RunFault("every student diverged; lower --learning-rate")
        return {**metrics, **stream.metrics(), "compress/students": float(len(self.population.active))}

    def teach(self, population: Population, moment: Moment) -> dict[str, float]:
        """Let students learn from all that is stored, and note those that diverge; return what was measured."""
        before = population.out
        metrics = population.learn(self.stream.buffer, moment)
        for number in sorted(population.out.keys() - before.keys()):
            one = population.members[number]
            why = f"its start {one.restart} with {one.activation} {population.out[number]}"
            self.dropped.append(Gone(one.spec, self.stream.env_steps, why, start=True))
        return metrics

    def costing(self, costs: Mapping[str, float]) -> None:
        """Take the costs of candidates as they were measured before: latencies, and so the order, differ each time."""
        self.candidates = in_order(replace(one, cost=costs[one.spec]) for one in self.candidates)

    def starts(self) -> list[Member]:
        """Return the students that begin: several of each network where its start decides what becomes of it."""
        return members_for([candidate.spec for candidate in self.candidates])

    def create(self, teacher_params: torch.Tensor | None = None) -> None:
        """Make all students; log σ starts at that of the labels `[B, P]`."""
        members = self.starts()
        self._population = Population(members, self.kinds, self.stream.config, teacher_params)
        self.heldout = np.full(len(members), np.nan)
        check_writable(self.student(0))

    def _measure(self, batch: Batch, shape: tuple[int, ...]) -> None:
        """Measure losses on a part of states that nobody has learnt from, the rows of a rollout `[T, N]`."""
        step = max(1, len(batch.features) // BATCH_STATES)
        part = Batch(batch.features[::step], batch.teacher_params[::step])
        found = self.population.losses(part, batch.unflattened(shape))
        known = np.isfinite(self.heldout)
        self.heldout = np.where(known, (1 - MEMORY) * self.heldout + MEMORY * found, found)

    @property
    def at_rung(self) -> bool:
        """True where students are to be dropped before the next rollout."""
        return self.begun and self.rung < len(RUNGS) and self.stream.progress >= RUNGS[self.rung]

    def drop(self) -> None:
        """Drop the starts that follow the teacher least, and what is larger than it need be."""
        left = LEFT[self.rung]
        for candidate in self.running:
            worse = self.best(candidate.spec, len(self.population.members))[left:]
            self.population.drop(worse, "another start is better")
        judge, kept = self.judge.state(), dict(self.kept)
        try:
            runners, smallest = self.running, self.smallest()
        except Interrupted:
            # A race that goes on from here judges all of them again, and its steps are counted once.
            self.judge.restore(judge)
            self.kept = kept
            raise
        # More are kept: a first impression is not a proof.
        for candidate in runners[smallest + 1 + SPARE :]:
            self._drop(candidate.spec, f"{runners[smallest].spec} seems to keep enough")
        self.rung += 1

    def smallest(self) -> int:
        """Return the place among the running of the smallest that seems to keep enough; their number where none does.

        Larger students keep more, but for noise, so a few are judged and not all of them.
        """
        runners = self.running
        low, high = 0, len(runners)
        with self.stream.watch.timed("evaluate"):
            while low < high and not self.judge.exhausted:
                middle = (low + high) // 2
                kept = self.judged(runners[middle].spec, N_FIRST)
                if not kept.known:
                    break
                low, high = (low, middle) if kept.share - kept.error >= self.bar else (middle + 1, high)
        return high

    def judged(self, spec: str, n_episodes: int) -> Kept:
        """Return what the best student of a network keeps now."""
        (number,) = self.best(spec)
        found = self.kept[spec] = self.judge.kept(self.student(number), n_episodes)
        return found

    def _drop(self, spec: str, why: str) -> None:
        self.dropped.append(Gone(spec, self.stream.env_steps, why))
        self.population.drop(self.best(spec, len(self.population.members)), why)
