"""Works cells off on a backend: starts what is ready, tries again what failed, waits for what was asked to stop.

In: a queue of cells and a backend. Out: what came of each cell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from policy_distill.run.suite.cells import Backend, Ended, Outcome, SuiteCell
from policy_distill.system.interrupts import Interrupts

MOST_LOST = 10
"""Times that a cell is started again because its worker died: that is no failure of its own."""
WRONG_REQUEST = 2
"""The exit status of a request that cannot be met, tried once or twice."""


class CellQueue(Protocol):
    """Where cells come from."""

    def next(self) -> SuiteCell | None:
        """Return a cell that may be started now; None where there is none at the moment, or none left."""
        ...

    def take(self, outcome: Outcome) -> None:
        """Hear what came of a cell."""
        ...

    def unwanted(self, running: list[SuiteCell]) -> list[SuiteCell]:
        """Return those of the cells that run which are to be stopped before their end."""
        ...


class InOrder:
    """Cells that are known beforehand, each after those that it needs."""

    def __init__(self, cells: Iterable[SuiteCell], outcomes: dict[str, Outcome]) -> None:
        """Queue `cells`; what comes of them goes to `outcomes`, by name. Those that are done already are not run."""
        self._waiting = list(cells)
        self._outcomes = outcomes
        for cell in [cell for cell in self._waiting if cell.done]:
            self._waiting.remove(cell)
            outcomes[cell.name] = Outcome(cell, "done")

    def next(self) -> SuiteCell | None:
        """Return the first cell whose needs are met; those whose needs failed are left out."""
        for cell in list(self._waiting):
            before = [self._outcomes.get(name) for name in cell.after]
            failed = next((one for one in before if one is not None and one.state != "done"), None)
            if failed is not None:
                self._waiting.remove(cell)
                self.take(Outcome(cell, "left out", reason=f"needs {failed.cell.name}, which is not done"))
            elif all(before):
                self._waiting.remove(cell)
                return cell
        return None

    def take(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._outcomes[outcome.cell.name] = outcome

    def unwanted(self, running: list[SuiteCell]) -> list[SuiteCell]:
        """Return nothing."""
        return []


class Schedule:
    """Cells on a backend, until none is left."""

    def __init__(
        self,
        queue: CellQueue,
        backend: Backend,
        interrupts: Interrupts,
        *,
        retries: int = 1,
        say: Callable[[str], None] = lambda line: None,
        on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Prepare; `say` is told what starts and ends, `on_outcome` what came of each cell."""
        self._queue, self._backend, self._interrupts = queue, backend, interrupts
        self._retries, self._say, self._on_outcome = retries, say, on_outcome
        self._running: dict[str, SuiteCell] = {}
        self._asked: set[str] = set()
        """Cells that were asked to stop."""
        self._attempts: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._began: dict[str, float] = {}

    def run(self) -> None:
        """Work all off; after an interruption only what runs is waited for."""
        while True:
            while not self._interrupts.requested and self._backend.has_room() and (cell := self._queue.next()):
                self._start(cell, "…")
            if not self._running:
                return
            for end in self._backend.ended():
                self._take(end)
            running = list(self._running.values())
            unwanted = running if self._interrupts.requested else self._queue.unwanted(running)
            new = [cell for cell in unwanted if cell.name not in self._asked]
            self._backend.ask_to_stop(new)
            self._asked |= {cell.name for cell in new}

    def _start(self, cell: SuiteCell, why: str) -> None:
        self._running[cell.name] = cell
        self._attempts[cell.name] = self._attempts.get(cell.name, 0) + 1
        self._began.setdefault(cell.name, time.monotonic())
        self._say(f"{cell.name} {why}")
        self._backend.start(cell)

    def _take(self, end: Ended) -> None:
        cell = self._running.pop(end.cell.name)
        done = end.status == 0 and not end.lost and cell.done
        if done:
            self._finish(cell, Outcome(cell, "done"))
        elif cell.name in self._asked:
            self._finish(cell, Outcome(cell, "stopped", reason="stopped before its end"))
        elif self._again(cell, end):
            self._start(cell, f"again: {_reason(cell, end)}")
        else:
            self._finish(cell, Outcome(cell, "failed", reason=_reason(cell, end)))

    def _again(self, cell: SuiteCell, end: Ended) -> bool:
        if self._interrupts.requested:
            return False
        if end.lost:
            self._lost[cell.name] = self._lost.get(cell.name, 0) + 1
            return self._lost[cell.name] <= MOST_LOST
        failures = self._attempts[cell.name] - self._lost.get(cell.name, 0)
        return end.status != WRONG_REQUEST and failures <= self._retries

    def _finish(self, cell: SuiteCell, outcome: Outcome) -> None:
        seconds = time.monotonic() - self._began[cell.name]
        outcome = Outcome(cell, outcome.state, self._attempts[cell.name], seconds, outcome.reason)
        self._queue.take(outcome)
        told = f" ({outcome.reason}; see {cell.log})" if outcome.state == "failed" else ""
        self._say(f"{cell.name}: {outcome.state}{told}")
        self._on_outcome(outcome)


def _reason(cell: SuiteCell, end: Ended) -> str:
    if end.lost:
        return end.lost
    if end.status == 0:
        return f"it ended without {cell.product}"
    how = f"signal {-end.status}" if end.status < 0 else f"exit status {end.status}"
    said = cell.last_words()
    return f"{how}: {said}" if said else how
