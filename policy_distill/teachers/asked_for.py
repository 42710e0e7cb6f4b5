"""How a teacher was asked for, as options of the command line, for the report's command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_distill.teachers.request import NONE, Request


def options_of(source: str | Path, request: Request, temperature: float | None) -> dict[str, Any]:
    """Return the options of `distill` that load the same teacher; `missing` says why there are none.

    The environment's arguments are not among them: they are part of its own record.
    """
    if hasattr(request.vecnormalize, "obs_rms"):
        return {"missing": "its teacher's statistics are no file"}
    asked = request.to_json()
    wrappers = asked.get("wrappers")
    return {
        "teacher": str(source),
        "vecnormalize": asked.get("vecnormalize"),
        "wrapper": [NONE] if wrappers == [] else wrappers,
        "algo": asked.get("algo"),
        "temperature": temperature,
        "trust": request.trust,
    }
