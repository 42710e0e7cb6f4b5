"""What students of a race are: from a network to a specification, to its size, and to the form that is deployed."""

from __future__ import annotations

from collections.abc import Iterable

from policy_distill.compression.candidates import Candidate, as_deployed, candidates_for, deployed
from policy_distill.compression.limits import Limits
from policy_distill.interfaces.students import Loss
from policy_distill.run.stream import Stream
from policy_distill.student.runtime import Student
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec


class Kinds:
    """Makes students for one stream, all for the same loss and within the same limits."""

    def __init__(self, stream: Stream, loss: Loss, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self.loss = loss
        """What all of them minimise."""

    def spec(self, network: str, activation: str) -> StudentSpec:
        """Return what a student of a network is."""
        stream, sight = self._stream, self._stream.sight
        seen = sight.space, sight.view, sight.wiring
        return StudentSpec.like(stream.teacher, network, activation, stream.normalizer, *seen)

    def candidates(self, networks: Iterable[str]) -> list[Candidate]:
        """Return the networks that are small enough, the cheapest first.

        Raises:
            RequestError: for an unknown network, or where none is small enough.
        """
        limits = self._limits
        return candidates_for(
            list(networks),
            self.spec,
            limits.minimize,
            keep_std=limits.keep_std,
            max_params=limits.max_params,
            max_bytes=limits.max_bytes,
        )

    def deployed(self, policy: StudentPolicy) -> Student:
        """Return a student as it is deployed."""
        return deployed(policy, self._limits.keep_std)

    def sized(self, candidate: Candidate, student: Student) -> Candidate:
        """Return a candidate as its student is."""
        return as_deployed(candidate, student, self._limits.minimize)
