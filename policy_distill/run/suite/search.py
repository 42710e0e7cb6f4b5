"""A search among settings with Optuna: `suite --search optuna`; its trials are cells, in processes as any.

In: a grid with a space. Out: for each teacher a study in `study.db`, and its best trial, proven once. What chooses is
the mean return on selection episodes; the proof's are played by the best trial alone, after the search.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.run.suite.cells import Outcome, SuiteCell, relative
from policy_distill.run.suite.grid import Grid
from policy_distill.run.suite.grid_cells import CellTracking, distilling
from policy_distill.run.suite.grid_teachers import GridTeacher
from policy_distill.run.suite.search_places import place_best, trial_folder
from policy_distill.run.suite.search_space import STUDENT, SearchSpace
from policy_distill.system.files import read_json_object
from policy_distill.tracking.jsonl import read_metrics
from policy_distill.tracking.metrics import STEP

DATABASE = "study.db"
UNPROVEN = "--no-prove"
JUDGED = "eval/selection_return"
ASKED = "asked"
"""Of a study: what it was begun with."""
LOOK_SECONDS = 1.0
"""Between two looks at what trials that run have measured."""


class TaskSearch:
    """The search for one teacher and its environment."""

    def __init__(self, grid: Grid, teacher: GridTeacher, space: SearchSpace, out: Path, tracking: CellTracking) -> None:
        """Open the study in the suite's folder `out`, or go on with it.

        Raises:
            RequestError: where Optuna is not installed, or the study was begun with another space or other settings.
        """
        self._optuna = _optuna()
        self._grid, self._teacher, self._space, self._out, self._tracking = grid, teacher, space, out, tracking
        self.name = str(teacher.place)
        # Several run at once, and a trial that runs is taken to be a bad one, so that the next is tried elsewhere.
        sampler = self._optuna.samplers.TPESampler(seed=grid.seeds[0], constant_liar=True, multivariate=True)
        self.study = self._optuna.create_study(
            storage=f"sqlite:///{out / DATABASE}",
            study_name=self.name,
            sampler=sampler,
            pruner=self._optuna.pruners.MedianPruner(),
            direction="maximize",
            load_if_exists=True,
        )
        self._check_same()
        states = self._optuna.trial.TrialState
        # Those of a search that was stopped go on from their checkpoints.
        self._left = [one.number for one in self.study.get_trials(deepcopy=False) if one.state == states.RUNNING]
        self._trials: dict[str, Any] = {}
        self._pruned: set[str] = set()
        self._reported: dict[str, set[int]] = defaultdict(set)

    def _check_same(self) -> None:
        """Refuse to go on with trials whose returns cannot be compared with those to come."""
        asked = {"settings": list(self._words(self._grid.students[0], {})[1:]), "space": repr(self._space)}
        begun = self.study.user_attrs.get(ASKED)
        if begun is None:
            self.study.set_user_attr(ASKED, asked)
        elif begun != asked:
            raise RequestError(
                f"expected the settings and the space that the search of {self.name} started with, found others in "
                "the grid; continue with the same grid, choose another --out, or start over with --overwrite"
            )

    def next(self, n_trials: int) -> SuiteCell | None:
        """Return the cell of the next trial; None where all `n_trials` were begun."""
        if self._left:
            number = self._left.pop(0)
            trial = self._optuna.trial.Trial(self.study, self.study.trials[number]._trial_id)
        elif len(self.study.get_trials(deepcopy=False)) < n_trials:
            trial = self.study.ask()
        else:
            return None
        settings = self._space.suggest(trial)
        cell = self._cell(trial.number, settings)
        self._trials[cell.name] = trial
        return cell

    def take(self, outcome: Outcome) -> bool:
        """Tell the study what came of a trial, and say whether it was one of this search."""
        trial = self._trials.get(outcome.cell.name)
        if trial is None:
            return False
        states = self._optuna.trial.TrialState
        value = selection_return(outcome.cell.folder)
        if outcome.state == "done" and value is not None:
            self.study.tell(trial.number, value)
        elif outcome.state == "stopped":
            # Stopped by an interruption, it is still running, and goes on in the next call.
            if outcome.cell.name in self._pruned:
                self.study.tell(trial.number, state=states.PRUNED)
        else:
            self.study.tell(trial.number, state=states.FAIL)
        return True

    def unwanted(self, running: Sequence[SuiteCell]) -> list[SuiteCell]:
        """Return the trials that fall behind the median of others at the same step."""
        found = []
        for cell in running:
            trial = self._trials.get(cell.name)
            if trial is None:
                continue
            for row in read_metrics(cell.folder / "metrics.jsonl"):
                if isinstance(row.get(JUDGED), int | float) and row[STEP] not in self._reported[cell.name]:
                    self._reported[cell.name].add(row[STEP])
                    trial.report(row[JUDGED], int(row[STEP]))
            if trial.should_prune():
                self._pruned.add(cell.name)
                found.append(cell)
        return found

    def best_cell(self) -> SuiteCell | None:
        """Return the cell that proves the best trial, in a copy of its run; None where no trial came to an end."""
        done = self.study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.COMPLETE,))
        if not done:
            return None
        best = self.study.best_trial
        trial = self._cell(best.number, self._space.suggest(self._optuna.trial.FixedTrial(best.params)))
        words = tuple(word for word in trial.words if word != UNPROVEN)
        folder = self._out / self._teacher.place / f"best-{best.number:04d}"
        place_best(trial.folder, folder)
        return replace(trial, name=f"{self.name} best of {len(done)}", folder=folder, words=words)

    @property
    def no_cell(self) -> SuiteCell:
        """What stands for the best trial where there is none."""
        return SuiteCell(f"{self.name} best", self._out / self._teacher.place / "best", ())

    @property
    def n_ended(self) -> int:
        """Trials that are done, pruned or failed."""
        return sum(one.state.is_finished() for one in self.study.get_trials(deepcopy=False))

    def to_json(self) -> dict[str, Any]:
        """Return what was found, as JSON values."""
        trials = self.study.get_trials(deepcopy=False)
        states = Counter(one.state.name.lower() for one in trials)
        found: dict[str, Any] = {"n_trials": len(trials), "states": dict(states)}
        if states["complete"]:
            best = self.study.best_trial
            folder = relative(self._folder(best.number), self._out)
            found["best"] = {"trial": best.number, "selection_return": best.value, "settings": best.params}
            found["best"]["folder"] = folder
        return found

    def _folder(self, number: int) -> Path:
        return trial_folder(self._out, self._teacher.place, number)

    def _cell(self, number: int, settings: Mapping[str, Any]) -> SuiteCell:
        own = {name: value for name, value in settings.items() if name != STUDENT}
        words = self._words(str(settings.get(STUDENT, self._grid.students[0])), own)
        words = (*words, UNPROVEN, *self._tracking.words())
        return SuiteCell(f"{self.name} trial {number}", self._folder(number), words, (), self._teacher.inputs)

    def _words(self, student: str, own: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the command line of a student, with settings that a trial has of its own."""
        return distilling(self._teacher, student, {**self._grid.distill, **own, "seed": self._grid.seeds[0]})


