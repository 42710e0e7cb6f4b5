"""Workers on a Ray cluster: actors, on whichever of its machines there is room.

In: what a worker is to be. Out: a `Pool`. Ray is asked for nothing but processes and objects: an actor that is lost is
not restarted by it, since whoever asked knows where its environments stood.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import cloudpickle

from policy_distill.errors import RequestError, one_line
from policy_distill.system.workers.pool import MakeService, PoolWorker, Raised, Service, WorkerLost, served, to_send
from policy_distill.system.workers.ray_address import check_address

LOG = logging.getLogger("policy_distill")

HERE = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""The address of a cluster that is started here; on Linux, Ray takes 127.0.0.1 for the one that others see."""


class RayWorker:
    """An actor of Ray."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self.pending: list[Any] = []
        """What it was asked and has not answered, the oldest first."""

    def ask(self, request: Any) -> None:
        """Send a request; see `PoolWorker.ask`."""
        self.pending.append(self._actor.answer.remote(request))

    def answer(self) -> Any:
        """Return the next answer; see `PoolWorker.answer`."""
        try:
            found = self._ray.get(self.pending.pop(0))
        except self._ray.exceptions.RayError as error:
            # What the service itself raises comes as an answer, so that this is of the cluster.
            raise WorkerLost(one_line(str(error).partition("\n")[0])) from error
        if isinstance(found, Raised):
            raise found.error
        return found

    def close(self) -> None:
        """End the actor."""
        self._ray.kill(self._actor)
        self.pending = []


class RayPool:
    """Actors of a cluster that is there, or of one that is started here and ends with this process."""

    def __init__(self, address: str | None = None, n_workers: int = 1) -> None:
        """Reach the cluster at `address`; None starts one on this machine, with room for so many workers.

        Raises:
            RequestError: where Ray is not installed, or there is no such cluster.
        """
        try:
            import ray
        except ImportError:
            raise RequestError(
                "expected Ray for --backend ray, found none; pip install 'policy-distill[ray]'"
            ) from None
        self._ray, self._workers = ray, list[RayWorker]()
        self._started = not ray.is_initialized()
        if self._started:
            _reach(ray, address, n_workers)
        _say_where_full(ray, n_workers)

        class Actor:
            """What runs a service on the cluster."""

            def __init__(self, made: bytes) -> None:
                path, self._make = cloudpickle.loads(made)
                # Modules of the user's own lie where this process found them, on a machine that shares its folders.
                sys.path += [place for place in path if place not in sys.path]
                self._service: Service | None = None

            def answer(self, request: Any) -> Any:
                """Answer a request, or say what was raised."""

                def serve(request: Any) -> Any:
                    self._service = self._service or self._make()
                    return self._service(request)

                return served(serve, request)

        # Half a core: whoever steps environments waits while others play the proof.
        self._kind = ray.remote(num_cpus=0.5, max_restarts=0, max_task_retries=0)(Actor)

    def start(self, make: MakeService) -> RayWorker:
        """Start an actor."""
        worker = RayWorker(self._ray, self._kind.remote(to_send((sys.path, make))))
        self._workers.append(worker)
        return worker

    def share(self, value: bytes) -> Any:
        """Return a reference to bytes in the object store, from where each machine takes them once."""
        return SharedBytes(self._ray.put(value))

    def ready(self, workers: Sequence[PoolWorker], seconds: float) -> list[PoolWorker]:
        """Return those that answered or were lost."""
        waited = {one.pending[0]: one for one in workers if isinstance(one, RayWorker)}
        done, _ = self._ray.wait(list(waited), num_returns=len(waited), timeout=0)
        if not done:
            done, _ = self._ray.wait(list(waited), timeout=seconds)
        return [waited[one] for one in done]

    def close(self) -> None:
        """End all actors, and the cluster where it was started here."""
        for worker in self._workers:
            worker.close()
        self._workers = []
        if self._started and self._ray.is_initialized():
            self._ray.shutdown()
        self._started = False


class SharedBytes:
    """Bytes in Ray's object store; inside of a request, which Ray does not look into."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def take(self) -> bytes:
        """Return them."""
        import ray

        found: bytes = ray.get(self._reference)
        return found


def _say_where_full(ray: Any, n_workers: int) -> None:
    n_cores = int(ray.cluster_resources().get("CPU", 0))
    if 2 * n_cores < n_workers:
        LOG.warning("%d workers are asked for in a cluster of %d cores: some wait for more", n_workers, n_cores)


def _reach(ray: Any, address: str | None, n_workers: int) -> None:
    check_address(address)
    # Asked for as little as there can be: neither a page nor a report of what is done here.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    if address is None:
        # Of its own, whatever others have started on this machine.
        options |= {"address": "local", "include_dashboard": False, "_node_ip_address": HERE}
        options["num_cpus"] = max(n_workers, os.cpu_count() or 1)
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = address or "this machine"
        raise RequestError(
            f"expected a Ray cluster at {where}, found none ({one_line(str(error))[:200]}); ray start --head starts one"
        ) from None
