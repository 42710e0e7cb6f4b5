"""Observations on their way into a policy: batches, flattening and normalisation. NumPy alone.

In: raw observations as the environment gives them. Out: float32 features `[B, D]`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.student.pixels import channels_first, images_for
from policy_distill.student.spaces import SpaceRecord, check_choices, space_shape


@dataclass(frozen=True)
class Normalizer:
    """Fixed observation statistics, as of SB3's `VecNormalize`: clip((x - mean) / sqrt(variance + epsilon))."""

    mean: np.ndarray
    """float64 of the observation's shape."""
    variance: np.ndarray
    """float64 of the observation's shape."""
    clip: float = 10.0
    """Features are clipped to [-clip, clip]; infinity for none."""
    epsilon: float = 1e-8
    """Added to the variance."""

    def __post_init__(self) -> None:
        """Check that the statistics can be used."""
        if self.mean.shape != self.variance.shape:
            raise ValueError(f"mean {self.mean.shape} and variance {self.variance.shape} must have one shape")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.variance).all() and (self.variance >= 0).all()):
            raise ValueError("observation statistics must be finite, and variances at least 0")
        if not (self.clip > 0 and 0 <= self.epsilon < np.inf):
            raise ValueError(f"clip {self.clip} must be above 0, epsilon {self.epsilon} finite and at least 0")

    @cached_property
    def scale(self) -> np.ndarray:
        """1 / sqrt(variance + epsilon), float64."""
        return 1.0 / np.sqrt(self.variance + self.epsilon)

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Return normalised observations, float32, computed in float64 as SB3 does."""
        normalised = (obs - self.mean) * self.scale
        # np.clip costs three times as much on a handful of numbers.
        normalised = np.minimum(np.maximum(normalised, -self.clip), self.clip)
        return np.asarray(normalised, dtype=np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; an infinite clip is null."""
        return {
            "mean": self.mean.ravel().tolist(),
            "variance": self.variance.ravel().tolist(),
            "clip": self.clip if np.isfinite(self.clip) else None,
            "epsilon": self.epsilon,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], shape: tuple[int, ...]) -> Normalizer:
        """Rebuild from `to_json`."""
        return cls(
            mean=np.asarray(values["mean"], dtype=np.float64).reshape(shape),
            variance=np.asarray(values["variance"], dtype=np.float64).reshape(shape),
            clip=np.inf if values["clip"] is None else float(values["clip"]),
            epsilon=float(values["epsilon"]),
        )


class Featurizer:
    """Turns raw observations into features: flattened, one-hot where discrete, normalised where statistics are given.

    A Dict space becomes its keys' features side by side, in the order of the keys; other keys of an observation are
    left alone. An image alone stays an image, `(C, H, W)` of bytes; the network scales it.
    """

    def __init__(
        self,
        space: SpaceRecord,
        normalizer: Normalizer | dict[str, Normalizer] | None = None,
        images: Collection[str] | None = None,
    ) -> None:
        """Take a described space; `images` are its keys of pixels, as of `pixels.images_for`, which None asks."""
        self.space = space
        self.normalizer = normalizer
        self.images = tuple(images_for(space) if images is None else images)
        self.is_image = "" in self.images
        self.parts = _parts(space, normalizer, self.images)
        self.shape: tuple[int, ...] = (sum(part.size for part in self.parts),)
        if self.is_image:
            shape = space_shape(space)
            self.shape = shape if channels_first(shape) else (shape[2], *shape[:2])
        self.dtype = "uint8" if self.is_image else "float32"

    def __call__(self, obs: Any) -> np.ndarray:
        """Return features `[B, D]` (images: `[B, C, H, W]`) of a batch of raw observations; never a view of `obs`."""
        if self.is_image:
            return np.array(obs if channels_first(self.parts[0].shape) else np.moveaxis(obs, -1, 1))
        if self.space["type"] != "Dict":
            return self.parts[0](obs)
        return np.concatenate([part(obs[part.key]) for part in self.parts], axis=1)

    def batched(self, obs: Any) -> tuple[Any, bool]:
        """Return `obs` with a batch dimension, and whether it was a single observation.

        Raises:
            ValueError: for an observation of another shape than the space's.
        """
        if self.space["type"] != "Dict":
            return self.parts[0].batched(obs)
        pairs = {part.key: part.batched(obs[part.key]) for part in self.parts}
        return {key: batch for key, (batch, _) in pairs.items()}, all(single for _, single in pairs.values())


