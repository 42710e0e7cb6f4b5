"""What installed packages add to the tables of this one: found by their entry points, loaded when asked for by name.

In: a group, such as `policy_distill.losses`, and a name. Out: what a package offers under it. Nothing is looked up
before a name is asked for that no table of our own has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from policy_distill.errors import RequestError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

FAMILIES = "policy_distill.families"
LOSSES = "policy_distill.losses"
NETWORKS = "policy_distill.networks"
OPERATIONS = "policy_distill.operations"
EXPORTERS = "policy_distill.exporters"
LEARNERS = "policy_distill.learners"
TEACHERS = "policy_distill.teachers"
TRACKERS = "policy_distill.trackers"


def names_in(group: str) -> list[str]:
    """Return the names that installed packages offer in a group, sorted."""
    return sorted({point.name for point in _points(group)})


def choices(own: Iterable[str], group: str) -> str:
    """Return the names of a table and those that packages add to it, in words, for an error."""
    return ", ".join([*own, *names_in(group)])


def package_of(group: str, name: str) -> str | None:
    """Return the package that offers a name; None where none does."""
    found = _find(group, name)
    return None if found is None else _package(found)


def load_plugin(group: str, name: str) -> Any | None:
    """Return what a package offers under a name; None where none does.

    Raises:
        RequestError: where it cannot be loaded, or two packages offer it, naming them.
    """
    found = _find(group, name)
    if found is None:
        return None
    try:
        return found.load()
    except Exception as error:
        # A package may fail in any way when it is imported.
        raise RequestError(
            f"the package {_package(found)} offers {name!r} as one of {group}, but it cannot be loaded "
            f"({type(error).__name__}: {str(error)[:200]}); fix the package, or uninstall it"
        ) from error


def _find(group: str, name: str) -> EntryPoint | None:
    found = [point for point in _points(group) if point.name == name]
    packages = sorted({_package(point) for point in found})
    if len(packages) > 1:
        raise RequestError(f"expected one package with {name!r} in {group}, found {', '.join(packages)}; uninstall one")
    return found[0] if found else None


def _points(group: str) -> list[EntryPoint]:
    # Here, since importing it costs more than all of a student's own code.
    from importlib.metadata import entry_points

    return list(entry_points(group=group))


def _package(point: EntryPoint) -> str:
    return "unknown" if point.dist is None else point.dist.name
