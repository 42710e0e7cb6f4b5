"""Names as a program in C has them.

In: names of components or actions. Out: as many identifiers, all different.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from policy_distill.errors import RequestError

_MINUS = re.compile(r"(?<!\w)-(?=\d)")
"""The sign of a number, as in `torque -1`, and not what joins words."""


def identifiers(names: Sequence[str], words: str) -> list[str]:
    """Return what follows a prefix such as `POLICY_OBS_`: in capitals, unless these would make two names one.

    A sign before a number becomes a word, all else that is no letter `_`, letters beyond ASCII their number, such as
    `U03B8` for a theta. `words` are what is named, for errors.

    Raises:
        RequestError: where two names come to the same, or nothing of one is left.
    """
    plain = ["".join(map(_letter, _MINUS.sub("minus_", name.replace("+", "plus_")))) for name in names]
    upper = [name.upper() for name in plain]
    found = upper if len(set(upper)) == len(upper) else plain
    for name, one in zip(names, found, strict=True):
        if not one.strip("_"):
            raise RequestError(f"expected {words} with a letter or a digit, which C needs, found {name!r}; rename it")
        if found.count(one) > 1:
            twins = " and ".join(repr(other) for other, its in zip(names, found, strict=True) if its == one)
            raise RequestError(f"expected {words} that differ in C too, found {twins}, both {one}; rename one")
    return found


def _letter(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isalnum() else "_"
    return f"U{ord(letter):04X}" if letter.isalnum() else "_"
