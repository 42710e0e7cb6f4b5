"""One environment that two see differently: a teacher as it is, a student through a wrapper of its own.

In: an environment, and a record of the wrapper. Out: the environment as the student sees it, or as both do at once. It
is stepped once for both; the student's wrapper is around a stand-in, which hands on what the environment gave. Its own
generator keeps the wrapper's noise from what the environment draws: episodes are the same with and without it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from policy_distill.environments.own_wrapper import load_wrapper
from policy_distill.environments.running_statistics import each_wrapper, is_kind
from policy_distill.errors import RequestError
from policy_distill.seeds import purpose_seed
from policy_distill.system.blame import blamed
from policy_distill.system.nested import map_arrays

TEACHER, STUDENT = "teacher/", "student/"
"""What stands before the keys of each side, or for what is no Dict."""
ONLY = "it may only observe"
Env = gymnasium.Env[Any, Any]


class StandIn(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Hands on what an environment gave, once, without stepping it."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._held: Any = None
        self._rng = np.random.default_rng()

    @property
    def np_random(self) -> np.random.Generator:
        """What the wrapper draws from, seeded with each episode."""
        return self._rng

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        self._rng = value

    def hold(self, outcome: Any) -> None:
        """Take what the environment gave."""
        obs, *rest = outcome
        # A copy: a wrapper may change what it is given in place.
        self._held = (map_arrays(np.array, obs), *rest)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Return what the environment's reset gave; a seed is the wrapper's."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        return self._taken()

    def step(self, action: Any) -> Any:
        """Return what the environment's step gave, whatever the action."""
        return self._taken()

    def _taken(self) -> Any:
        if self._held is None:
            raise RuntimeError(f"the student's wrapper stepped or reset its environment twice; {ONLY}")
        held, self._held = self._held, None
        return held


class SeenThrough(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment as a student sees it, all else being as it is."""

    def __init__(self, env: Env, record: Mapping[str, Any]) -> None:
        """Put the wrapper of a record around.

        Raises:
            RequestError: where there is none, or it cannot be around this environment.
        """
        super().__init__(env)
        self._behind, name = StandIn(env), record["entry_point"]
        with blamed(
            f"the student's wrapper {name} cannot be put around {env}", "fix it, or leave --student-wrapper out"
        ):
            self._view: Any = load_wrapper(record)(self._behind)
        if not isinstance(self._view, gymnasium.Env):
            raise RequestError(f"expected {name} to return an environment, it returned {type(self._view).__name__}")
        if self._view.action_space != env.action_space:
            raise RequestError(f"expected {name} to change observations only, it changes the actions too")
        for one in takewhile(lambda one: one is not self._behind, each_wrapper(self._view)):
            if is_kind(one, "NormalizeObservation"):
                raise RequestError(
                    f"expected a wrapper that starts afresh in each episode, found {type(one).__name__}, which keeps "
                    "statistics across episodes; leave it out: the student normalises its observations itself"
                )
        self.observation_space = self._shown_space(self._view.observation_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode, of the wrapper too."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._behind.hold((obs, info))
        # Not the environment's own: what it draws and what the wrapper draws are to be different numbers.
        own_seed = None if seed is None else purpose_seed(seed, "student's wrapper")
        return self._shown(obs, self._view.reset(seed=own_seed, options=options)[0]), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment once; rewards and ends are its own."""
        obs, *rest = self.env.step(action)
        self._behind.hold((obs, *rest))
        seen, *passed = self._view.step(action)
        # By identity first: a reward that is no number equals nothing.
        if not all(one is other or one == other for one, other in zip(passed[:3], rest[:3], strict=True)):
            raise RuntimeError(f"the student's wrapper changes rewards or ends of episodes; {ONLY}")
        return (self._shown(obs, seen), *rest)

    def _shown_space(self, seen: spaces.Space[Any]) -> spaces.Space[Any]:
        return seen

    def _shown(self, obs: Any, seen: Any) -> Any:
        return seen


class SeenByBoth(SeenThrough):
    """An environment whose observations are a Dict of both sides."""

    def _shown_space(self, seen: spaces.Space[Any]) -> spaces.Space[Any]:
        return Sides(self.env.observation_space, seen).space

    def _shown(self, obs: Any, seen: Any) -> Any:
        return {**_with_side(TEACHER, obs), **_with_side(STUDENT, seen)}


@dataclass(frozen=True)
class Sides:
    """What each of them sees of a Dict of both."""

    teacher: Any
    """The space of the teacher's side."""
    student: Any
    """The space of the student's."""

    @property
    def space(self) -> spaces.Dict:
        """The space of both, as `SeenByBoth` shows it."""
        both = {**_with_side(TEACHER, self.teacher), **_with_side(STUDENT, self.student)}
        return spaces.Dict(OrderedDict(both))

    @classmethod
    def of(cls, space: Any) -> Sides:
        """Return the sides of what `SeenByBoth` shows."""
        sides = (side_of(space.spaces, name) for name in (TEACHER, STUDENT))
        return cls(*(spaces.Dict(OrderedDict(one)) if isinstance(one, dict) else one for one in sides))


def side_of(both: Mapping[str, Any], side: str) -> Any:
    """Return one side of observations of both, or of their spaces: a dict where it has keys."""
    own = {key.removeprefix(side): value for key, value in both.items() if key.startswith(side)}
    return own[""] if list(own) == [""] else own


def _with_side(side: str, value: Any) -> dict[str, Any]:
    parts = value.spaces if isinstance(value, spaces.Dict) else value
    return {f"{side}{key}": part for key, part in parts.items()} if isinstance(parts, dict) else {side: value}
