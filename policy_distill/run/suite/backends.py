"""Where a suite's cells run, as a caller asks for it.

In: a name and what goes with it. Out: an open backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from policy_distill.errors import RequestError
from policy_distill.run.suite.cells import Backend
from policy_distill.run.suite.local import LocalBackend
from policy_distill.system.workers.cores import n_cores

BackendName = Literal["local", "ray"]
Storage = Literal["auto", "shared", "object"]


@dataclass(frozen=True)
class Workplace:
    """Where cells run."""

    backend: BackendName = "local"
    """Processes on this machine, or tasks of Ray."""
    jobs: int | None = None
    """Cells at once, at most; None for one a core."""
    address: str | None = None
    """Of a cluster of Ray; None starts one on this machine."""
    storage: Storage = "auto"
    """How run folders come back from a cluster: `shared` or `object`."""
    gpus: float = 0.0
    """Of each cell, on a cluster."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            RequestError: naming what is not as expected.
        """
        if self.jobs is not None and self.jobs < 1:
            raise RequestError(f"expected --jobs of at least 1, found {self.jobs}")
        if not 0 <= self.gpus < float("inf"):
            raise RequestError(f"expected --gpus of at least 0, found {self.gpus:g}")
        given = {"--address": self.address is not None, "--storage": self.storage != "auto", "--gpus": self.gpus > 0}
        if self.backend == "local" and any(given.values()):
            named = ", ".join(name for name, is_given in given.items() if is_given)
            raise RequestError(f"expected {named} with --backend ray, found --backend local; add --backend ray")

    def open(self) -> Backend:
        """Return the backend, whose `close` ends it.

        Raises:
            RequestError: where Ray is not installed, or no cluster answers.
        """
        if self.backend == "local":
            return LocalBackend(self.jobs or n_cores())
        from policy_distill.run.suite.ray_cells import RayBackend

        return RayBackend(self.address, jobs=self.jobs, storage=self.storage, gpus=self.gpus)
