"""What a tree is fitted to, and what its leaves then say, by what the outputs of a policy mean.

In: the teacher's distribution parameters. Out: numbers whose distance from a leaf's mean is what a tree makes small,
how much each state counts, and the outputs of leaves. States of discrete actions count by what a wrong action costs
(VIPER, Bastani et al. 2018), and a leaf has the mean of the probabilities in it, which is of least forward KL.

Axis-parallel trees are fitted to these probabilities: where a few thresholds cannot follow the border between two
actions, it matters how nearly alike they were. Oblique ones can follow it, and are fitted to the choices themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_distill.student.actions import ActionMap
from policy_distill.student.head import MASKED, Head

LEAST = 1e-4
"""Probability of an action that a leaf never saw taken."""
LEAST_WEIGHT = 0.05
"""What a state counts at least, as a share of the mean: one where all actions are alike still has a distribution."""
EDGE = 1.0 - 1e-4
"""Largest size of an action whose inverse tanh a leaf holds."""


@dataclass(frozen=True)
class Targets:
    """What a tree is fitted to."""

    values: np.ndarray
    """float32 `[N, K]`: what splits are to tell apart."""
    kept: np.ndarray
    """float32 `[N, K]`: what leaves have the mean of."""
    weights: np.ndarray
    """float32 `[N]`, their mean 1."""


@dataclass(frozen=True)
class Goal:
    """From a teacher's parameters to targets, and from leaves to outputs, for one kind of policy."""

    head: Head
    """Of the student."""
    action_map: ActionMap
    spread: bool
    """True where parameters after the modes are log σ."""
    sharp: bool
    """True for splits that are to tell discrete actions apart, and not their probabilities."""

    def targets(self, params: np.ndarray) -> Targets:
        """Return what a tree is fitted to, of a teacher's parameters `[N, P]`."""
        scores = self.head.scores(params).astype(np.float32)
        if self.head.kind == "argmax":
            return self._choices(scores)
        if self.head.kind == "threshold":
            kept = _sigmoid(scores)
            chosen = (scores > 0).astype(np.float32) if self.sharp else kept
            return Targets(chosen, kept, _scaled(np.abs(scores).mean(axis=1)))
        modes = self._modes(scores)
        values = modes / self._span(modes)
        return Targets(values, values, np.ones(len(values), np.float32))

    def outputs(self, params: np.ndarray, targets: Targets, leaf: np.ndarray, n_leaves: int) -> np.ndarray:
        """Return the outputs `[L, n_outputs]` of leaves into which `N` states fall as `leaf` `[N]` says."""
        means = means_in(leaf, targets.kept, targets.weights, n_leaves)
        if self.head.kind == "argmax":
            return self.head.outputs_of(np.log(np.maximum(means, LEAST))).astype(np.float32)
        if self.head.kind == "threshold":
            inside = np.clip(means, LEAST, 1 - LEAST)
            return np.log(inside / (1 - inside)).astype(np.float32)
        modes = means * self._span(self._modes(params[:, : self.head.n_scores]))
        modes = np.arctanh(np.clip(modes, -EDGE, EDGE)) if self.head.kind == "tanh" else modes
        if not self.head.extra:
            return modes.astype(np.float32)
        return np.concatenate([modes, self._extra(params, leaf, modes)], axis=1).astype(np.float32)

    def log_std(self, params: np.ndarray, leaf: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Return the one log σ `[A]` for all states of least forward KL, given the means that leaves have."""
        return self._spread_of(params, outputs[leaf], np.zeros(len(leaf), np.int64), 1)[0].astype(np.float32)

    def _choices(self, scores: np.ndarray) -> Targets:
        probabilities, choices, gaps = [], [], []
        for logits in self.head.split(scores):
            shifted = logits - logits.max(axis=1, keepdims=True)
            odds = np.exp(shifted)
            probabilities.append(odds / odds.sum(axis=1, keepdims=True))
            choices.append(np.eye(logits.shape[1], dtype=np.float32)[logits.argmax(axis=1)])
            # Actions that are ruled out cost nothing: they cannot be taken.
            gaps.append(-np.where(logits <= MASKED / 2, 0.0, shifted).min(axis=1))
        kept = np.concatenate(probabilities, axis=1)
        return Targets(np.concatenate(choices, axis=1) if self.sharp else kept, kept, _scaled(np.mean(gaps, axis=0)))

    def _modes(self, scores: np.ndarray) -> np.ndarray:
        """Return the deterministic actions as they are executed, but for their scale."""
        modes = np.tanh(scores) if self.head.kind == "tanh" else scores
        if self.action_map.kind == "clip":
            assert self.action_map.low is not None and self.action_map.high is not None
            return np.clip(modes, self.action_map.low.ravel(), self.action_map.high.ravel())
        return modes

    def _span(self, modes: np.ndarray) -> np.ndarray:
        """Return what one unit of each dimension is: all count alike, in the range that the teacher uses."""
        return np.maximum(modes.std(axis=0), 1e-6)

    def _extra(self, params: np.ndarray, leaf: np.ndarray, modes: np.ndarray) -> np.ndarray:
        if self.spread:
            return self._spread_of(params, modes[leaf], leaf, len(modes))
        rest = params[:, self.head.n_scores :]
        return means_in(leaf, rest, np.ones(len(rest), np.float32), len(modes))

    def _spread_of(self, params: np.ndarray, means: np.ndarray, group: np.ndarray, n: int) -> np.ndarray:
        """Return log σ of the Gaussians of least forward KL: their variance is the teacher's and what means differ."""
        size = self.head.n_modes
        second = np.exp(2.0 * params[:, size : 2 * size].astype(np.float64)) + (params[:, :size] - means[:, :size]) ** 2
        variance = means_in(group, second, np.ones(len(second), np.float32), n)
        return 0.5 * np.log(np.maximum(variance, 1e-8))


def means_in(group: np.ndarray, values: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
    """Return the weighted means `[n, K]` of `values` `[N, K]` in each of `n` groups, float64; 0 of an empty one."""
    total = np.bincount(group, weights, n)
    sums = np.stack([np.bincount(group, weights * column, n) for column in values.T], axis=1)
    return sums / np.maximum(total, 1e-12)[:, None]


def _scaled(weights: np.ndarray) -> np.ndarray:
    mean = float(weights.mean())
    if not mean > 0:
        return np.ones(len(weights), np.float32)
    return np.asarray(np.maximum(weights / mean, LEAST_WEIGHT), np.float32)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), np.float32)
