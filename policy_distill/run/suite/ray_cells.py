"""Cells as tasks of Ray, on this machine or on a cluster: `--backend ray`.

In: cells. Out: their ends; a worker or a machine that dies is told from a cell that fails. Where the machines share no
folder, run folders come back through Ray's object store, copies of those that run among them.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError, one_line
from policy_distill.run.suite.cells import Ended, SuiteCell, write_log
from policy_distill.run.suite.folders import pack_files, replace_folder
from policy_distill.run.suite.ray_worker import COPY_SECONDS, Errand, HandedBack, run_errand
from policy_distill.system.workers.ray_address import check_address
from policy_distill.teachers.files.agent_file import find_agent
from policy_distill.teachers.files.companions import companions_of

AHEAD = 4
"""Cells that are handed to Ray beyond the cores that there are, so that none idles and a cluster that can grow does."""
WAIT_SECONDS = 0.2
POLL_SECONDS = 0.01
"""Between two looks of a task at whether it was answered."""
LOOPBACK = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Where Ray is started here, out of reach for others; on Linux it puts an outer address in the place of 127.0.0.1."""


class RayBackend:
    """Tasks of one core each."""

    def __init__(
        self,
        address: str | None = None,
        *,
        jobs: int | None = None,
        storage: str = "auto",
        gpus: float = 0.0,
        copy_seconds: float = COPY_SECONDS,
    ) -> None:
        """Join a cluster, or start Ray on this machine alone.

        Args:
            address: of a cluster, `auto` for the one that this machine is part of; None starts one here, unless
                RAY_ADDRESS names another.
            jobs: cells at once, at most; by default as many as there are cores.
            storage: `shared` where every machine sees the suite's folder and the teachers under their paths, `object`
                where folders travel; `auto` finds out whether there is only this machine.
            gpus: of each cell.
            copy_seconds: between copies of a run that travel back, so that a machine that dies takes no more with it.

        Raises:
            RequestError: where Ray is not installed, or nothing answers at the address.
        """
        self._ray = _connected(address, jobs)
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        alone = {node["NodeManagerHostname"] for node in nodes} == {socket.gethostname()}
        self.shared = storage == "shared" or (storage == "auto" and alone)
        self._jobs, self._copy_seconds = jobs, copy_seconds
        self._suite = "" if self.shared else secrets.token_hex(8)
        # Beside this process: a machine that dies must not take it along.
        here = {"ray.io/node-id": self._ray.get_runtime_context().get_node_id()}
        self._unwanted = self._ray.remote(num_cpus=0, label_selector=here)(_Unwanted).remote()
        options = {"num_cpus": 1, "num_gpus": gpus, "num_returns": "streaming", "max_retries": 0}
        self._run = self._ray.remote(**options)(_run)
        self._running: dict[str, tuple[SuiteCell, Any]] = {}
        self._packed: dict[Path, Any] = {}

    def has_room(self) -> bool:
        """Say whether a further cell may be handed to Ray."""
        n_cores = int(self._ray.cluster_resources().get("CPU", 0))
        return len(self._running) < (self._jobs or max(n_cores, 1) + AHEAD)

    def start(self, cell: SuiteCell) -> None:
        """Hand a cell to Ray, with all that a machine of its own lacks."""
        known = replace(cell, cwd=cell.cwd or Path.cwd())
        begun = cell.folder if not self.shared and cell.folder.is_dir() else None
        packed = None if begun is None else pack_files([begun], begun)
        errand = Errand(known, self._suite, {}, packed, self._copy_seconds)
        inputs = {} if self.shared else {path: self._input(path) for path in cell.inputs}
        self._running[cell.name] = cell, self._run.remote(errand, list(inputs), self._unwanted, *inputs.values())

    def ended(self) -> list[Ended]:
        """Return the cells that ended, their folders in place; waits a moment where there are none."""
        tasks = {task: cell for cell, task in self._running.values()}
        ready, _ = self._ray.wait(list(tasks), num_returns=len(tasks), timeout=WAIT_SECONDS, fetch_local=False)
        found = [end for task in ready if (end := self._heard(tasks[task], task)) is not None]
        for end in found:
            del self._running[end.cell.name]
        return found

    def ask_to_stop(self, cells: list[SuiteCell]) -> None:
        """Tell the tasks of cells, which look now and then."""
        if cells:
            self._ray.get(self._unwanted.add.remote([cell.name for cell in cells]))

    def close(self) -> None:
        """Leave Ray; what still runs there ends."""
        self._running.clear()
        self._ray.shutdown()

    def _heard(self, cell: SuiteCell, task: Any) -> Ended | None:
        """Take what a task has to say; None where it goes on."""
        errors = self._ray.exceptions
        try:
            said: HandedBack = self._ray.get(next(task))
        except StopIteration:
            return Ended(cell, -1, "its task ended without a word")
        except errors.RayTaskError as error:
            # Code that failed on the worker, ours as well as what it imports; the last line says which.
            cell.note(one_line(str(error.cause or error)))
            return Ended(cell, 1)
        except errors.RayError as error:
            return Ended(cell, -1, f"{type(error).__name__}, its worker or machine died")
        if said.folder is not None:
            replace_folder(said.folder, cell.folder)
            write_log(cell, said.log)
        return None if said.status is None else Ended(cell, said.status)

    def _input(self, path: Path) -> Any:
        """Return a file or folder in Ray's object store, with what belongs to it."""
        if path not in self._packed:
            belongs: Iterable[Path] = [] if path.is_dir() or path.suffix == ".pkl" else companions_of(find_agent(path))
            below = [one for one in belongs if one.is_relative_to(path.parent)]
            self._packed[path] = self._ray.put(pack_files([path, *below], path.parent))
        return self._packed[path]


class _Unwanted:
    """Names of cells that are to stop."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def add(self, names: list[str]) -> None:
        self._names |= set(names)

    def has(self, name: str) -> bool:
        return name in self._names


def _run(errand: Errand, paths: list[Path], unwanted: Any, *inputs: bytes) -> Any:
    """Run a cell on a worker; its inputs come as arguments, so that each machine is sent them once."""

    def is_unwanted() -> bool:
        # A task that is blocked in `ray.get` lends its core out meanwhile, and a further cell would begin on it.
        answer = unwanted.has.remote(errand.cell.name).future()
        while not answer.done():
            time.sleep(POLL_SECONDS)
        return bool(answer.result())

    yield from run_errand(replace(errand, inputs=dict(zip(paths, inputs, strict=True))), is_unwanted)


def _connected(address: str | None, jobs: int | None) -> Any:
    try:
        import ray
    except ImportError:
        raise RequestError("expected Ray for --backend ray, found none; pip install 'policy-distill[ray]'") from None
    check_address(address or os.environ.get("RAY_ADDRESS"))
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    if address is None and "RAY_ADDRESS" not in os.environ:
        settings |= {"num_cpus": jobs, "_node_ip_address": LOOPBACK}
    else:
        del settings["include_dashboard"]
        settings["address"] = address
    try:
        ray.init(**settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise RequestError(
            f"expected a cluster of Ray at --address {address}, found none ({one_line(str(error))[:200]}); start one "
            "with ray start --head, or leave --address out"
        ) from None
    return ray
