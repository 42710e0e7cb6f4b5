"""What a student sees, and what it cannot see, in words: for records, tables and the report.

In: a student's view. Out: a `ViewRecord`, None for one that sees what its teacher does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_distill.student.onboard.names import n_components
from policy_distill.student.view import View
from policy_distill.system.records import TEXT, part

MOST = 12
"""Names in a sentence."""


@dataclass(frozen=True)
class ViewRecord:
    """What a student sees of what its environment shows."""

    seen: str | None = part(TEXT, left_out=True)
    """By name; None where that is all."""
    unseen: str | None = part(TEXT, left_out=True)
    """What its environment shows, and it cannot see."""
    through: str | None = part(TEXT, left_out=True)
    """The wrapper through which it alone sees; None where it has none."""

    @property
    def rows(self) -> list[tuple[str, str]]:
        """A row each, as tables show it."""
        named = {"sees": self.seen, "does not see": self.unseen, "sees through": self.through}
        return [(name, value) for name, value in named.items() if value]

    @property
    def text(self) -> str:
        """All of it in a sentence without its end."""
        parts = [f"sees {self.seen}"] if self.seen else []
        parts += [f"cannot see {self.unseen}"] if self.unseen else []
        parts += [f"sees through {self.through}, which its teacher does not"] if self.through else []
        return f"the student {', '.join(parts)}"


def view_record(view: View) -> ViewRecord | None:
    """Return the record of a view; None for one of everything."""
    if view.whole is None and view.wrapper is None:
        return None
    seen, unseen = (_listed(names) for names in both_parts(view))
    through = None
    if view.wrapper is not None:
        arguments = ", ".join(f"{key}={value!r}" for key, value in view.wrapper["kwargs"].items())
        through = f"{view.wrapper['entry_point']}({arguments})"
    return ViewRecord(seen, unseen, through)


def both_parts(view: View) -> tuple[list[str], list[str]]:
    """Return what is seen of the whole and what is not, by its names; nothing where all of it is seen."""
    if view.whole is None:
        return [], []
    subs = view.whole["spaces"] if view.whole["type"] == "Dict" else {"": view.whole}
    seen: list[str] = []
    unseen: list[str] = []
    for key, sub in subs.items():
        if key in view.components:
            there = view.labels or [f"{key}:{n}" if key else str(n) for n in range(n_components(sub) or 0)]
            for number, name in enumerate(there):
                (seen if number in view.components[key] else unseen).append(name)
        else:
            (seen if key in view.keys else unseen).append(key)
    return seen, unseen


def _listed(names: Sequence[str]) -> str | None:
    if not names:
        return None
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
