"""Environment wrappers that a teacher was trained with, by name: what they change is part of what the policy observes.

In: an environment and the specifications of wrappers. Out: the environment as the teacher knows it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first

from policy_distill.environments.agent_wrappers import FrameSkip, GoalBesideObservation, History, MaskVelocity
from policy_distill.environments.two_sides import SeenByBoth, SeenThrough
from policy_distill.environments.wrapper_arguments import check_argument
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperSpec

LOG = logging.getLogger("policy_distill")


class FrameStack(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The last frames as one observation, laid out as SB3's `VecFrameStack` does: zeros before the first.

    `blank`, the numbers of one frame, stands in place of the zeros: where single frames are normalised, the Zoo's zeros
    are normalised ones, and the mean of the statistics is what becomes zero. Frames are then float64, as the mean is.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], n_stack: int = 4, blank: list[float] | None = None) -> None:
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, spaces.Box) or n_stack < 1:
            raise RequestError(f"expected a Box space to stack {n_stack} frames, found {space}")
        if space.low.size * n_stack > MAX_STACKED:
            raise RequestError(
                f"expected stacked frames of at most {MAX_STACKED:,} numbers, found {n_stack} of {space}"
            )
        self.n_stack, self.blank = n_stack, blank
        # Normalised images are images no more: SB3 stacks them along the last axis.
        first = blank is None and is_image_space(space) and is_image_space_channels_first(space)
        self._axis = 0 if first else -1
        dtype: Any = space.dtype if blank is None else np.float64
        low, high = (np.repeat(bound, n_stack, axis=self._axis) for bound in (space.low, space.high))
        self.observation_space = spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)
        self._frames: deque[np.ndarray] = deque(maxlen=n_stack)
        self._blank = np.zeros(space.shape, dtype)
        if blank is not None:
            if len(blank) != self._blank.size:
                raise RequestError(f"expected a blank frame of {self._blank.size} numbers, found {len(blank)}")
            self._blank = np.asarray(blank, dtype).reshape(space.shape)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode with all frames but the last blank."""
        obs, info = self.env.reset(**kwargs)
        for _ in range(self._frames.maxlen or 1):
            self._frames.append(self._blank)
        self._frames.append(obs)
        return self._stacked(), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Step, and drop the oldest frame."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._frames.append(obs)
        return self._stacked(), reward, terminated, truncated, info

    def _stacked(self) -> np.ndarray:
        return np.concatenate(tuple(self._frames), axis=self._axis)


