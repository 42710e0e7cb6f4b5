"""Where a run's time goes, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("collect", "label", "train", "evaluate")


class Stopwatch:
    """Seconds spent in each stage, over all processes that a run took."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        """When the run began, on the clock of this process; earlier by what a resumed run had taken before."""
        self.seconds = dict.fromkeys((*STAGES, "environment"), 0.0)
        """Time spent in each stage; `environment` is a part of `collect`."""

    @property
    def spent(self) -> float:
        """Seconds in all stages together."""
        return sum(self.seconds[stage] for stage in STAGES)

    def to_collect(self, progress: float) -> float:
        """Return the seconds that collecting what is left will take as it is, `progress` in (0, 1] being done."""
        return self.seconds["collect"] * (1.0 / progress - 1.0)

    @property
    def relief(self) -> float:
        """How many times as long collecting took as what may be done meanwhile."""
        return self.seconds["collect"] / max(self.seconds["label"] + self.seconds["train"], 1e-6)

    @property
    def wall_seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.began

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent within to one of `STAGES`."""
        began = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - began

    def metrics(self, env_steps: int) -> dict[str, float]:
        """Return the times of the first stages, and of all, by the names of their metrics."""
        found = {f"time/{stage}_seconds": self.seconds[stage] for stage in ("collect", "label", "train")}
        return {**found, "time/fps": env_steps / self.spent, "time/wall_seconds": self.spent}
