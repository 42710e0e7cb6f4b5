"""The plotting library that a page carries: Vega, Vega-Lite and Vega-Embed as one script, from vl-convert.

Putting the script together takes seconds, so it is kept in the user's cache, under its version and with its checksum.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

from policy_distill.student.file import write_atomically

SNIPPET = "window.vegaEmbed = vegaEmbed;"


@cache
def plotting_script() -> str:
    """Return the script; it defines `vegaEmbed` and touches no network."""
    path = _cache_folder() / f"vega-{version('vl-convert-python')}.js"
    script = _read(path)
    if script is None:
        import vl_convert

        script = vl_convert.javascript_bundle(SNIPPET)
        _write(path, script)
    return script


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "policy-distill"


def _read(path: Path) -> str | None:
    """Return a cached script whose checksum, its first line, is right."""
    try:
        digest, _, script = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return None
    return script if digest == f"// {_digest(script)}" else None


def _write(path: Path, script: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"// {_digest(script)}\n{script}".encode())
    except OSError:
        # A home that cannot be written costs the seconds each time, no more.
        return


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()
