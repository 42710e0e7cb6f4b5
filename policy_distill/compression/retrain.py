"""Students of a few networks, made anew once the race is over: more data where they go wrong, more starts, pruned ones.

In: networks, and students around the border. Out: trained students, those that follow the teacher best first.

Rare mistakes decide whether a student keeps enough, and a race spreads its data over all who run. Those that may keep
enough act here for a while, by their mode as they will be deployed, and the teacher labels what they come to: DAgger
(Ross et al. 2011, arXiv 1011.0686) for a few. Everyone is then trained on all that is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import le

import torch

from policy_distill.collection.collector import Collector
from policy_distill.collection.dealt import Dealt
from policy_distill.collection.state_sample import sample_states
from policy_distill.compression.members import Member, members_for, widths_of
from policy_distill.compression.population import Population
from policy_distill.compression.race import Race
from policy_distill.losses.batch import Batch
from policy_distill.student.runtime import Student
from policy_distill.training.dense_step import is_dense
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.schedule import Moment, seed_of
from policy_distill.training.shrinking.pruning import prune, unit_importance, unit_sensitivity

GATHERED = 0.5
"""Steps that the students around the border act for, as a share of those of the race."""

PRUNED = 500
"""Number of the first start that is pruned."""

PASSES = 20
"""Parts into which training on the stored states is cut, as a run is by its rollouts."""

N_STATES = 4_000
"""Held-out states on which starts are ranked, and stored ones on which units are ranked."""


class Retraining:
    """One round of it."""

    def __init__(self, race: Race, number: int) -> None:
        """Open round `number`, from 0."""
        self._race, self._stream, self._number = race, race.stream, number

    def gather(self, students: Sequence[Student]) -> None:
        """Let students act side by side, and store what they come to with the teacher's labels."""
        stream, config = self._stream, self._stream.config
        dealt = Dealt([students[index % len(students)] for index in range(stream.envs.n_envs)])
        actor = stream.sight.student(dealt)
        # Episodes of their own: the environments may be within others, or have been used to measure.
        source = Collector(stream.envs, (config.seed + 15_485_863 * (self._number + 1)) % 2**29)
        left = int(min(GATHERED * config.timesteps, self._race.judge.n_collectable) // stream.envs.n_envs)
        while left > 0 and not self._race.judge.exhausted:
            rollout = stream.collect_beside(source, actor, min(config.n_steps, left))
            labels = stream.label(rollout)
            stream.store(rollout, stream.features(rollout), labels)
            left -= len(rollout.episode_starts)

    def train(self, specs: Sequence[str], passing: StudentPolicy | None) -> Population:
        """Return trained students of each network, on the stored states; some are pruned from one that passes."""
        stream, config = self._stream, self._stream.config
        # Other starts than those of the race.
        first = 1_000 * (self._number + 1)
        members = [replace(one, restart=first + one.restart) for one in members_for(specs)]
        with stream.watch.timed("train"):
            pruned = self._pruned(specs, passing, first + PRUNED) if passing is not None else []
            given = dict(enumerate((policy for _, policy in pruned), start=len(members)))
            members += [member for member, _ in pruned]
            labels = stream.buffer.teacher_params[: stream.buffer.size]
            population = Population(members, self._race.kinds, config, labels, given)
            for part in range(PASSES):
                seed = seed_of(config, part, f"border {self._number}")
                moment = Moment(part / PASSES, (part + 1) / PASSES, max(1, stream.env_steps // PASSES), seed)
                self._race.teach(population, moment)
        return population

    def ranked(self, population: Population, student: Student) -> dict[str, list[StudentPolicy]]:
        """Return the students of each network, the best first, by their loss on fresh states that `student` visits."""
        stream = self._stream
        seed = (stream.config.seed + 7_919 * (self._number + 1)) % 2**29
        actor = stream.sight.student(student)
        sample = sample_states(
            stream.envs, seed, actor, N_STATES, masked=stream.masked, teacher=stream.sight.labeller(stream.teacher)
        )
        self._race.judge.env_steps += sample.n_steps
        losses = population.losses(Batch(stream.features_of(sample.obs), sample.params))
        found: dict[str, list[StudentPolicy]] = {}
        for number in sorted(population.active, key=lambda number: float(losses[number])):
            found.setdefault(population.members[number].spec, []).append(population.policy(number))
        return found

    def _pruned(self, specs: Sequence[str], passing: StudentPolicy, restart: int) -> list[tuple[Member, StudentPolicy]]:
        """Return narrower students out of one that passes, by either measure of what its units matter."""
        if not is_dense(passing):
            return []
        generator = torch.Generator().manual_seed(seed_of(self._stream.config, restart, "prune"))
        (states,) = self._stream.buffer.minibatches(1, N_STATES, generator)
        ranks = (unit_importance(passing, states.features), unit_sensitivity(passing, states, self._race.kinds.loss))
        wide, found = widths_of(passing.spec.network), []
        kind, _, _ = passing.spec.network.partition(":")
        for spec in [one for one in specs if one.partition(":")[0] == kind]:
            widths = widths_of(spec)
            narrower = len(widths) == len(wide) and all(map(le, widths, wide)) and widths != wide
            for number, scores in enumerate(ranks if narrower else ()):
                member = Member(spec, passing.spec.activation, restart + number)
                found.append((member, prune(passing, states.features, scores, widths)))
        return found
