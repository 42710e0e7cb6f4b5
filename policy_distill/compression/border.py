"""The border: between the last network that fails and the first that keeps enough, what is in between, and more starts.

In: a race that has collected all its data. Out: finalists, each with its student and what it keeps on the episodes that
choose. Nothing here steps an environment to learn: students are trained anew on the labelled states that are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from policy_distill.collection.state_sample import sample_states
from policy_distill.compression.candidates import Candidate
from policy_distill.compression.judge import Judge, Kept
from policy_distill.compression.population import Population, members_for, widths_of
from policy_distill.compression.race import SPARE, Race
from policy_distill.environments.two_sides import STUDENT
from policy_distill.losses.batch import Batch
from policy_distill.student.runtime import Student
from policy_distill.training.schedule import Moment, seed_of

LOOKS = (20, 40, 80)
"""Episodes after which an estimate may be clear of the bar."""

N_BEST = 8
"""Starts of a network that are judged, those that follow the teacher most closely: among starts of one network the loss
says little of the return, so a few episodes of many choose better than the loss alone."""

GLANCES = ((4, 3), (10, 1))
"""Episodes that each student plays, and how many of them are left after that."""

N_STATES = 4_000
"""Held-out states on which starts are ranked."""

ROUNDS = 2
"""Times that the border is looked at again, where it moved."""

PASSES = 20
"""Parts into which training on the stored states is cut, as a run is by its rollouts."""


SURE = 1.5
"""Promise from which on a proof surely succeeds."""

N_SURE = 3
"""Finalists that are to be sure of it: the tests begin with the largest of them, and end with the first that fails."""


@dataclass(frozen=True)
class Finalist:
    """A network's best student."""

    candidate: Candidate
    """Its network and sizes."""
    student: Student
    """As it is deployed."""
    kept: Kept
    """On the episodes that choose."""
    env_steps: int
    """Steps of the stream that it had learnt from."""

    def is_sure(self, bar: float) -> bool:
        """Say whether its proof will surely succeed, as far as the episodes that choose tell."""
        return self.kept.clears(bar) and self.kept.promise >= SURE


