"""PixelCatch-v0: move a paddle under a falling ball; images of 40 x 40 bytes, 3 actions, 9 steps an episode."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.teacher import Recipe

ENV_ID = "PixelCatch-v0"
SOLVED = 0.95
"""Mean return of an agent that nearly always catches: +1 for a catch, -1 for a miss.
Random actions score about -0.5."""

TEACHER = Recipe(
    timesteps=100_000,
    hyperparameters={"n_steps": 64, "batch_size": 256, "n_epochs": 6, "learning_rate": 5e-4, "gamma": 0.95},
)
"""PPO settings that solve the task in about 40,000 steps."""

ZOO, VARIANTS = "", ()
PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"

CELLS, PIXELS = 10, 4


class PixelCatch(gymnasium.Env[np.ndarray, np.int64]):
    """The ball starts in a random column of the top row and falls one row a step."""

    def __init__(self) -> None:
        side = CELLS * PIXELS
        self.observation_space = gymnasium.spaces.Box(0, 255, (side, side, 1), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(3)
        self.ball, self.row, self.paddle = 0, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Drop a new ball; the paddle starts anywhere."""
        super().reset(seed=seed)
        self.ball, self.paddle = (int(n) for n in self.np_random.integers(CELLS, size=2))
        self.row = 0
        return self._image(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the paddle left (0), not (1) or right (2); the ball falls."""
        self.paddle = int(np.clip(self.paddle + int(action) - 1, 0, CELLS - 1))
        self.row += 1
        ended = self.row == CELLS - 1
        reward = (1.0 if abs(self.ball - self.paddle) <= 1 else -1.0) if ended else 0.0
        return self._image(), reward, ended, False, {}

    def _image(self) -> np.ndarray:
        cells = np.zeros((CELLS, CELLS, 1), np.uint8)
        cells[CELLS - 1, max(self.paddle - 1, 0) : self.paddle + 2] = 128
        cells[self.row, self.ball] = 255
        return cells.repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)


gymnasium.register(ENV_ID, lambda **_: PixelCatch())
