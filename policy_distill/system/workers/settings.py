"""How many workers, and where: what a user may ask for.

In: a number, or words. Out: a `WorkerSettings`, and the pool of it. Nothing of this changes what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from policy_distill.errors import RequestError
from policy_distill.system.workers.pool import Backend, Pool

MAX_WORKERS = 65_536


@dataclass(frozen=True)
class WorkerSettings:
    """Who steps environments beside this process."""

    workers: int | Literal["auto"] = "auto"
    """Extra processes that step environments and play episodes; 0 for none. auto uses some in distill, when cores are
    idle and enough work is left. The result is the same, bit for bit."""
    backend: Backend = "local"
    """Where workers run: local for processes of this machine, ray for actors of Ray (extra ray)."""
    address: str | None = None
    """A running Ray cluster, such as auto or ray://host:10001; by default Ray is started on this machine."""

    def __post_init__(self) -> None:
        """Check all of it.

        Raises:
            RequestError: for what is none of it.
        """
        if self.workers != "auto" and not (type(self.workers) is int and 0 <= self.workers <= MAX_WORKERS):
            raise RequestError(f"expected workers from 0 to {MAX_WORKERS}, or auto, found {self.workers!r}")
        if self.backend not in get_args(Backend):
            raise RequestError(f"expected a backend among {', '.join(get_args(Backend))}, found {self.backend!r}")
        if self.backend == "ray" and self.workers == "auto":
            raise RequestError("expected a number of workers for --backend ray, found none; set --workers N")
        if self.address is not None and self.backend != "ray":
            raise RequestError(f"expected --backend ray with --address {self.address}, found {self.backend}")

    @classmethod
    def of(cls, value: Any) -> WorkerSettings:
        """Return the settings that a number of workers stands for, or `auto`; settings as they are.

        Raises:
            RequestError: for anything else.
        """
        if isinstance(value, WorkerSettings):
            return value
        return cls(value)

    def pool(self) -> Pool:
        """Return where the workers run, which is to be closed.

        Raises:
            RequestError: for Ray where it is not installed, or cannot be reached.
        """
        if self.backend == "ray":
            from policy_distill.system.workers.ray_actors import RayPool

            assert self.workers != "auto", "refused above"
            return RayPool(self.address, self.workers)
        # Late, both: torch comes with them.
        from policy_distill.system.workers.local import LocalPool

        return LocalPool()
