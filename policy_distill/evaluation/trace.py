"""What each part of an episode gave, without keeping every reward of an episode that goes on and on.

In: rewards, step by step, of environments side by side. Out: the return gained in each tenth of an episode.
"""

from __future__ import annotations

import numpy as np

N_PHASES = 10
"""Parts of equal length that an episode is divided into."""

MAX_CELLS = 2**16
"""Sums kept of one episode. A longer one is kept in coarser cells, so that a part of it begins late by at most 1/6,000
of its length."""


class Trace:
    """The rewards of each environment's running episode, to be divided once its length is known."""

    def __init__(self, n_envs: int) -> None:
        self._cells = np.zeros((1024, n_envs))
        self._length = np.zeros(n_envs, dtype=np.int64)
        """Steps of each running episode."""
        self._width = np.ones(n_envs, dtype=np.int64)
        """Steps whose rewards one cell sums."""

    def begin(self, index: int) -> None:
        """Forget the episode of one environment: another begins."""
        self._cells[:, index], self._length[index], self._width[index] = 0.0, 0, 1

    def add(self, rewards: np.ndarray, counted: np.ndarray) -> None:
        """Add the rewards `[n_envs]` of one step, of the environments where `counted` `[n_envs]` is True."""
        index = np.flatnonzero(counted)
        cell = self._length[index] // self._width[index]
        for full in index[cell >= len(self._cells)].tolist():
            self._make_room(full)
            cell = self._length[index] // self._width[index]
        self._cells[cell, index] += rewards[index]
        self._length[index] += 1

    def phases(self, index: int) -> np.ndarray:
        """Return `[N_PHASES]`, what the running episode of an environment gave in each part of it."""
        length, width = int(self._length[index]), int(self._width[index])
        n_cells = -(-length // width)
        parts = np.arange(n_cells) * width * N_PHASES // max(length, 1)
        return np.bincount(parts, self._cells[:n_cells, index], N_PHASES)

    def _make_room(self, index: int) -> None:
        if self._length[index] // self._width[index] < len(self._cells):
            # Room was made for another environment, and so for all.
            return
        if len(self._cells) < MAX_CELLS:
            self._cells = np.concatenate([self._cells, np.zeros_like(self._cells)])
            return
        pairs = self._cells[:, index].reshape(-1, 2).sum(axis=1)
        self._cells[:, index] = 0.0
        self._cells[: len(pairs), index] = pairs
        self._width[index] *= 2
