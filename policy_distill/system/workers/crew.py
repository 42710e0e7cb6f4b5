"""Those who work on one thing together: each is asked its part, and who is lost is made up for.

In: a pool, and what each member is. Out: the answers of all, whichever of them die on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from policy_distill.errors import RunFault
from policy_distill.system.interrupts import stop_if_requested
from policy_distill.system.workers.pool import LOOK_EVERY, MakeService, Pool, PoolWorker, WorkerLost

LOG = logging.getLogger("policy_distill")

MAX_LOST = 5
"""Members that may be lost for each there is before all have answered: what ends its process would be started for
ever."""


class Unmanned(RunFault):
    """Workers were lost again and again."""


class Crew:
    """Workers with numbers, of which each does its own part."""

    def __init__(self, pool: Pool, services: Sequence[MakeService], greet: Callable[[int], Any]) -> None:
        """Take on a worker for each service, once they are asked.

        `greet` says what a new worker of a number is told first, whose answer `answers` yields too; None for nothing.
        """
        self._pool, self._services, self._greet = pool, services, greet
        self._workers: list[PoolWorker] = []
        self._asked: list[Any] = []
        self._n_lost = 0

    def ask(self, requests: Sequence[Any]) -> None:
        """Ask each member its own; those that nothing is left for are not asked."""
        self._asked, self._n_lost = list(requests), 0
        for number in range(len(requests)):
            if number == len(self._workers):
                self._workers.append(self._started(number))
            self._ask(number)

    def answers(self, is_last: Callable[[Any], bool]) -> Iterator[tuple[int, Any]]:
        """Yield number and answer of whoever answers, until all have given the one that `is_last`.

        Raises:
            RequestError, RunFault: which a worker raised.
            Unmanned: where workers are lost again and again.
            Interrupted: where the run was asked to stop.
        """
        waiting = set(range(len(self._asked)))
        while waiting:
            stop_if_requested("while workers were waited for")
            members = {number: self._workers[number] for number in sorted(waiting)}
            ready = self._pool.ready(list(members.values()), LOOK_EVERY)
            for number in [number for number, worker in members.items() if worker in ready]:
                try:
                    answer = self._workers[number].answer()
                except WorkerLost as lost:
                    self._replace(number, lost)
                    self._ask(number)
                    continue
                if is_last(answer):
                    waiting.discard(number)
                yield number, answer

    def close(self) -> None:
        """Let all go."""
        for worker in self._workers:
            worker.close()
        self._workers = []

    def _started(self, number: int) -> PoolWorker:
        worker = self._pool.start(self._services[number])
        greeting = self._greet(number)
        if greeting is not None:
            with suppress(WorkerLost):
                # Where it is lost already, the next question says so.
                worker.ask(greeting)
        return worker

    def _ask(self, number: int) -> None:
        while True:
            try:
                return self._workers[number].ask(self._asked[number])
            except WorkerLost as lost:
                self._replace(number, lost)

    def _replace(self, number: int, lost: WorkerLost) -> None:
        """Put a new worker in place of one that was lost.

        Raises:
            Unmanned: where that happens again and again.
        """
        self._n_lost += 1
        self._workers[number].close()
        if self._n_lost > MAX_LOST * len(self._services):
            raise Unmanned(
                f"{self._n_lost} workers were lost in one piece of work, the last because {lost}; find what ends "
                "their processes (memory, an environment that exits), or set --workers 0"
            ) from lost
        LOG.warning("a worker was lost (%s): another one takes its place", lost)
        self._workers[number] = self._started(number)
