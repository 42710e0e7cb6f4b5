"""Which observations are images: asked here, and nowhere else. NumPy alone.

In: a described space. Out: whether its numbers are pixels, which are divided by 255; all others are measured. Of a
student that was made before, its own record says it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.spaces import SpaceRecord


def is_image(space: Mapping[str, Any]) -> bool:
    """Say whether a described space is one of images, as Stable-Baselines3 decides it.

    They are bytes from 0 to 255 in three dimensions; a board of zeros and ones is none.
    """
    return has_planes(space) and bool(
        np.all(np.asarray(space["low"]) == 0) and np.all(np.asarray(space["high"]) == 255)
    )


def has_planes(space: Mapping[str, Any]) -> bool:
    """Say whether a described space is of bytes in three dimensions, whatever they mean: what a cnn can take."""
    return space["type"] == "Box" and space["dtype"] == "uint8" and len(space["shape"]) == 3


def convolves(network: str) -> bool:
    """Say whether students of a specification convolve the image that they see, as it is."""
    return network.startswith("cnn")


def images_for(space: Mapping[str, Any], network: str = "", *, scaled: bool = True) -> tuple[str, ...]:
    """Return the keys of a described space whose bytes a student of that network takes as pixels; "" for the space.

    A cnn takes any planes as they are. `scaled` False is for a teacher that does not divide its pixels by 255
    (`normalize_images=False`): they may be codes, and are measured.
    """
    if space["type"] == "Dict":
        return tuple(key for key, sub in space["spaces"].items() if scaled and is_image(sub))
    return ("",) if has_planes(space) and (convolves(network) or (scaled and is_image(space))) else ()


def convolved(space: Mapping[str, Any], network: str, images: Collection[str]) -> tuple[int, ...] | None:
    """Return the shape of the image that a cnn convolves where its features are a vector, which begins with it.

    That is an image of numbers that are no bytes, or the one image of a Dict, which `image_first` put first. None for
    any other network, for features that are an image themselves, and where there is no image.

    Raises:
        RequestError: for a Dict of several images.
    """
    if not convolves(network) or "" in images:
        return None
    keys = image_keys(space)
    if len(keys) > 1:
        raise RequestError(
            f"expected one image for a cnn, found {', '.join(keys)}; choose one image, and the vectors to use with "
            "it, with --observe"
        )
    if not keys:
        return None
    first = next(iter(space["spaces"].values())) if keys[0] else space
    return tuple(first["shape"]) if first["type"] == "Box" and len(first["shape"]) == 3 else None


def image_first(space: SpaceRecord, network: str) -> SpaceRecord:
    """Return a described space whose keys begin with the image, where a cnn is to convolve it."""
    if space["type"] != "Dict" or not convolves(network):
        return space
    keys = image_keys(space)
    order = [*keys, *(key for key in space["spaces"] if key not in keys)]
    return {**space, "spaces": {key: space["spaces"][key] for key in order}}


def image_keys(space: Mapping[str, Any]) -> list[str]:
    """Return the keys of arrays in three dimensions; "" for the space itself."""
    subs = space["spaces"] if space["type"] == "Dict" else {"": space}
    return [key for key, sub in subs.items() if sub["type"] == "Box" and len(sub["shape"]) == 3]


def images_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys that the student with this record takes as images; older ones took all planes for such."""
    if "images" in record:
        return tuple(record["images"])
    space = record["observation_space"]
    subs = space["spaces"] if space["type"] == "Dict" else {"": space}
    return tuple(key for key, sub in subs.items() if has_planes(sub))


def check_images(record: Mapping[str, Any]) -> None:
    """Check that what a record takes for images are bytes in three dimensions.

    Raises:
        ValueError: where it is not.
        KeyError, TypeError: for a record of another form.
    """
    space = record["observation_space"]
    subs = space["spaces"] if space["type"] == "Dict" else {"": space}
    if not all(isinstance(key, str) and has_planes(subs[key]) for key in images_of(record)):
        raise ValueError("images that are not bytes in three dimensions")


def largest(space: Mapping[str, Any]) -> float:
    """Return the largest value of planes, at least 1: what a cnn divides them by."""
    return max(float(np.max(np.asarray(space["high"], np.float64))), 1.0)


def channels_first(shape: tuple[int, ...]) -> bool:
    """Say whether the first dimension of an image's shape is its channels: the shortest one is, as SB3 decides it."""
    return int(np.argmin(shape)) == 0