class PadObservation(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Zeros behind a vector, up to `size` numbers: Ant-v3 ended in 84 contact forces that MuJoCo never filled."""

    def __init__(self, env: gymnasium.Env[Any, Any], size: int) -> None:
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1 or not space.shape[0] <= size <= MAX_STACKED:
            raise RequestError(f"expected a vector of at most {size} numbers to pad, found {space}")
        self._behind = np.zeros(int(size) - space.shape[0], space.dtype)
        low, high = (np.concatenate([bound, self._behind]) for bound in (space.low, space.high))
        low[space.shape[0] :], high[space.shape[0] :] = -np.inf, np.inf
        self.observation_space = spaces.Box(low, high, dtype=space.dtype)

    def observation(self, observation: Any) -> np.ndarray:
        """Return the vector with its zeros."""
        return np.concatenate([observation, self._behind])


def own_frame_skip(spec: Any) -> bool:
    """Say whether an environment's specification makes it skip frames by itself, as `ALE/Pong-v5` does."""
    return spec is not None and "frameskip" in spec.kwargs and spec.kwargs["frameskip"] != 1


def _time_feature(env: gymnasium.Env[Any, Any], **kwargs: Any) -> gymnasium.Env[Any, Any]:
    try:
        from sb3_contrib.common.wrappers import TimeFeatureWrapper
    except ImportError:
        raise RequestError("TimeFeatureWrapper needs sb3-contrib: pip install 'policy-distill[contrib]'") from None
    return TimeFeatureWrapper(env, **kwargs)


def _atari(env: gymnasium.Env[Any, Any], **kwargs: Any) -> gymnasium.Env[Any, Any]:
    from stable_baselines3.common.atari_wrappers import AtariWrapper

    if kwargs.get("frame_skip", 4) != 1 and own_frame_skip(env.unwrapped.spec):
        LOG.warning(
            "%s skips frames itself, so AtariWrapper does not (frame_skip=1): both together would skip 16 frames for "
            "an action; make it with frameskip=1 to use the wrapper's own skip",
            env.unwrapped.spec.id,  # type: ignore[union-attr]
        )
        kwargs["frame_skip"] = 1
    # For playing and judging: whole games with their own rewards. Training alone ends at a life and clips rewards.
    return AtariWrapper(env, **{"terminal_on_life_loss": False, "clip_reward": False, **kwargs})


WRAPPERS: dict[str, Callable[..., gymnasium.Env[Any, Any]]] = {
    "AtariWrapper": _atari,
    "FrameStack": FrameStack,
    "TimeFeatureWrapper": _time_feature,
    "PadObservation": PadObservation,
    "FlattenObservation": gymnasium.wrappers.FlattenObservation,
    "RescaleAction": gymnasium.wrappers.RescaleAction,
    "FrameSkip": FrameSkip,
    "HistoryWrapper": History,
    "MaskVelocityWrapper": MaskVelocity,
    "ObsDictWrapper": GoalBesideObservation,
}
"""Wrappers by the last part of their name, wherever a configuration says they live."""

KIN = {"AtariWrapper": ("AtariPreprocessing",), "FrameStack": ("FrameStackObservation", "VecFrameStack")}
"""Wrappers of other names that do the same."""
MAX_WRAPPERS = 16
"""Wrappers around one environment."""
MAX_STACKED = 2**24
"""Numbers in stacked frames; stacks may be stacked."""


def apply_wrappers(env: gymnasium.Env[Any, Any], specs: list[WrapperSpec]) -> gymnasium.Env[Any, Any]:
    """Return the environment with wrappers around it, the first innermost.

    Raises:
        RequestError: for an unknown name, or arguments that a wrapper does not take.
    """
    if len(specs) > MAX_WRAPPERS:
        raise RequestError(f"expected at most {MAX_WRAPPERS} wrappers, found {len(specs)}; name them with --wrapper")
    for spec in specs:
        if "entry_point" in spec:
            env = (SeenByBoth if spec.get("both") else SeenThrough)(env, spec)
            continue
        if spec["name"] not in WRAPPERS:
            raise RequestError(f"expected a wrapper among {', '.join(WRAPPERS)}, found {spec['name']!r}")
        kwargs = spec.get("kwargs", {})
        for key, value in kwargs.items():
            check_argument(spec["name"], key, value)
        try:
            env = WRAPPERS[spec["name"]](env, **kwargs)
        except (TypeError, ValueError, AssertionError) as error:
            raise RequestError(f"the wrapper {spec['name']} cannot be applied: {error}") from None
    return env


def names_of(specs: Sequence[WrapperSpec]) -> list[str]:
    """Return the names under which wrappers, or others that do the same, stand in an environment's chain."""
    return [name for one in specs for name in (one["name"], *KIN.get(one["name"], ()))]


def missing_in(env: Any, specs: list[WrapperSpec]) -> list[WrapperSpec]:
    """Return those wrappers that are not in an environment's own chain, nor any that does the same."""
    chain = set()
    while env is not None:
        chain.add(type(env).__name__)
        # In its own attributes: SB3's vectors answer for what they wrap. A vector's first environment stands for all.
        members = vars(env)
        env = members.get("env") or members.get("venv") or next(iter(members.get("envs") or ()), None)
    return [one for one in specs if not chain.intersection(names_of([one]))]


def parse_wrapper(text: str) -> WrapperSpec:
    """Parse `TimeFeatureWrapper` or `FrameStack:n_stack=4`.

    Raises:
        RequestError: for an unknown wrapper or arguments that are not `name=number`.
    """
    name, _, rest = text.partition(":")
    kwargs: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        try:
            kwargs[key] = float(value) if "." in value else int(value)
        except ValueError:
            raise RequestError(f"expected arguments such as FrameStack:n_stack=4, found {text!r}") from None
    if name not in WRAPPERS:
        raise RequestError(f"expected a wrapper among {', '.join(WRAPPERS)}, found {name!r}")
    return {"name": name, "kwargs": kwargs}