class Part:
    """One leaf of an observation space."""

    def __init__(self, key: str, space: SpaceRecord, normalizer: Normalizer | None, *, image: bool) -> None:
        self.key = key
        self.shape = space_shape(space)
        self.dtype = np.dtype(space.get("dtype", "int8"))  # a MultiBinary has none
        self.raw_size = int(np.prod(self.shape))
        self.normalizer = normalizer
        self.scale = np.float32(1 / 255) if image else None
        self.one_hot = _one_hot_sizes(space)
        self.size = sum(self.one_hot) if self.one_hot else int(np.prod(self.shape))
        self.offsets = np.cumsum([0, *self.one_hot[:-1]]) - _starts(space) if self.one_hot else None

    def __call__(self, obs: Any) -> np.ndarray:
        """Return features `[B, size]`, float32, of a batch of this leaf."""
        obs = np.asarray(obs)
        if self.offsets is not None:
            features = np.zeros((len(obs), self.size), dtype=np.float32)
            np.put_along_axis(features, obs.reshape(len(obs), -1).astype(np.int64) + self.offsets, 1.0, axis=1)
            return features
        if self.normalizer is not None:
            return self.normalizer(obs).reshape(len(obs), self.size)
        features = obs.astype(np.float32).reshape(len(obs), self.size)
        return features if self.scale is None else features * self.scale

    def batched(self, obs: Any) -> tuple[np.ndarray, bool]:
        """Return `obs` with a batch dimension, and whether it was a single one.

        Raises:
            ValueError: for another shape than the space's, or a choice that the space does not have.
        """
        array = np.asarray(obs)
        single = array.shape == self.shape
        if single or (array.shape[1:] == self.shape and array.ndim == len(self.shape) + 1):
            batch = array[None] if single else array
            if self.offsets is not None:
                check_choices(batch.reshape(len(batch), -1) + self.offsets, self.one_hot, self.key)
            return batch, single
        raise ValueError(
            f"expected an observation of shape {self.shape} or a batch [B, *{self.shape}], found shape {array.shape}"
            + (f" under key {self.key!r}" if self.key else "")
        )


def _parts(
    space: SpaceRecord, normalizer: Normalizer | dict[str, Normalizer] | None, images: tuple[str, ...]
) -> list[Part]:
    if space["type"] != "Dict":
        assert not isinstance(normalizer, dict)
        return [Part("", space, normalizer, image="" in images)]
    per_key = normalizer if isinstance(normalizer, dict) else {}
    return [Part(key, sub, per_key.get(key), image=key in images) for key, sub in space["spaces"].items()]


def _one_hot_sizes(space: SpaceRecord) -> list[int]:
    if space["type"] == "Discrete":
        return [space["n"]]
    return [int(n) for n in np.ravel(space["nvec"])] if space["type"] == "MultiDiscrete" else []


def _starts(space: SpaceRecord) -> np.ndarray:
    return np.ravel(space["start"]).astype(np.int64)


def load_normalizer(values: Mapping[str, Any] | None, space: SpaceRecord) -> Normalizer | dict[str, Normalizer] | None:
    """Rebuild what `dump_normalizer` wrote for a described observation space."""
    if values is None:
        return None
    if space["type"] == "Dict":
        subs = space["spaces"]
        return {key: Normalizer.from_json(sub, space_shape(subs[key])) for key, sub in values.items()}
    return Normalizer.from_json(values, space_shape(space))


def dump_normalizer(normalizer: Normalizer | dict[str, Normalizer] | None) -> dict[str, Any] | None:
    """Return JSON values of the statistics, by key for a Dict space."""
    if isinstance(normalizer, dict):
        return {key: sub.to_json() for key, sub in normalizer.items()}
    return None if normalizer is None else normalizer.to_json()
