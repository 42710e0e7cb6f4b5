"""Drawing actions, which needs more than the mode does: log σ, or the family itself. NumPy alone for our own families.

In: a student's record and outputs of its network. Out: distribution parameters, and sampled actions.
"""

from __future__ import annotations

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.description import Distribution
from policy_distill.student.head import BUILT_IN
from policy_distill.student.record import StudentRecord
from policy_distill.system.plugins import FAMILIES, load_plugin


def params_of(record: StudentRecord, outputs: np.ndarray) -> np.ndarray:
    """Return the distribution parameters `[B, P]` for outputs `[B, n_outputs]` of the network.

    Raises:
        RequestError: for a student without log σ.
    """
    return _joined(record.plan.head.scores(outputs), _log_std(record, outputs))


def draw(record: StudentRecord, scores: np.ndarray, outputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw an action, before it is executed, for each row of `scores` `[B, n_scores]`, which follow from `outputs`.

    Raises:
        RequestError: for a student without log σ, or a family of a package that is not installed.
    """
    log_std = _log_std(record, outputs)
    if record.description.distribution.family in BUILT_IN:
        return record.plan.head.sample(scores, log_std, rng)
    return _draw_elsewhere(record.description.distribution, _joined(scores, log_std), rng)


def require_spread(record: StudentRecord) -> None:
    """Raise for a student that kept no log σ.

    Raises:
        RequestError: saying how to keep it.
    """
    if record.plan.log_std == "dropped":
        raise RequestError(
            "expected a student with log σ, found one that was saved for deterministic actions only; act with "
            "deterministic=True, or make it again with --keep-std"
        )


def _log_std(record: StudentRecord, outputs: np.ndarray) -> np.ndarray | None:
    """Return log σ, of the network or for all states alike; None for a family without."""
    require_spread(record)
    head, own = record.plan.head, record.tensors.get("log_std")
    if head.extra:
        return outputs[:, head.n_modes :]
    return None if own is None else np.broadcast_to(own, outputs.shape)


def _joined(scores: np.ndarray, log_std: np.ndarray | None) -> np.ndarray:
    return scores if log_std is None else np.concatenate([scores, log_std], axis=1)


def _draw_elsewhere(distribution: Distribution, params: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    family = load_plugin(FAMILIES, distribution.family)
    if family is None:
        package = distribution.package or "the package that defines it"
        raise RequestError(
            f"expected the family {distribution.family!r} to sample from, which is not installed; "
            f"pip install {package}, or act with deterministic=True"
        )
    import torch

    config = {key: tuple(value) if isinstance(value, list) else value for key, value in distribution.config.items()}
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    drawn: np.ndarray = family(**config).sample(torch.from_numpy(params.copy()), generator).numpy()
    return drawn
