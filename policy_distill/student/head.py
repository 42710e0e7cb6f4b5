"""What a network's outputs mean: which of them choose the action, and how. NumPy alone.

In: outputs `[B, n_outputs]`. Out: the deterministic action or a sampled one, before it is executed. Engines, exporters
and the file's check ask the head, and no one asks a distribution's name: a family says which head it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

KINDS = ("argmax", "threshold", "mean", "tanh")
MASKED = np.float32(-1e8)
"""Logit of an action that is ruled out."""


@dataclass(frozen=True)
class Head:
    """How outputs become an action.

    `argmax`: the largest logit of each choice. `threshold`: bits that are 1 where their logit is above 0. `mean`: the
    outputs themselves. `tanh`: tanh of the outputs.
    """

    kind: str
    """One of `KINDS`."""
    sizes: tuple[int, ...]
    """Of argmax how many options each choice has; else one number: bits, or dimensions of an action."""
    reference: bool = False
    """True where the first option of each choice has the logit 0, which is no output: k options need k - 1 outputs."""
    extra: int = 0
    """Outputs that follow, and play no part in the deterministic action: log σ where the network gives it."""

    @property
    def is_discrete(self) -> bool:
        """True where actions are chosen among finitely many, so that masks can rule some out."""
        return self.kind in ("argmax", "threshold")

    @cached_property
    def n_scores(self) -> int:
        """What the action is chosen by: all logits, or the dimensions of an action."""
        return sum(self.sizes)

    @cached_property
    def n_modes(self) -> int:
        """The first outputs, from which alone the deterministic action follows."""
        return self.n_scores - (len(self.sizes) if self.reference else 0)

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return self.n_modes + self.extra

    @cached_property
    def places(self) -> np.ndarray:
        """Where each score stands among the outputs with a 0 put before them, int64 `[n_scores]`."""
        if not self.reference:
            return np.arange(1, self.n_scores + 1)
        firsts = np.cumsum([0, *self.sizes[:-1]])
        owned = np.ones(self.n_scores, np.int64)
        owned[firsts] = 0
        return np.cumsum(owned) * owned

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return what the action is chosen by, `[B, n_scores]`, of outputs `[B, n_outputs]`."""
        modes = outputs[:, : self.n_modes]
        if not self.reference:
            return modes
        after_zero = np.zeros((len(modes), self.n_modes + 1), modes.dtype)
        after_zero[:, 1:] = modes
        return after_zero[:, self.places]

    def outputs_of(self, scores: np.ndarray) -> np.ndarray:
        """Return outputs `[B, n_modes]` from which the same distribution follows as from `scores` `[B, n_scores]`."""
        if not self.reference:
            return scores
        return np.concatenate([logits[:, 1:] - logits[:, :1] for logits in self.split(scores)], axis=1)

    def all_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return rows `[n_outputs, ...]` of the last layer with zeros put in for the logits that are no outputs."""
        if not self.reference:
            return rows
        after_zeros = np.concatenate([np.zeros_like(rows[:1]), rows[: self.n_modes]])
        return np.concatenate([after_zeros[self.places], rows[self.n_modes :]])

    def mode(self, scores: np.ndarray) -> np.ndarray:
        """Return the deterministic action of each row of `scores` `[B, n_scores]`: `[B]` for one choice, else `[B, A]`.

        The NumPy twin of `ActionDistribution.mode`.
        """
        if self.kind == "argmax":
            return self._each(scores, lambda choice: choice.argmax(axis=1))
        if self.kind == "threshold":
            return (scores > 0).astype(np.int64)
        return scores if self.kind == "mean" else np.tanh(scores)

    def sample(self, scores: np.ndarray, log_std: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """Draw one action for each row of `scores`; the NumPy twin of `ActionDistribution.sample`.

        `log_std` is of the shape of `scores`; None for discrete actions, and where there is nothing to draw.
        """
        if self.kind == "argmax":
            return self._each(scores, lambda choice: _sample_choice(choice, rng))
        if self.kind == "threshold":
            return (scores > rng.logistic(size=scores.shape)).astype(np.int64)
        if log_std is not None:
            scores = scores + np.exp(log_std) * rng.standard_normal(scores.shape, dtype=np.float32)
        return self.mode(scores)

    def rule_out(self, scores: np.ndarray, masks: Any) -> np.ndarray:
        """Return logits `[B, n_scores]` without the options that `masks` (bool, of their shape or one row) forbid.

        Raises:
            ValueError: for continuous actions, or masks of another shape.
        """
        if not self.is_discrete:
            raise ValueError("expected no action_masks for continuous actions, which cannot be masked")
        allowed = np.asarray(masks, dtype=bool)
        if allowed.size not in (scores.size, scores.shape[1]):
            raise ValueError(f"expected action_masks of shape {scores.shape}, found shape {allowed.shape}")
        return np.where(allowed.reshape(-1, scores.shape[1]), scores, MASKED)

    def split(self, scores: np.ndarray) -> list[np.ndarray]:
        """Return the logits of each choice, `[B, n]`."""
        return np.split(scores, np.cumsum(self.sizes)[:-1], axis=1)

    def _each(self, scores: np.ndarray, choose: Any) -> np.ndarray:
        if len(self.sizes) == 1:
            return np.asarray(choose(scores))
        return np.stack([choose(choice) for choice in self.split(scores)], axis=1)

    @property
    def choices(self) -> tuple[int, ...]:
        """Options of each choice; empty for bits and numbers."""
        return self.sizes if self.kind == "argmax" else ()

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"kind": self.kind, "sizes": list(self.sizes), "reference": self.reference, "extra": self.extra}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Head:
        """Rebuild from `to_json`."""
        return cls(values["kind"], tuple(values["sizes"]), values["reference"], values["extra"])


def _sample_choice(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # The Gumbel-max trick: one argmax, no cumulative sums, and safe for any size of logits.
    return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


BUILT_IN = {
    "categorical": ("argmax", "n"),
    "multi_categorical": ("argmax", "nvec"),
    "bernoulli": ("threshold", "n"),
    "diagonal_gaussian": ("mean", "dim"),
    "squashed_gaussian": ("tanh", "dim"),
    "deterministic": ("mean", "dim"),
}
"""Kind and sizes of the heads of students whose file names their family alone. They sample as their head does."""
SPREAD = ("diagonal_gaussian", "squashed_gaussian")
"""Those whose parameters are means and log σ."""


def head_of_family(family: str, config: Mapping[str, Any], log_std: str | None) -> Head:
    """Return the head of a family that student files have named from the first, by where its log σ comes from.

    Raises:
        KeyError: for any other family.
    """
    kind, key = BUILT_IN[family]
    sizes = tuple(config[key]) if isinstance(config[key], Sequence) else (config[key],)
    return Head(kind, sizes, extra=sizes[0] if family in SPREAD and log_std in (None, "head") else 0)


def read_head(record: Mapping[str, Any]) -> Head:
    """Return the head that a student's record has, or that its family had when files named no head.

    Raises:
        KeyError: where the record lacks a part.
    """
    if "head" in record:
        return Head.from_json(record["head"])
    distribution = record["distribution"]
    return head_of_family(distribution["family"], distribution["config"], record["architecture"]["log_std"])
