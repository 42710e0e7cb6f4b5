"""The border: between the last network that fails and the first that keeps enough, what is in between, and more starts.

In: a race that has collected all its data. Out: finalists, each with its student and what it keeps on the episodes that
choose. Networks around the border are trained anew, on more data of those that are there (`retrain`), and those that
miss the bar all the same may go on by reward (`tuned`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from policy_distill.compression.candidates import Candidate
from policy_distill.compression.judge import Kept
from policy_distill.compression.looks import chosen, settled
from policy_distill.compression.members import widths_of
from policy_distill.compression.race import SPARE, Race
from policy_distill.compression.retrain import Retraining
from policy_distill.compression.tuned import BorderTuning, Tuned
from policy_distill.student.runtime import Student
from policy_distill.training.policy import StudentPolicy

N_BEST = 8
"""Starts of a network that are judged, those that follow the teacher most closely: among starts of one network the loss
says little of the return, so a few episodes of many choose better than the loss alone."""

N_TUNED = 3
"""Networks that reward is to bring above the bar, at most."""

ROUNDS = 2
"""Times that the border is looked at again, where it moved."""

N_GATHERING = 4
"""Finalists that more data is gathered with, at most: the smallest that may keep enough."""

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
    policy: StudentPolicy | None
    """As it was trained; None of one with few bits."""
    kept: Kept
    """On the episodes that choose."""
    env_steps: int
    """Steps of the stream that it had learnt from."""
    tuned: Tuned | None = None
    """How reward improved it; None of one that was distilled alone."""

    def is_sure(self, bar: float) -> bool:
        """Say whether its proof will surely succeed, as far as the episodes that choose tell."""
        return self.kept.clears(bar) and self.kept.promise >= SURE


class Border:
    """Looks for the smallest network that keeps enough."""

    def __init__(self, race: Race, say: Callable[[str], None], tuning: BorderTuning | None = None) -> None:
        """Search in a race; `tuning` is who brings students above the bar by reward, None for nobody."""
        self._race = race
        self._say = say
        self._tuning = tuning
        self.finalists: dict[str, Finalist] = {}

    def search(self) -> list[Finalist]:
        """Return the finalists, the cheapest first."""
        race = self._race
        place = race.smallest()
        for candidate in self._around(race.running, place):
            kept = self._enter(
                candidate, [race.population.policy(number) for number in race.best(candidate.spec, N_BEST)]
            )
            if not kept.known:
                # Where the teacher gains nothing, nothing is kept of it, by anybody.
                return self._ordered()
        tried: set[str] = set()
        for round_ in range(ROUNDS):
            specs = [spec for spec in self._between() if spec not in tried]
            if not specs or race.judge.exhausted:
                break
            tried |= set(specs)
            self._retrain(specs, round_)
        self._tune()
        self._look_up()
        return self._ordered()

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
            self._enter(candidate, [race.population.policy(number) for number in race.best(candidate.spec, N_BEST)])

    def _tune(self) -> None:
        """Let reward improve what misses the bar, from the largest down, until one misses it all the same."""
        passing = [one.candidate.cost for one in self.finalists.values() if one.kept.share >= self._race.bar]
        missing = [one for one in self._ordered() if one.candidate.cost < min(passing, default=math.inf)]
        for one in reversed(missing[-N_TUNED:]):
            if self._tuning is None or one.policy is None or self._race.judge.exhausted:
                return
            found = self._tuning.tune(one.candidate.spec, one.policy)
            if found is not None and self._enter(one.candidate, [found[0]], found[1]).misses(self._race.bar):
                return

    def _enter(self, candidate: Candidate, policies: Sequence[StudentPolicy], tuned: Tuned | None = None) -> Kept:
        """Judge students of one network; the better one stays, unless the network had a better one before."""
        judge, bar = self._race.judge, self._race.bar
        students = [self._race.kinds.deployed(policy) for policy in policies]
        place = chosen(judge, students)
        kept = settled(judge, students[place], bar)
        before = self.finalists.get(candidate.spec)
        if before is None or kept.share > before.kept.share:
            sized = self._race.kinds.sized(candidate, students[place])
            self.finalists[candidate.spec] = Finalist(
                sized, students[place], policies[place], kept, self._race.stream.env_steps, tuned
            )
        share = f" keep {kept.share:.3f} ± {kept.error:.3f}" if kept.known else ", and the teacher gains nothing"
        self._say(f"{candidate.spec}: {candidate.n_params} parameters{share}")
        return self.finalists[candidate.spec].kept

    def _between(self) -> list[str]:
        """Return the networks around the border that one more look is worth."""
        ordered = self._ordered()
        passing = [one for one in ordered if one.kept.share >= self._race.bar]
        if not passing:
            return [ordered[-1].candidate.spec] if ordered else []
        smallest = passing[0].candidate
        failing = [one for one in ordered if one.candidate.cost < smallest.cost]
        # What was passed over is taken for failing too: it was dropped, or two larger ones failed.
        known = [one for one in self._race.candidates if one.cost < smallest.cost]
        if not failing and not known and passing[0].is_sure(self._race.bar):
            return []
        below = failing[-1].candidate.spec if failing else (known[-1].spec if known else "")
        between = [f"mlp:{n}" for n in _widths_between(below, smallest.spec)]
        return [spec for spec in (below, *between, smallest.spec) if spec]

    def _retrain(self, specs: Sequence[str], round_: int) -> None:
        """Gather more data, train further starts of networks on all of it, and judge the best of each."""
        race, again = self._race, Retraining(self._race, round_)
        known = {candidate.spec: candidate for candidate in race.kinds.candidates(specs)}
        # A latency is measured once: what is the cheapest must not change on the way.
        known |= {one.spec: one for one in race.candidates if one.spec in known}
        known |= {one.candidate.spec: one.candidate for one in self.finalists.values() if one.candidate.spec in known}
        again.gather([one.student for one in self._promising()[:N_GATHERING]])
        passing = [one for one in self._ordered() if one.kept.share >= race.bar]
        population = again.train(specs, passing[0].policy if passing else None)
        with race.stream.watch.timed("evaluate"):
            best = max(self.finalists.values(), key=lambda one: one.kept.share).student
            found = again.ranked(population, best)
            for spec in specs:
                if spec in known and spec in found:
                    self._enter(known[spec], found[spec][:N_BEST])

    def _ordered(self) -> list[Finalist]:
        return sorted(self.finalists.values(), key=lambda one: (one.candidate.cost, one.candidate.n_params))

    def _promising(self) -> list[Finalist]:
        """Return the finalists that may keep enough, the cheapest first, or else the best one."""
        found = [one for one in self._ordered() if not one.kept.misses(self._race.bar)]
        return found or [max(self.finalists.values(), key=lambda one: one.kept.share)]


def _widths_between(below: str, above: str) -> list[int]:
    """Return the units of one hidden layer between two networks of at most one."""
    if (
        not all(spec == "linear" or (spec.startswith("mlp:") and "," not in spec) for spec in (below, above))
        or not below
    ):
        return []
    low, high = (widths_of(spec)[0] if widths_of(spec) else 0 for spec in (below, above))
    return list(np.unique(np.linspace(low, high, 5).astype(int))[1:-1]) if high - low > 1 else []
