"""Images that hold the last frames, kept so that states in a row share the frames that they have in common.

In: states as they are collected, each with its frames, the newest last. Out: the same images, bit for bit. Frames are
shared where their bytes are equal and not because they should be: nothing is lost where a wrapper changes them.

    frames  [F, C / n, H, W]  uint8
    slots   [capacity, n]     int32: where a state's frames lie
    counts  [F]               int32: how many times each is referred to
"""

from __future__ import annotations

import logging

import numpy as np
import torch

from policy_distill.errors import RunFault
from policy_distill.training.feature_layout import SLOT_BYTES, FeatureLayout
from policy_distill.training.memory import SHARE, free_memory, size_text

LOG = logging.getLogger("policy_distill")
NONE = -1
"""The slot of a frame that has none."""


class SharedFrames:
    """A pool of frames, and each state's places in it."""

    def __init__(self, capacity: int, layout: FeatureLayout, stride: int, device: str = "cpu") -> None:
        """Make room; consecutive states of one environment are put `stride` rows apart."""
        self.capacity, self.layout, self.stride, self.device = capacity, layout, stride, device
        self.row_bytes = layout.feature_bytes
        self.frames = torch.empty((layout.n_frames(capacity), *layout.frame_shape), dtype=torch.uint8, device=device)
        self.slots = np.full((capacity, layout.n_stack), NONE, dtype=np.int32)
        self.counts = np.zeros(len(self.frames), dtype=np.int32)
        self.clear()

    @property
    def n_bytes(self) -> int:
        """Bytes of the storage."""
        return int(self.frames.nbytes + self.slots.nbytes + self.counts.nbytes)

    def clear(self) -> None:
        """Forget everything."""
        self.slots.fill(NONE)
        self.counts.fill(0)
        self._free: list[int] = []
        """Places that were used and are not any more."""
        self._used = 0
        """Places used so far; those after them are free too."""
        self._last: np.ndarray | None = None
        """The rows of the states put last, one of each environment."""

    def put(self, rows: torch.Tensor, features: torch.Tensor) -> None:
        """Store images `[B, C, H, W]` in the order in which they were seen: `stride` environments, step by step."""
        images = features.cpu().numpy().reshape(len(features), self.layout.n_stack, -1)
        before, slots_before = self._seen_last()
        for start in range(0, len(images), self.stride):
            now, where = images[start : start + self.stride], rows[start : start + self.stride].cpu().numpy()
            slots = self._shared(now, before, slots_before)
            # Before old states give way: they may refer to the same frames, which then stay.
            np.add.at(self.counts, slots[slots != NONE], 1)
            self._release(where)
            self._add(now, slots)
            self.slots[where] = slots
            before, slots_before, self._last = now, slots, where

    def get(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the images `[B, C, H, W]` of rows `[B]`; in memory their channels come last."""
        slots = torch.from_numpy(self.slots[rows.cpu().numpy()].astype(np.int64)).to(self.device)
        _, *size = self.layout.shape
        images = self.frames.new_empty((len(rows), *size, self.layout.shape[0]))
        # Frame by frame: that takes a third of the time of gathering whole images and turning them.
        for frame, places in zip(images.chunk(self.layout.n_stack, dim=-1), slots.unbind(dim=1), strict=True):
            frame.copy_(self.frames.index_select(0, places).movedim(1, -1))
        return images.movedim(-1, 1)

    def arrays(self, size: int) -> dict[str, np.ndarray]:
        """Return the frames that the first `size` states refer to, each once, and where each state's lie in them."""
        used, slots = np.unique(self.slots[:size], return_inverse=True)
        frames = self.frames[torch.from_numpy(used.astype(np.int64)).to(self.device)]
        return {"frames": frames.cpu().numpy(), "slots": slots.reshape(size, self.layout.n_stack).astype(np.int32)}

    def restore(self, arrays: dict[str, np.ndarray], next_row: int) -> int:
        """Take what `arrays` returned; those in the rows before `next_row` are the states that the next ones follow."""
        frames, slots = np.array(arrays["frames"]), np.array(arrays["slots"])
        if frames.shape[1:] != self.layout.frame_shape or frames.dtype != np.uint8:
            raise ValueError(f"frames of shape {frames.shape[1:]} and {frames.dtype} are of another space")
        if slots.shape[1:] != self.slots.shape[1:] or slots.dtype != np.int32 or len(slots) > self.capacity:
            raise ValueError("the states are of another buffer")
        if slots.size and not (slots.min() >= 0 and slots.max() < len(frames)):
            raise ValueError("a state refers to a frame that is not there")
        self.clear()
        self._grow(len(frames))
        self.frames[: len(frames)] = torch.from_numpy(frames).to(self.device)
        self.slots[: len(slots)] = slots
        np.add.at(self.counts, slots, 1)
        self._used = len(frames)
        self._free = np.flatnonzero(self.counts[: len(frames)] == 0).tolist()
        last = np.arange(next_row - self.stride, next_row) % self.capacity
        self._last = last if self.stride <= self.capacity and (self.slots[last] != NONE).all() else None
        return len(slots)

    def _seen_last(self) -> tuple[np.ndarray | None, np.ndarray]:
        """Return the frames `[stride, n, bytes]` of the states put last, and where they lie."""
        if self._last is None:
            return None, self.slots[:0]
        slots = self.slots[self._last]
        images = self.frames[torch.from_numpy(slots.astype(np.int64)).to(self.device)]
        return images.cpu().numpy().reshape(*slots.shape, -1), slots

    def _shared(self, now: np.ndarray, before: np.ndarray | None, slots_before: np.ndarray) -> np.ndarray:
        """Return where the frames `[B, n, bytes]` lie already, those that were one place further on a step ago."""
        slots = np.full(now.shape[:2], NONE, dtype=np.int32)
        if before is not None and len(before) >= len(now):
            older = slots_before[: len(now), 1:]
            slots[:, :-1] = np.where((now[:, :-1] == before[: len(now), 1:]).all(axis=-1), older, NONE)
        return slots

    def _add(self, now: np.ndarray, slots: np.ndarray) -> None:
        """Store the frames that have no place, and note their places in `slots`; of equal neighbours only the first."""
        fresh = slots == NONE
        repeated = np.zeros_like(fresh)
        repeated[:, 1:] = fresh[:, 1:] & (now[:, 1:] == now[:, :-1]).all(axis=-1)
        new = fresh & ~repeated
        places = self._take(int(new.sum()))
        slots[new] = places
        frames = torch.from_numpy(now[new].reshape(len(places), *self.layout.frame_shape))
        self.frames[torch.from_numpy(places.astype(np.int64)).to(self.device)] = frames.to(self.device)
        for column in range(1, slots.shape[1]):
            slots[repeated[:, column], column] = slots[repeated[:, column], column - 1]
        np.add.at(self.counts, slots[fresh], 1)

    def _take(self, count: int) -> np.ndarray:
        """Return `count` free places."""
        again = min(count, len(self._free))
        places = [self._free.pop() for _ in range(again)]
        self._grow(self._used + count - again)
        places.extend(range(self._used, self._used + count - again))
        self._used += count - again
        return np.array(places, dtype=np.int32)

    def _release(self, rows: np.ndarray) -> None:
        """Let the states in `rows` go, with the frames that nobody else refers to."""
        old = self.slots[rows]
        old = old[old != NONE]
        np.subtract.at(self.counts, old, 1)
        self._free.extend(place for place in np.unique(old).tolist() if self.counts[place] == 0)

    def _grow(self, needed: int) -> None:
        """Make room for `needed` frames: fewer are in common than a stack of frames should have.

        Raises:
            RunFault: where the memory does not allow it; with what to do.
        """
        if needed <= len(self.frames):
            return
        n_frames = min(max(needed, len(self.frames) * 3 // 2), self.capacity * self.layout.n_stack)
        more = (n_frames - len(self.frames)) * (self.frames[:1].nbytes + SLOT_BYTES)
        free = free_memory(self.device)
        LOG.warning("the stacked frames have less in common than expected: the buffer grows by %s", size_text(more))
        if free is not None and n_frames * self.frames[:1].nbytes > SHARE * free:
            raise RunFault(
                f"expected {size_text(more)} of free memory for frames, found {size_text(free)}; set --buffer-size "
                f"below {self.capacity}"
            )
        frames, counts = self.frames, self.counts
        self.frames = frames.new_empty((n_frames, *frames.shape[1:]))
        self.frames[: len(frames)] = frames
        self.counts = np.zeros(n_frames, dtype=np.int32)
        self.counts[: len(counts)] = counts
