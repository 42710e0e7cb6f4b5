"""A search from its first trial to the proof of its best: `run_search`, the other face of the command `suite`.

In: a grid with a space. Out: a `SuiteResult` whose runs are the best trials, each proven on fresh episodes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.run.suite.backends import Workplace
from policy_distill.run.suite.cells import Outcome
from policy_distill.run.suite.ending import RECORD, SuiteResult, conclude, write_record
from policy_distill.run.suite.grid import Grid, grid_of, read_grid
from policy_distill.run.suite.grid_cells import CellTracking
from policy_distill.run.suite.schedule import CellQueue, InOrder, Schedule
from policy_distill.run.suite.search import SearchQueue, TaskSearch
from policy_distill.run.suite.search_space import space_of
from policy_distill.run.suite.suite import Say, stop_where_asked, suite_folder
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress


def run_search(
    grid: Grid | Mapping[str, Any] | str | Path,
    out: str | Path,
    n_trials: int,
    *,
    workplace: Workplace | None = None,
    retries: int = 1,
    tracking: CellTracking | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    say: Say = lambda line: None,
) -> SuiteResult:
    """Search the settings with which a distillation returns most, for each teacher of a grid.

    Trials are judged by the mean return of their student on the selection's episodes, and stopped where they fall
    behind the median of others; the best is then proven on episodes that nothing was chosen by.

    Args:
        grid: as of `run_suite`; `search` names the space, and the first of its seeds is that of all trials.
        out: the suite's folder: `study.db`, trials in `.trials`, and a run folder of each best.
        n_trials: for each teacher, those of earlier calls included.
        workplace: as of `run_suite`, like all that follow.
        retries: times that a failed trial is tried again.
        tracking: of trials.
        resume: go on with the studies in `out`.
        overwrite: replace them.
        progress: draw a bar over the trials.
        say: is told what starts and ends.

    Raises:
        RequestError: for a wrong grid, or a folder in use, before anything is run.
        Interrupted: on SIGINT or SIGTERM, once the trials that ran have written their checkpoints.
    """
    known = grid if isinstance(grid, Grid) else grid_of(grid) if isinstance(grid, Mapping) else read_grid(grid)
    out, tracking = Path(os.path.abspath(out)), tracking or CellTracking()
    if known.compress is not None or known.finetune is not None:
        raise RequestError("expected a grid that distils for a search, found compress or finetune; leave them out")
    if n_trials < 1:
        raise RequestError(f"expected --trials of at least 1, found {n_trials}")
    space = space_of(known.search, students=known.students)
    with suite_folder(out, [], resume=resume, overwrite=overwrite):
        if not (out / RECORD).is_file():
            # From here on there is something to resume.
            write_record(out, SuiteResult(out, (), [], None).to_json())
        searches = [TaskSearch(known, teacher, space, out, tracking) for teacher in known.teachers]
        bar = Progress(n_trials * len(searches), description="trials", enabled=progress)
        with closing((workplace or Workplace()).open()) as backend, Interrupts() as interrupts, bar:

            def work_off(queue: CellQueue) -> None:
                Schedule(queue, backend, interrupts, retries=retries, say=say).run()
                stop_where_asked(interrupts, f"{sum(one.n_ended for one in searches)} trials")

            work_off(SearchQueue(searches, n_trials, lambda _: bar.update(sum(one.n_ended for one in searches), {})))
            outcomes = _proven(searches, out, work_off)
        return conclude(out, outcomes, tracking.track, {one.name: one.to_json() for one in searches})


def _proven(searches: list[TaskSearch], out: Path, work_off: Callable[[CellQueue], None]) -> list[Outcome]:
    """Prove the best trial of each search, and return what came of it."""
    found: dict[str, Outcome] = {}
    best = {search.name: search.best_cell() for search in searches}
    cells = [cell for cell in best.values() if cell is not None]
    # Named before they are run, so that --overwrite finds them after an interruption.
    begun = tuple(Outcome(cell, "stopped", reason="not begun") for cell in cells)
    write_record(out, SuiteResult(out, begun, [], None).to_json())
    work_off(InOrder(cells, found))
    nothing = "no trial came to an end"
    return [
        Outcome(searches[i].no_cell, "failed", reason=nothing) if cell is None else found[cell.name]
        for i, cell in enumerate(best.values())
    ]
