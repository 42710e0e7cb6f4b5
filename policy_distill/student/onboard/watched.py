"""What a student says of how novel an observation is, where its file has a monitor. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.interfaces.students import Engine, WatchingEngine
from policy_distill.student.described import Described
from policy_distill.student.onboard.monitor import Monitor
from policy_distill.student.onboard.unwatched import refuse_monitor, without_monitor
from policy_distill.student.onboard.watcher import Watcher


class Watched(Described):
    """Base of the student, with its monitor."""

    @property
    def monitor(self) -> Monitor | None:
        """The numbers of its monitor; None of a student without."""
        return self.description.monitor

    def novelty(self, obs: Any) -> float:
        """Return how unlike all that the student came to one raw observation is: above 1 is novel.

        Only the observation by itself is looked at; `act(obs, monitor=True)` also sees whether it follows from the one
        before and from what was done then.

        Raises:
            RequestError: for a student without a monitor.
            ValueError: for what is not one observation.
        """
        return self._watcher.novelty(self.view.narrow(obs))

    def unusual(self, obs: Any) -> list[str]:
        """Return the names, or numbers, of what was never so small or so large in one raw observation."""
        watcher = self._watcher
        outside = np.flatnonzero(watcher.monitor.outside(watcher.numbers(self.view.narrow(obs))))
        names = self.wiring.observations
        return [names[place] if names else str(place) for place in outside.tolist()]

    def clamped(self, obs: Any) -> np.ndarray:
        """Return one raw observation, float64 `[D]`, within the range of what the student came to; for `act`.

        Raises:
            RequestError: for a student without a monitor.
        """
        watcher = self._watcher
        return watcher.monitor.clamp(watcher.numbers(self.view.narrow(obs)))

    @cached_property
    def _watcher(self) -> Watcher:
        if self.monitor is None:
            refuse_monitor()
        return Watcher(self.plan, self.monitor)

    def _make_act(self, engine: Engine, memory: np.ndarray) -> Callable[..., Any]:
        """Return an engine's `act` on all that may be seen; with a `monitor`, where there is one."""
        narrow = self.view.narrow if self.view.components else None
        if self.monitor is not None:
            watch = self._watcher.watch
            native = engine.make_watched(memory, watch) if isinstance(engine, WatchingEngine) else None
            watched = native or self._in_numpy(engine.make_act(memory))
            return (lambda obs, monitor=False: watched(narrow(obs), monitor)) if narrow else watched
        return without_monitor(engine.make_act(memory), narrow)

    def _in_numpy(self, act: Callable[[Any], Any]) -> Callable[..., Any]:
        """Return `act` with a `monitor` beside it, of what the student sees."""
        watcher = self._watcher

        def watched(obs: Any, monitor: bool = False) -> Any:
            if not monitor:
                # What comes next does not follow from what was seen last.
                watcher.reset()
                return act(obs)
            action = act(obs)
            novelty = watcher.look(obs)
            watcher.did(action)
            return action, novelty

        return watched

    def _forget_step(self) -> None:
        if self.monitor is not None:
            self._watcher.reset()
