"""`act` of a student without a monitor: a call that asks for one is refused, with the way to get it. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinMethodType
from typing import Any, NoReturn

from policy_distill.errors import RequestError


def refuse_monitor() -> NoReturn:
    """Refuse a call that needs a monitor; the compiled engine comes here too.

    Raises:
        RequestError: always.
    """
    raise RequestError(
        "expected a student with a monitor, found one without; add one with policy-distill equip --monitor, or distil "
        "with --monitor"
    )


def without_monitor(act: Callable[[Any], Any], narrow: Callable[[Any], Any] | None) -> Callable[..., Any]:
    """Return an engine's `act`, of what `narrow` leaves of an observation, that refuses `monitor=True`."""
    if narrow is None and isinstance(act, BuiltinMethodType):
        # The compiled engine refuses by itself: a call of Python's would take as long as the whole of its own.
        return act

    def unwatched(obs: Any, monitor: bool = False) -> Any:
        if monitor:
            refuse_monitor()
        return act(obs if narrow is None else narrow(obs))

    return unwatched
