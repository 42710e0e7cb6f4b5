"""Blames the right code: what fails in somebody's environment, wrapper or tracker is no fault of this package.

In: an exception. Out: one line with its kind, its message and the place in the code that raised it.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policy_distill.errors import RequestError, RunFault, one_line

HOME = str(Path(__file__).parents[1])
OURS = frozenset(
    (
        "torch numpy scipy gymnasium stable_baselines3 sb3_contrib safetensors tyro rich threadpoolctl onnx "
        "onnxruntime wandb trackio huggingface_hub imageio PIL pandas cloudpickle"
    ).split()
)
"""Libraries that this package calls: where they raise what it asked of them, it is to blame."""
VARIABLE = "POLICY_DISTILL_TRACEBACK"
"""Set to 1, it shows where every error comes from."""


@contextmanager
def blamed(what: str, advice: str) -> Iterator[None]:
    """Within, whatever other code raises becomes a request that cannot be met: `what` failed, why and where.

    Raises:
        RequestError: naming the exception and its place; errors of this package's own pass as they are.
    """
    try:
        yield
    except (RequestError, RunFault):
        raise
    except SystemExit as error:
        raise RequestError(f"{what}: it called sys.exit({error.code!r}); {advice}") from error
    except Exception as error:
        raise RequestError(f"{what}: {described(error)}; {advice}") from error


@contextmanager
def others_blamed(what: str, advice: str, fault: type[RequestError | RunFault] = RunFault) -> Iterator[None]:
    """Within, what other people's code raises, called by this package, becomes a `fault` that names whose code it was.

    Raises:
        RequestError, RunFault: with its exception as the cause; errors of this package pass as they are.
    """
    try:
        yield
    except (RequestError, RunFault):
        raise
    except Exception as error:
        if (owner := owner_of(error)) is None:
            raise
        shows = f"{VARIABLE}=1 shows all that led to it"
        raise fault(one_line(f"{what}: code of {owner} raised {described(error)}; {advice}; {shows}")) from error


def owner_of(error: BaseException) -> str | None:
    """Return whose code was at work where an exception was raised: its package or file; None where only ours was.

    Errors of this package count, where somebody's code called it and was called by it.
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    foreign = [frame for frame in frames if _is_foreign(frame.f_code.co_filename)]
    if not foreign:
        return None
    package = str(foreign[-1].f_globals.get("__name__", "__main__")).partition(".")[0]
    return Path(foreign[-1].f_code.co_filename).name if package == "__main__" else package


def described(error: BaseException) -> str:
    """Return an exception's kind, message and place in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    others = [frame for frame in frames if not frame.filename.startswith(HOME)]
    place = next((frame for frame in reversed(others) if _is_foreign(frame.filename)), others[-1] if others else None)
    where = f" ({Path(place.filename).name}:{place.lineno}, in {place.name})" if place else ""
    return one_line(f"{type(error).__name__}: {str(error)[:300]}{where}")


def culprit(error: BaseException) -> str | None:
    """Return, described, an exception that code of somebody else's raised when this package called it; else None."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    last = max((place for place, name in enumerate(frames) if name.startswith(HOME)), default=-1)
    called = frames[last + 1 :]
    return described(error) if any(_is_foreign(name) for name in called) else None


def show_traceback() -> None:
    """Print the exception that is being handled, and all that led to it, where `POLICY_DISTILL_TRACEBACK` is set."""
    if os.environ.get(VARIABLE, "0") not in ("", "0"):
        traceback.print_exc(file=sys.stderr)


def _is_foreign(filename: str) -> bool:
    """Say whether a file is neither this package's, nor Python's, nor of a library that the package rests on."""
    if filename.startswith((HOME, "<frozen")):
        return False
    _, installed, rest = filename.rpartition("site-packages")
    if installed:
        return Path(rest.lstrip("/\\")).parts[0] not in OURS
    return not filename.startswith(sysconfig.get_path("stdlib"))
