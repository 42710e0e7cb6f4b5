"""Conditions under which a policy is tried: worse sensors, worse motors, late news, another gravity.

In: text such as `obs-noise:0.1,sticky:0.25,delay:1,action-noise:0.1,env:gravity=-12`. Out: for each condition a
function that makes the environment so changed. A condition of several parts joins them by `+`: `delay:1+sticky:0.25`.
What changes is the environment, so that teacher, student and random policy meet the same; an episode's noise follows
from its seed, the condition and the place in it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from policy_distill.environments.identity import named_spec
from policy_distill.environments.make import make_env, spec_of
from policy_distill.environments.names import RESERVED, parse_value
from policy_distill.environments.perturbations.wrappers import PERTURBATIONS
from policy_distill.environments.wrappers import apply_wrappers, missing_in
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperSpec

EXAMPLE = "obs-noise:0.1,sticky:0.25,delay:1,action-noise:0.1,env:gravity=-12"


@dataclass(frozen=True)
class Condition:
    """One row of a table of perturbations."""

    name: str
    """As it was written."""
    wrappers: tuple[tuple[str, float], ...]
    """Names of `PERTURBATIONS` with their sizes, innermost first."""
    env_kwargs: tuple[tuple[str, Any], ...]
    """Keyword arguments for the environment's constructor."""

    @property
    def key(self) -> int:
        """A number that tells this condition's noise from any other's; the same however it is written."""
        return zlib.crc32(repr((self.wrappers, self.env_kwargs)).encode())

    def maker(
        self, env: Any, wrappers: Sequence[WrapperSpec] = (), scale: np.ndarray | dict[str, np.ndarray] | None = None
    ) -> Callable[[], gymnasium.Env[Any, Any]]:
        """Return a function that makes the environment under this condition.

        Args:
            env: a Gymnasium id, an EnvSpec, or a callable that makes one.
            wrappers: what the policies need around it; they see what the condition does.
            scale: spread of the observations' components, the unit of `obs-noise`; of 1 where None.

        Raises:
            RequestError: for an environment that cannot be made anew.
        """
        if not isinstance(env, str | EnvSpec) and not (callable(env) and not isinstance(env, gymnasium.Env)):
            raise RequestError(
                "expected a Gymnasium id, an EnvSpec or a callable to perturb, since the environment is made again; "
                f"found {type(env).__name__}"
            )

        def make() -> gymnasium.Env[Any, Any]:
            made = self._make(env)
            for place, (name, size) in enumerate(self.wrappers):
                made = PERTURBATIONS[name](made, size, scale, (self.key, place))
            # A callable's may have them already.
            return apply_wrappers(made, missing_in(made, list(wrappers)))

        return make

    def check_arguments(self, env: Any) -> None:
        """Check that the condition changes the environment, and not how `gymnasium.make` makes it.

        Raises:
            RequestError: for an argument that `gymnasium.make` takes for itself.
        """
        own = RESERVED.intersection(key for key, _ in self.env_kwargs)
        if own and not callable(env):
            raise RequestError(
                f"expected an argument of the environment's constructor, found {min(own)}, which gymnasium.make uses "
                "itself; choose one that changes the environment, such as env:gravity=-12"
            )

    def _make(self, env: Any) -> gymnasium.Env[Any, Any]:
        kwargs = dict(self.env_kwargs)
        if isinstance(env, str) and not kwargs:
            return make_env(env)
        try:
            if callable(env):
                return env(**kwargs)
            return make_env(named_spec(spec_of(env) if isinstance(env, str) else env, kwargs))
        except RequestError:
            raise
        except (TypeError, ValueError, AssertionError) as error:
            given = ", ".join(f"{key}={value}" for key, value in kwargs.items())
            raise RequestError(f"the environment refuses {given}: {' '.join(str(error).split())[:200]}") from None


UNPERTURBED = Condition("none", (), ())
"""The environment as it is."""


def parse_conditions(text: str) -> list[Condition]:
    """Parse conditions divided by commas; of those that say the same the first is kept.

    Raises:
        RequestError: for an unknown perturbation or a size that it does not take.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise RequestError(f"expected perturbations such as {EXAMPLE}, found {text!r}")
    found: dict[str, Condition] = {}
    for one in map(_condition, names):
        # As text: lists cannot be keys, and 1 is not True.
        found.setdefault(repr((one.wrappers, one.env_kwargs)), one)
    return list(found.values())


def _condition(text: str) -> Condition:
    wrappers: list[tuple[str, float]] = []
    kwargs: list[tuple[str, Any]] = []
    for part in text.split("+"):
        name, _, rest = part.strip().partition(":")
        if name == "env":
            kwargs.append(_keyword(rest, text))
            continue
        if name not in PERTURBATIONS:
            known = ", ".join([*PERTURBATIONS, "env"])
            raise RequestError(f"expected perturbations among {known}, such as {EXAMPLE}; found {part!r}")
        try:
            size = float(rest)
        except ValueError:
            raise RequestError(f"expected a number such as {name}:{_EXAMPLES[name]}, found {part!r}") from None
        low, high, whole = _RANGES[name]
        if not low <= size <= high or (whole and size != int(size)):
            kind = "a whole number" if whole else "a number"
            raise RequestError(f"expected {kind} from {low} to {high} for {name}, found {rest}")
        wrappers.append((name, size))
    return Condition(text, tuple(wrappers), tuple(kwargs))


_RANGES = {
    "obs-noise": (0, 1e6, False),
    "action-noise": (0, 1e6, False),
    "sticky": (0, 1, False),
    "delay": (0, 1000, True),
}
_EXAMPLES = {"obs-noise": 0.1, "action-noise": 0.1, "sticky": 0.25, "delay": 1}


def _keyword(rest: str, text: str) -> tuple[str, Any]:
    key, equals, value = rest.partition("=")
    if not equals or not key.isidentifier():
        raise RequestError(f"expected a constructor's argument such as env:gravity=-12, found {text!r}")
    try:
        # A bare word is a string: env:continuous=true is a boolean, env:xml_file=ant.xml a name.
        return key, parse_value(value)
    except ValueError:
        raise RequestError(f"expected a constructor's argument such as env:gravity=-12, found {text!r}") from None
