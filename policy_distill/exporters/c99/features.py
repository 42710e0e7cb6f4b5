"""From a raw observation to features, in C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from policy_distill.exporters.c99.parts import comment, number
from policy_distill.exporters.input_dtype import is_far
from policy_distill.student.features import Part
from policy_distill.student.pixels import channels_first
from policy_distill.student.plan import Plan

if TYPE_CHECKING:
    from policy_distill.exporters.c99.source import CSource


@dataclass(frozen=True)
class FeatureCode:
    """Lines that fill the first buffer, and what they expect."""

    lines: list[str]
    n_obs: int
    """Numbers of one raw observation."""
    obs_type: str
    """C type of each."""
    about: str
    """What they are, in words."""


def feature_code(plan: Plan, source: CSource) -> FeatureCode:
    """Return the code that fills buffer `a` with features; constants go into `source`."""
    parts = plan.featurizer.parts
    n_obs = sum(part.raw_size for part in parts)
    if plan.featurizer.is_image:
        shape = parts[0].shape
        return FeatureCode(_image_lines(parts[0]), n_obs, "uint8_t", f"bytes of an image {list(shape)}, last quickest")
    lines, raw, feature = [], 0, 0
    for index, part in enumerate(parts):
        lines += _part_lines(part, index, raw, feature, source)
        raw, feature = raw + part.raw_size, feature + part.size
    about = "numbers of one observation"
    if len(parts) > 1:
        about = ", then ".join(f"{part.raw_size} of {part.key}" for part in parts)
    # Doubles only where float would lose digits of the observation, as of a position far from zero.
    obs_type = "double" if any(is_far(part) and part.dtype == np.float64 for part in parts) else "float"
    return FeatureCode(lines, n_obs, obs_type, comment(about))


def _image_lines(part: Part) -> list[str]:
    if channels_first(part.shape):
        return [f"for (int i = 0; i < {part.raw_size}; i++) a[i] = (float)obs[i];"]
    rows, columns, channels = part.shape
    return [
        f"for (int c = 0; c < {channels}; c++)",
        f"    for (int i = 0; i < {rows * columns}; i++) a[c * {rows * columns} + i] = (float)obs[i * {channels} + c];",
    ]


def _part_lines(part: Part, index: int, raw: int, feature: int, source: CSource) -> list[str]:
    obs, x = f"obs[{raw} + i]", f"a[{feature} + i]"
    if part.offsets is not None:
        return _one_hot_lines(part, index, raw, feature, source)
    head = f"for (int i = 0; i < {part.raw_size}; i++)"
    if part.normalizer is None:
        factor = f" * {number(float(part.scale))}" if part.scale is not None else ""
        return [f"{head} {x} = (float){obs}{factor};"]
    kind = "double" if is_far(part) else "float"
    mean = source.constant(f"mean_{index}", part.normalizer.mean, kind)
    scale = source.constant(f"scale_{index}", part.normalizer.scale, kind)
    clip = part.normalizer.clip
    lines = [f"{head} {{", f"    const {kind} z = (({kind}){obs} - {mean}[i]) * {scale}[i];"]
    if np.isfinite(clip):
        bound = number(clip, kind == "double")
        lines.append(f"    {x} = (float)(z > {bound} ? {bound} : (z < -{bound} ? -{bound} : z));")
    else:
        lines.append(f"    {x} = (float)z;")
    return [*lines, "}"]


def _one_hot_lines(part: Part, index: int, raw: int, feature: int, source: CSource) -> list[str]:
    assert part.offsets is not None
    offsets = source.constant(f"offset_{index}", np.ravel(part.offsets), "int")
    return [
        f"for (int i = 0; i < {part.size}; i++) a[{feature} + i] = 0.0f;",
        f"for (int i = 0; i < {len(part.one_hot)}; i++) {{",
        f"    const policy_obs v = obs[{raw} + i];",
        f"    const int k = v > -1e9f && v < 1e9f ? (int)v + {offsets}[i] : -1;",
        f"    if (k >= 0 && k < {part.size}) a[{feature} + k] = 1.0f;",
        "}",
    ]
