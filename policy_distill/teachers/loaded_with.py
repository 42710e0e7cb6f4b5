"""How a teacher was asked for, as options of the command line, for the report's command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def options_of(source: Any, vecnormalize: Any, wrappers: Sequence[str] | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the command line that load the same teacher; `missing` where there are none."""
    if not (vecnormalize is None or isinstance(vecnormalize, str | Path)):
        return {"missing": "its teacher's statistics are no file"}
    return {
        "teacher": str(source),
        "vecnormalize": None if vecnormalize is None else str(vecnormalize),
        "wrapper": list(wrappers or ()),
        **given,
    }
