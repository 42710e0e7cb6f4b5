"""Where tensors may lie: known and tried before anything depends on it."""

from __future__ import annotations

import torch

from policy_distill.errors import RequestError


def check_device(name: str) -> None:
    """Check that torch can compute on a device such as `cpu`, `cuda` or `cuda:1`, by doing so once.

    Raises:
        RequestError: with what torch says, where it cannot.
    """
    if name == "cpu":
        return
    try:
        torch.ones(1, device=name).add(1).cpu()
    # PyTorch built without CUDA says so by an AssertionError.
    except (RuntimeError, AssertionError, TypeError) as error:
        raise RequestError(
            f"expected a device that torch can compute on here, found {name!r} ({str(error).splitlines()[0][:160]}); "
            "set --device cpu, or install a torch that is built for it"
        ) from None
