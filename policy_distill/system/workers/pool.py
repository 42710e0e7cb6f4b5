"""Contracts of processes that work for this one, wherever they run.

In: what a worker is to be, and requests. Out: answers, in the order in which they come. A worker may be lost at any
moment; whoever asked starts another, and asks again.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import cloudpickle

from policy_distill.errors import RequestError, RunFault, one_line

Service = Callable[[Any], Any]
"""What a worker does with a request; what it raises reaches whoever asked."""
MakeService = Callable[[], Service]
"""Called once, in the worker."""

Backend = Literal["local", "ray"]
"""Where workers run: processes of this machine, or actors of Ray."""

LOOK_EVERY = 0.2
"""Seconds between two looks at whether a run was asked to stop, by whoever waits for a worker."""


class WorkerLost(Exception):
    """A worker ended before it answered."""


class PoolWorker(Protocol):
    """A process that answers requests one after the other."""

    def ask(self, request: Any) -> None:
        """Send a request.

        Raises:
            WorkerLost: where nobody is there to take it.
        """

    def answer(self) -> Any:
        """Return the next answer, once the pool says that it is ready.

        Raises:
            WorkerLost: where there will be none.
            RequestError, RunFault: which the worker raised, in the same words.
            RuntimeError: for whatever else it raised, with its traceback.
        """

    def close(self) -> None:
        """End it, whatever it is doing."""


class Pool(Protocol):
    """Where workers run."""

    def start(self, make: MakeService) -> PoolWorker:
        """Start a worker."""

    def share(self, value: bytes) -> Any:
        """Return what stands for bytes that many workers are sent; `taken` gives them back there."""

    def ready(self, workers: Sequence[PoolWorker], seconds: float) -> list[PoolWorker]:
        """Return those of which an answer, or the loss, is known; wait so many seconds for one."""

    def close(self) -> None:
        """End everything that was started here."""


def to_send(value: Any) -> bytes:
    """Return what another process is given, as bytes.

    Raises:
        RequestError: for what cannot be taken apart, such as an open file within a teacher of one's own.
    """
    try:
        found: bytes = cloudpickle.dumps(value)
        return found
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}"[:200])
        raise RequestError(
            f"expected a teacher and an environment that can be sent to a worker, found {reason}; set --workers 0"
        ) from error


def taken(value: Any) -> bytes:
    """Return the bytes that `Pool.share` was given."""
    found: bytes = value if isinstance(value, bytes) else value.take()
    return found


class Raised:
    """What a worker raised, on its way to whoever asked."""

    def __init__(self, error: Exception) -> None:
        # Not every exception can be sent: ours, by their words.
        self.kind = next((kind for kind in (RequestError, RunFault) if isinstance(error, kind)), RuntimeError)
        self.text = str(error) if self.kind is not RuntimeError else f"a worker failed\n{traceback.format_exc()}"

    @property
    def error(self) -> Exception:
        """The same, to be raised again."""
        return self.kind(self.text)


def served(service: Service, request: Any) -> Any:
    """Return what a service says, or what it raised."""
    try:
        return service(request)
    except Exception as error:
        return Raised(error)
