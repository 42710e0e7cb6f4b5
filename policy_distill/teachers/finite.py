"""Refuses a teacher with weights that are not finite, before anything is collected: its labels would be NaN."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn

from policy_distill.errors import RequestError
from policy_distill.teachers.sb3_policy import CRITICS, TARGETS


def check_weights(policy: nn.Module, place: str) -> None:
    """Look at every weight that acting needs; a buffer may hold infinity, as bounds do.

    Raises:
        RequestError: naming the first layer with a weight that is not finite.
    """
    for name, values in chain(policy.named_parameters(), policy.named_buffers()):
        if name.startswith((*CRITICS, *TARGETS)) or not values.is_floating_point():
            continue
        wrong = ~values.detach().isfinite() if isinstance(values, nn.Parameter) else values.isnan()
        if n := int(torch.count_nonzero(wrong)):
            raise RequestError(
                f"{place}: expected finite weights, found {n:,} of {values.numel():,} in {name} that are not; use an "
                "earlier checkpoint, or train the agent again"
            )