class SearchQueue:
    """The trials of several searches, in turns."""

    def __init__(self, searches: Sequence[TaskSearch], n_trials: int, on_take: Callable[[Outcome], None]) -> None:
        """Queue `n_trials` for each; `on_take` hears of each outcome."""
        self._searches, self._n_trials, self._on_take = list(searches), n_trials, on_take
        self._looked = time.monotonic()

    def next(self) -> SuiteCell | None:
        """Return the next trial of the search whose turn it is."""
        for _ in range(len(self._searches)):
            self._searches.append(self._searches.pop(0))
            cell = self._searches[-1].next(self._n_trials)
            if cell is not None:
                return cell
        return None

    def take(self, outcome: Outcome) -> None:
        """Tell the study that a trial is of."""
        any(search.take(outcome) for search in self._searches)
        self._on_take(outcome)

    def unwanted(self, running: list[SuiteCell]) -> list[SuiteCell]:
        """Return the trials that are to be pruned."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return []
        self._looked = time.monotonic()
        return [cell for search in self._searches for cell in search.unwanted(running)]


def selection_return(folder: Path) -> float | None:
    """Return the mean return of a run's student on the episodes that chose it; None where it has not ended."""
    chosen = read_json_object(folder / "evaluation.json").get("selection")
    value = chosen.get("return") if isinstance(chosen, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise RequestError("expected Optuna for a search, found none; pip install 'policy-distill[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
