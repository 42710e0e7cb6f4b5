"""What is kept of where an agent of the hub comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_distill.system.hub.address import is_address
from policy_distill.system.hub.pull import pull
from policy_distill.teachers.files.claims import claims_of


def origin_on_hub(source: str | Path) -> dict[str, Any]:
    """Return `hub` (repository, commit, file) and what is `claimed` there, for provenance; nothing of a local file."""
    if not is_address(source):
        return {}
    pulled = pull(source)
    claims = claims_of(pulled.path)
    return {"hub": pulled.to_json(), **({"claimed": claims.to_json()} if claims else {})}


def pinned(source: str | Path) -> str | Path:
    """Return the address of what was fetched, to the commit, so that it means the same later; a local path as it is."""
    return str(pull(source).address) if is_address(source) else source
