"""Questions to objects of other libraries and of the user, which may have no answer.

Never to what this package makes: its contracts say what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def asked(thing: Any, name: str, default: Any = None) -> Any:
    """Return what an object, or whatever answers for it, has under that name; `default` where there is nothing."""
    return getattr(thing, name, default)


def held_by(thing: Any) -> Mapping[str, Any]:
    """Return what an object itself holds: a wrapper also answers for what it wraps, and this looks behind that."""
    held: Mapping[str, Any] = getattr(thing, "__dict__", {})
    return held


def said(thing: Any, *names: str) -> dict[str, Any]:
    """Return those of these attributes that an object has, None not counted."""
    found = {name: asked(thing, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}
