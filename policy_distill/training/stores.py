"""Where the buffer keeps features, a row a state.

In: features by their rows. Out: the same features, bit for bit, of any rows.

    Rows          [capacity, D]  float32 (images: [capacity, C, H, W] uint8, whose channels lie last in memory)
    MixedRows     [capacity, F]  float32 and [capacity, D - F]  uint8, which are pixels / 255
    SharedFrames  shared_frames.py
"""

from __future__ import annotations

import numpy as np
import torch

from policy_distill.interfaces.stages import FeatureStore
from policy_distill.student.features import Featurizer
from policy_distill.training.feature_layout import layout_of
from policy_distill.training.shared_frames import SharedFrames

PIXEL = torch.tensor(np.float32(1 / 255))
"""What `Featurizer` multiplies pixels with."""


class Rows:
    """Features as they are.

    Of images the channels lie last in memory: convolutions train on them in half to three quarters of the time.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...], device: str = "cpu", dtype: str = "float32") -> None:
        form = torch.channels_last if len(shape) == 3 else torch.contiguous_format
        self.features = torch.empty((capacity, *shape), device=device, dtype=getattr(torch, dtype), memory_format=form)
        self.capacity = capacity
        self.device = device
        self.row_bytes = self.features[:1].nbytes

    @property
    def n_bytes(self) -> int:
        """Bytes of the storage."""
        return self.features.nbytes

    def put(self, rows: torch.Tensor, features: torch.Tensor) -> None:
        """Store features `[B, ...]`."""
        self.features[rows.to(self.device)] = features.to(self.device)

    def get(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the features `[B, ...]` of rows `[B]`."""
        if self.features.ndim == 4:
            return self.features.movedim(1, -1).index_select(0, rows.to(self.device)).movedim(-1, 1)
        # Several times as quick as indexing.
        return self.features.index_select(0, rows.to(self.device))

    def clear(self) -> None:
        """Forget everything: rows are written before they are read again."""

    def arrays(self, size: int) -> dict[str, np.ndarray]:
        """Return the features of the first `size` rows."""
        return {"features": self.features[:size].cpu().contiguous().numpy()}

    def restore(self, arrays: dict[str, np.ndarray], next_row: int) -> int:
        """Take what `arrays` returned."""
        features = torch.from_numpy(np.array(arrays["features"]))
        if features.shape[1:] != self.features.shape[1:] or features.dtype != self.features.dtype:
            raise ValueError(f"features of shape {tuple(features.shape[1:])} and {features.dtype} are of another space")
        if len(features) > self.capacity:
            raise ValueError(f"{len(features)} states are more than the buffer holds")
        self.features[: len(features)] = features.to(self.device)
        return len(features)


class MixedRows:
    """Vectors some of whose features are pixels / 255: those are kept as the bytes that they were."""

    def __init__(self, capacity: int, byte_columns: np.ndarray, device: str = "cpu") -> None:
        """Make room; `byte_columns` bool `[D]` are the pixels."""
        self.width, self.capacity, self.device = len(byte_columns), capacity, device
        self.row_bytes = 4 * self.width
        self._runs = _runs(~byte_columns), _runs(byte_columns)
        n_bytes = int(byte_columns.sum())
        self._floats = Rows(capacity, (self.width - n_bytes,), device)
        self._bytes = Rows(capacity, (n_bytes,), device, "uint8")

    @property
    def n_bytes(self) -> int:
        """Bytes of the storage."""
        return self._floats.n_bytes + self._bytes.n_bytes

    def put(self, rows: torch.Tensor, features: torch.Tensor) -> None:
        """Store features `[B, D]`, float32."""
        here = features.to(self.device)
        floats, pixels = (torch.cat([here[:, run] for run in runs] or [here[:, :0]], dim=1) for runs in self._runs)
        self._floats.put(rows, floats)
        self._bytes.put(rows, (pixels * 255).round().to(torch.uint8))

    def get(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the features `[B, D]` of rows `[B]`."""
        features = torch.empty((len(rows), self.width), device=self.device)
        for store, runs in zip((self._floats, self._bytes), self._runs, strict=True):
            parts = store.get(rows).split([run.stop - run.start for run in runs], dim=1)
            for run, part in zip(runs, parts, strict=True):
                features[:, run] = part
        for run in self._runs[1]:
            # In its place: an image's numbers once more would take as long as all else here.
            features[:, run].mul_(PIXEL.to(self.device))
        return features

    def clear(self) -> None:
        """Forget everything."""

    def arrays(self, size: int) -> dict[str, np.ndarray]:
        """Return the features of the first `size` rows, numbers and bytes apart."""
        return {"features": self._floats.arrays(size)["features"], "pixels": self._bytes.arrays(size)["features"]}

    def restore(self, arrays: dict[str, np.ndarray], next_row: int) -> int:
        """Take what `arrays` returned."""
        if self._bytes.restore({"features": arrays["pixels"]}, next_row) != len(arrays["features"]):
            raise ValueError("numbers and pixels are of different states")
        return self._floats.restore(arrays, next_row)


def _runs(columns: np.ndarray) -> list[slice]:
    """Return where True stands in `[D]`, as slices: quicker than an index, and an image's features are one."""
    edges = np.flatnonzero(np.diff(columns, prepend=False, append=False)).tolist()
    return [slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def make_store(
    featurizer: Featurizer, capacity: int, stride: int, n_stack: int = 1, device: str = "cpu"
) -> FeatureStore:
    """Return the store for features; consecutive states of one environment are put `stride` rows apart."""
    layout = layout_of(featurizer, n_stack)
    if layout.n_stack > 1:
        return SharedFrames(capacity, layout, stride, device)
    if layout.byte_columns.any():
        return MixedRows(capacity, layout.byte_columns, device)
    return Rows(capacity, layout.shape, device, "uint8" if layout.is_image else "float32")