class Border:
    """Looks for the smallest network that keeps enough."""

    def __init__(self, race: Race, say: Callable[[str], None]) -> None:
        self._race = race
        self._say = say
        self.finalists: dict[str, Finalist] = {}

    def search(self) -> list[Finalist]:
        """Return the finalists, the cheapest first."""
        race = self._race
        place = race.smallest()
        for candidate in self._around(race.running, place):
            self._enter(candidate, [race.student(number) for number in race.best(candidate.spec, N_BEST)])
        tried: set[str] = set()
        for round_ in range(ROUNDS):
            specs = [spec for spec in self._between() if spec not in tried]
            if not specs or race.judge.exhausted:
                break
            tried |= set(specs)
            self._train(specs, round_)
        self._look_up()
        return sorted(self.finalists.values(), key=lambda one: (one.candidate.cost, one.candidate.n_params))

    def _around(self, runners: Sequence[Candidate], place: int) -> Iterator[Candidate]:
        """Yield networks from those a little larger than the border down, until two in a row clearly miss the bar."""
        n_misses = 0
        for candidate in reversed(runners[: place + 1 + SPARE]):
            yield candidate
            n_misses = n_misses + 1 if self.finalists[candidate.spec].kept.misses(self._race.bar) else 0
            if n_misses == 2 or self._race.judge.exhausted:
                return

    def _look_up(self) -> None:
        """Judge larger networks until several are sure of their proof: rare falls may fail the smallest of them."""
        race = self._race
        largest = max((one.candidate.cost for one in self.finalists.values()), default=0.0)
        for candidate in [one for one in race.running if one.cost > largest]:
            if sum(one.is_sure(race.bar) for one in self.finalists.values()) >= N_SURE or race.judge.exhausted:
                return
            self._enter(candidate, [race.student(number) for number in race.best(candidate.spec, N_BEST)])

    def _enter(self, candidate: Candidate, students: Sequence[Student]) -> Kept:
        """Judge students of one network; the better one stays, unless the network had a better one before."""
        judge, bar = self._race.judge, self._race.bar
        best = chosen(judge, students)
        kept = settled(judge, best, bar)
        before = self.finalists.get(candidate.spec)
        if before is None or kept.share > before.kept.share:
            self.finalists[candidate.spec] = Finalist(candidate, best, kept, self._race.stream.env_steps)
        share = f" keep {kept.share:.3f} ± {kept.error:.3f}" if kept.known else ", and the teacher gains nothing"
        self._say(f"{candidate.spec}: {candidate.n_params} parameters{share}")
        return self.finalists[candidate.spec].kept

    def _between(self) -> list[str]:
        """Return the networks around the border that one more look is worth."""
        ordered = sorted(self.finalists.values(), key=lambda one: one.candidate.cost)
        passing = [one for one in ordered if one.kept.share >= self._race.bar]
        if not passing:
            return [ordered[-1].candidate.spec] if ordered else []
        smallest = passing[0].candidate
        failing = [one for one in ordered if one.candidate.cost < smallest.cost]
        # What was passed over is taken for failing too: it was dropped, or two larger ones failed.
        known = [one for one in self._race.candidates if one.cost < smallest.cost]
        below = failing[-1].candidate.spec if failing else (known[-1].spec if known else "")
        between = [f"mlp:{n}" for n in _widths_between(below, smallest.spec)]
        return [spec for spec in (below, *between, smallest.spec) if spec]

    def _train(self, specs: Sequence[str], round_: int) -> None:
        """Train further starts of networks on the stored states, and judge the best of each."""
        race, stream = self._race, self._race.stream
        config, known = stream.config, {candidate.spec: candidate for candidate in self._race.kinds.candidates(specs)}
        # A latency is measured once: what is the cheapest must not change on the way.
        known |= {one.spec: one for one in race.candidates if one.spec in known}
        known |= {one.candidate.spec: one.candidate for one in self.finalists.values() if one.candidate.spec in known}
        # Other starts than those of the race.
        first = 1_000 * (round_ + 1)
        members = [replace(one, restart=first + one.restart) for one in members_for(specs)]
        with stream.watch.timed("train"):
            labels = stream.buffer.teacher_params[: stream.buffer.size]
            population = Population(members, self._race.kinds, config, labels)
            for part in range(PASSES):
                n_new = max(1, config.timesteps // PASSES)
                seed = seed_of(config, part, f"border {round_}")
                race.teach(population, Moment(part / PASSES, (part + 1) / PASSES, n_new, seed))
        with stream.watch.timed("evaluate"):
            ranks = population.losses(self._held_out(round_))
            for spec in specs:
                if spec not in known:
                    continue
                own = [n for n in population.active if members[n].spec == spec]
                own.sort(key=lambda number: float(ranks[number]))
                if own:
                    self._enter(known[spec], [self._race.kinds.deployed(population.policy(n)) for n in own[:N_BEST]])

    def _held_out(self, round_: int) -> Batch:
        """Return labelled states of whole episodes of the best finalist, from which nobody learns."""
        stream = self._race.stream
        best = max(self.finalists.values(), key=lambda one: one.kept.share).student
        seed = (stream.config.seed + 7_919 * (round_ + 1)) % 2**29
        actor = stream.seeing(best, STUDENT)
        sample = sample_states(stream.envs, seed, actor, N_STATES, masked=stream.masked, teacher=stream.labeller)
        self._race.judge.env_steps += sample.n_steps
        return Batch(stream.features_of(sample.obs), sample.params)


def chosen(judge: Judge, students: Sequence[Student]) -> Student:
    """Return the student that keeps most, as far as a few episodes of each tell."""
    left = list(students)
    for n_episodes, n_left in GLANCES:
        if judge.exhausted:
            break
        if len(left) > 1:
            found = [(judge.kept(one, n_episodes).share, place) for place, one in enumerate(left)]
            left = [left[place] for _, place in sorted(found, key=lambda one: -one[0])[:n_left]]
    return left[0]


def settled(judge: Judge, student: Student, bar: float) -> Kept:
    """Return what a student keeps, on as many episodes as it takes to be clear of the bar, up to a limit."""
    for n_episodes in LOOKS:
        kept = judge.kept(student, n_episodes)
        if kept.clears(bar) or kept.misses(bar) or judge.exhausted or not kept.known:
            break
    return kept


def _widths_between(below: str, above: str) -> list[int]:
    """Return the units of one hidden layer between two networks of at most one."""
    if (
        not all(spec == "linear" or (spec.startswith("mlp:") and "," not in spec) for spec in (below, above))
        or not below
    ):
        return []
    low, high = (widths_of(spec)[0] if widths_of(spec) else 0 for spec in (below, above))
    return list(np.unique(np.linspace(low, high, 5).astype(int))[1:-1]) if high - low > 1 else []
