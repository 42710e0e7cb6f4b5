"""The students that a compression tries, and what each costs as it is deployed.

In: what students see, and the user's own list where there is one. Out: candidates, the cheapest first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from policy_distill.errors import RequestError
from policy_distill.networks.table import TREES
from policy_distill.run.result import latency_us
from policy_distill.student.runtime import Student
from policy_distill.student.slim import slim
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec
from policy_distill.training.trees.largest import largest_tree

WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Units of students with one hidden layer."""

DEEP = (4, 8, 16, 32, 64)
"""Units of each layer of students with two."""

CHANNELS = ("cnn:2", "cnn:4", "cnn:8", "cnn:16", "cnn:4,8", "cnn:8,16", "cnn:16,32")
"""Students of images."""

SETS = {
    "gru": tuple(f"gru:{n}" for n in (2, 4, 8, 16, 32)),
    "history": tuple(f"history:{steps}+mlp:{n}" for steps in (2, 4) for n in (4, 8, 16, 32)),
    "tree": tuple(f"tree:{n}" for n in (2, 4, 8, 16, 32, 64, 128, 256)),
    "oblique_tree": tuple(f"oblique_tree:{n}" for n in (2, 3, 4, 6, 8, 12, 16, 24, 32, 64)),
}
"""What a kind stands for where it is named without a size."""

MINIMIZE = ("params", "bytes", "macs", "flash", "latency")
"""What may be made small."""

C_OVERHEAD = 1_024
"""Bytes of the generated C that are there whatever the student."""


@dataclass(frozen=True)
class Candidate:
    """A network that may be the smallest."""

    spec: str
    """Such as `mlp:4`."""
    n_params: int
    """Numbers of the deployed student: no log σ, no logit that a choice does not need; of a tree at most."""
    n_bytes: int
    """Bytes of these."""
    macs: int
    """Multiply-accumulates for one observation."""
    cost: float
    """What is minimised, in its own unit."""


def ladder(*, images: bool) -> list[str]:
    """Return the specifications that are tried where the user names none."""
    if images:
        return list(CHANNELS)
    return ["linear", *(f"mlp:{n}" for n in WIDTHS), *(f"mlp:{n},{n}" for n in DEEP)]


def candidates_for(
    specs: Sequence[str],
    like: Callable[[str, str], StudentSpec],
    minimize: str = "params",
    *,
    keep_std: bool = False,
    max_params: int | None = None,
    max_bytes: int | None = None,
) -> list[Candidate]:
    """Return the candidates that are small enough, the cheapest first.

    Args:
        specs: networks, in any order.
        like: from a network and an activation to what a student of it is.
        minimize: one of `MINIMIZE`.
        keep_std: count log σ, which acting by the mode does not need.
        max_params: parameters of the deployed student, at most.
        max_bytes: bytes of these, at most.

    Raises:
        RequestError: for an unknown network or measure, or where none is small enough.
    """
    if minimize not in MINIMIZE:
        raise RequestError(f"expected --minimize among {', '.join(MINIMIZE)}, found {minimize!r}")
    found = [_candidate(spec, like(spec, "tanh"), minimize, keep_std) for spec in dict.fromkeys(specs)]
    small = [
        one
        for one in found
        if (max_params is None or one.n_params <= max_params) and (max_bytes is None or one.n_bytes <= max_bytes)
    ]
    if not small:
        least = min(found, key=lambda one: one.n_params)
        raise RequestError(
            f"expected a student within --max-params and --max-bytes, found none: the smallest, {least.spec}, has "
            f"{least.n_params} parameters and {least.n_bytes} bytes; raise the limits, or name others with --students"
        )
    return in_order(small)


def expanded(specs: Sequence[str]) -> list[str]:
    """Return specifications, with those that a kind without a size stands for in its place."""
    return [one for spec in specs for one in SETS.get(spec, (spec,))]


def as_deployed(candidate: Candidate, student: Student, minimize: str) -> Candidate:
    """Return a candidate with the sizes of its student: a tree may have fewer leaves than it might."""
    sizes = student.description.architecture.sizes
    if (candidate.n_params, candidate.n_bytes, candidate.macs) == (sizes.n_params, sizes.n_bytes, sizes.macs):
        return candidate
    return _sized(candidate.spec, student, minimize)


def without_zeros(spec: str) -> str:
    """Return a specification with its numbers as they are counted: `mlp:02` is the network `mlp:2`."""
    return re.sub(r"\d+", lambda found: str(int(found[0])), spec)


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates, the cheapest first."""
    return sorted(candidates, key=lambda one: (one.cost, one.n_params))


def deployed(policy: StudentPolicy, keep_std: bool = False, provenance: dict[str, Any] | None = None) -> Student:
    """Return a student as it is deployed."""
    return slim(Student.of(policy.to_record(provenance or {})), keep_std)


def cost_of(student: Student, minimize: str) -> float:
    """Return what a deployed student costs.

    Flash is what the constants of the generated C take (weights, statistics of observations, bounds of actions) and an
    overhead that all share; latency is measured, in microseconds for one action.
    """
    sizes = student.description.architecture.sizes
    if minimize == "latency":
        return latency_us(student)
    if minimize == "flash":
        statistics = sum(2 * 8 * part.size for part in student.plan.featurizer.parts if part.normalizer is not None)
        return float(sizes.n_bytes + statistics + C_OVERHEAD)
    return float({"params": sizes.n_params, "bytes": sizes.n_bytes, "macs": sizes.macs}[minimize])


def _candidate(spec: str, student: StudentSpec, minimize: str, keep_std: bool) -> Candidate:
    is_tree = spec.partition(":")[0] in TREES
    largest = largest_tree(student) if is_tree else StudentPolicy(student, torch.Generator().manual_seed(0))
    small = deployed(largest, keep_std)
    return _sized(spec, small, minimize)


def _sized(spec: str, student: Student, minimize: str) -> Candidate:
    sizes = student.description.architecture.sizes
    return Candidate(spec, sizes.n_params, sizes.n_bytes, sizes.macs, cost_of(student, minimize))
