"""LunarLander under a gravity of its own in every episode, which the lander's eight numbers do not tell.

The observation is a Dict: `observation` is LunarLander's, `expert` is the gravity's place among `GRAVITIES`, by which
an expert for each can be dispatched. `policy-distill` names it `envs.gravity_lander:GravityLander-v0`. Needs `box2d`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

ENV_ID = "envs.gravity_lander:GravityLander-v0"
GRAVITIES = (-6.0, -10.0, -11.9)
"""From a light moon to nearly the heaviest that Gymnasium allows; -10 is its default."""


class GravityLander(gymnasium.Wrapper[dict[str, Any], int, np.ndarray, int]):
    """Draws a gravity with every reset, or has one alone."""

    def __init__(self, only: float | None = None, render_mode: str | None = None) -> None:
        """Draw from all of `GRAVITIES`, or have `only` one of them."""
        if only is not None and only not in GRAVITIES:
            raise ValueError(f"expected one of {GRAVITIES}, found {only}")
        super().__init__(gymnasium.make("LunarLander-v3", render_mode=render_mode))
        self._choices: Sequence[float] = GRAVITIES if only is None else (only,)
        inner = self.env.observation_space
        self.observation_space = spaces.Dict({"expert": spaces.Discrete(len(GRAVITIES)), "observation": inner})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
        """Begin an episode under a gravity that its seed decides."""
        lander: Any = self.env.unwrapped
        # The draw comes before the reset, which makes a world of whatever gravity is set; the same seed, the same.
        rng = lander.np_random if seed is None else np.random.default_rng(seed)
        lander.gravity = self._choices[int(rng.integers(len(self._choices)))]
        obs, info = self.env.reset(seed=seed, options=options)
        return self._shown(obs), info

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Step; rewards and ends are LunarLander's."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._shown(obs), float(reward), terminated, truncated, info

    def _shown(self, obs: Any) -> dict[str, Any]:
        lander: Any = self.env.unwrapped
        return {"expert": np.int64(GRAVITIES.index(lander.gravity)), "observation": obs}


gymnasium.register("GravityLander-v0", lambda **kwargs: GravityLander(**kwargs))
