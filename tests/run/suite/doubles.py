"""Stand-ins for what runs cells."""

import sys

from policy_distill.run.suite.cells import Ended, SuiteCell


class Told:
    """A backend whose cells end as `outcome(cell)` says: an exit status, or why the worker was lost."""

    def __init__(self, outcome, jobs=1):
        self.outcome, self.jobs = outcome, jobs
        self.running, self.started, self.most = [], [], 0

    def has_room(self):
        return len(self.running) < self.jobs

    def start(self, cell):
        self.started.append(cell)
        self.running.append(cell)
        self.most = max(self.most, len(self.running))

    def ended(self):
        cell = self.running.pop(0)
        found = self.outcome(cell)
        return [Ended(cell, -1, found) if isinstance(found, str) else Ended(cell, found)]

    def ask_to_stop(self, cells):
        pass

    def close(self):
        pass


def write_product(cell):
    cell.folder.mkdir(parents=True, exist_ok=True)
    (cell.folder / cell.product).write_text("{}")
    return 0


def script_cell(folder, code, name="one", **others):
    """Return a cell that runs Python code, in which `folder` is the run folder."""
    begin = f"import os, pathlib, signal, sys, time; folder = pathlib.Path({str(folder)!r})\n"
    return SuiteCell(name, folder, (sys.executable, "-c", begin + code), own_folder=False, **others)


DONE = "folder.mkdir(parents=True, exist_ok=True); (folder / 'evaluation.json').write_text('{}')\n"
