"""A live progress bar on stderr: steps, return, KL and steps per second; silent where stderr is not a terminal.

What is drawn above the bars is made by the caller, in the caller's thread: the bars are drawn by one of their own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from policy_distill.system.wording import digits

SHOWN: dict[str, Callable[[float], str]] = {
    "rollout/student_return": lambda value: f"return {digits(value)}",
    "train/kl": "KL {:.4f}".format,
}
REFRESH_SECONDS = 0.1


class Progress:
    """A context that says `opening`, in which `update` moves the bar, and `phase` adds another one."""

    def __init__(self, total: int, *, description: str = "distilling", enabled: bool = True, opening: str = "") -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._opening = opening if enabled else ""
        self._total, self._description = total, description
        self._bars: Any = None
        self._shown = 0.0
        self._drawn = 0.0

    def __enter__(self) -> Progress:
        if self._opening:
            print(self._opening, file=sys.stderr)
        if self._enabled:
            self._bars = _make_bars()
            self._bars.start()
            self._task = self._bars.add_task(self._description, total=self._total, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Move the main bar to `step` and show the metrics that people watch."""
        if self._bars is None or (time.monotonic() - self._shown < REFRESH_SECONDS and step < self._total):
            return
        self._shown = time.monotonic()
        note = "  ".join(form(metrics[name]) for name, form in SHOWN.items() if name in metrics)
        self._bars.update(self._task, completed=step, **({"note": note} if note else {}))

    def draw(self, make: Callable[[], Any]) -> None:
        """Draw above the bars what `make` returns, something that rich can draw; not too often, and only if seen."""
        if self._bars is not None and time.monotonic() - self._drawn >= REFRESH_SECONDS:
            self._drawn = time.monotonic()
            self._bars.above = make()

    @contextmanager
    def phase(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
        """Draw a further bar, moved by calling what this yields with the count so far."""
        if self._bars is None:
            yield lambda done: None
            return
        task = self._bars.add_task(description, total=total, note="")
        yield lambda done: self._bars.update(task, completed=done)


def _make_bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f}/s" if speed else "")

    class Stack(Bars):
        above: Any = None

        def get_renderables(self) -> Iterator[Any]:
            yield from () if self.above is None else (self.above,)
            yield self.make_tasks_table(self.tasks)

    return Stack(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        refresh_per_second=5,
    )
