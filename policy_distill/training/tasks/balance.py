"""What the loss of each task weighs, so that no task drowns another.

In: the divergences of minibatches, or a teacher's labels. Out: a weight for each task. Nats mean different things in
different tasks: a softmax over the values of a DQN may be nearly uniform, and a narrow Gaussian diverges by hundreds.
"""

from __future__ import annotations

import numpy as np
import torch

from policy_distill.interfaces.students import ActionDistribution

LEAST_ENTROPY = 1e-3
"""In nats: a teacher that is sure of everything has next to none."""
MEMORY = 0.99
"""Share of the running mean that stays when a minibatch is added: it looks back about a hundred of them."""
FLOOR = 10.0
"""A task that diverges less than this, in nats, is not weighed: it counts by its nats, as alone. Divided by its own
divergence it would weigh the more the less is left to learn, and its noise drown what another has still to learn: at a
floor of 0.1 nats Walker2d was lost beside tasks that were learnt long before (docs/tasks.md)."""


class Balance:
    """Weights of tasks: less for what diverges by tens of nats, one over the teacher's entropy, or one for all."""

    def __init__(self, kind: str, n_tasks: int) -> None:
        self.kind = kind
        self.scale = np.ones(n_tasks)
        """What each task's loss is divided by, `[n_tasks]`."""
        self._begun = False

    def begin(self, families: list[ActionDistribution], labels: list[torch.Tensor]) -> None:
        """Take the first labels `[B, P]` of each task."""
        if self.kind == "entropy":
            found = zip(families, labels, strict=True)
            self.scale = np.array([max(float(one.entropy(params).mean()), LEAST_ENTROPY) for one, params in found])

    def weights(self, losses: np.ndarray) -> np.ndarray:
        """Return the weights `[n_tasks]` of minibatches' `losses`: a share each, over what a task's loss is divided by.

        The running mean takes in what is finite; a loss that is not is found by whoever steps.
        """
        if self.kind == "divergence" and np.isfinite(losses).all():
            self.scale = MEMORY * self.scale + (1 - MEMORY) * losses if self._begun else losses.copy()
            self._begun = True
        divided = np.maximum(self.scale / FLOOR, 1.0) if self.kind == "divergence" else self.scale
        found: np.ndarray = 1.0 / (divided * len(self.scale))
        return found

    def state(self) -> dict[str, np.ndarray]:
        """Return what the next weights depend on."""
        return {"scale": self.scale.copy(), "begun": np.array(int(self._begun))}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: where that is of other tasks.
        """
        scale = np.array(state["scale"], np.float64)
        if scale.shape != self.scale.shape or not (np.isfinite(scale) & (scale >= 0)).all():
            raise ValueError("the weights of other tasks")
        self.scale, self._begun = scale, bool(int(state["begun"]))
