"""The losses by name; some take a number, as in `temperature_kl:2` or `jensen_shannon:0.3`."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from contextlib import AbstractContextManager
from inspect import signature
from typing import Any, cast

import torch

from policy_distill.errors import RequestError
from policy_distill.interfaces.students import ActionDistribution, Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.jensen_shannon import JensenShannon
from policy_distill.losses.kl import forward_kl, jeffreys, reverse_kl
from policy_distill.losses.likelihood import SampledNLL, nll
from policy_distill.losses.regression import huber, mse
from policy_distill.losses.temperature import TemperatureKL
from policy_distill.losses.wasserstein import wasserstein
from policy_distill.system.blame import others_blamed
from policy_distill.system.foreign import asked
from policy_distill.system.plugins import LOSSES as GROUP
from policy_distill.system.plugins import choices, load_plugin, names_in

LOSSES: dict[str, Callable[[], Loss]] = {
    "forward_kl": lambda: forward_kl,
    "reverse_kl": lambda: reverse_kl,
    "jeffreys": lambda: jeffreys,
    "jensen_shannon": JensenShannon,
    "temperature_kl": TemperatureKL,
    "nll": lambda: nll,
    "nll_sampled": SampledNLL,
    "mse": lambda: mse,
    "huber": lambda: huber,
    "wasserstein": lambda: wasserstein,
}
WITH_NUMBER: dict[str, Callable[[float], Loss]] = {"jensen_shannon": JensenShannon, "temperature_kl": TemperatureKL}


def make_loss(name: str) -> Loss:
    """Return the loss of that name: ours, or of an installed package.

    Raises:
        RequestError: for an unknown one, with the nearest, or a number that it cannot take.
    """
    kind, _, number = name.partition(":")
    make: Any = LOSSES.get(kind) or load_plugin(GROUP, kind)
    if make is None:
        near = difflib.get_close_matches(kind, [*LOSSES, *names_in(GROUP)], n=2, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise RequestError(f"expected a loss among auto, {choices(LOSSES, GROUP)}, found {name!r}{hint}")
    if not number:
        with _blamed(name):
            return cast(Loss, make())
    # What a package offers takes a number where its function does.
    with_number = WITH_NUMBER.get(kind) if kind in LOSSES else make
    if with_number is None or not signature(with_number).parameters:
        raise RequestError(f"the loss {kind} takes no number, found {name!r}")
    try:
        value = float(number)
    except ValueError:
        raise RequestError(f"expected a number after {kind}:, found {name!r}") from None
    with _blamed(name):
        return cast(Loss, with_number(value))


def choose_loss(name: str, family: ActionDistribution) -> Loss:
    """Return the loss that `name` (or `auto`) means for a family.

    Raises:
        RequestError: for an unknown name, a loss that has no closed form for the family, or one that is not `[B]`.
    """
    loss = make_loss(family.default_loss if name == "auto" else name)
    # A trial on one row: a loss says itself which families it cannot serve.
    trial = torch.zeros(1, family.n_params)
    if not callable(loss):
        raise RequestError(f"expected a function of batch and outputs for the loss {name}, found {type(loss).__name__}")
    with _blamed(name):
        values: Any = loss(Batch(torch.zeros(1, 0), trial, _trial_columns(loss, family)), Outputs(family, trial))
    if not isinstance(values, torch.Tensor) or values.shape != (1,):
        of_tensor = isinstance(values, torch.Tensor)
        found = f"the shape {tuple(values.shape)} for one sample" if of_tensor else type(values).__name__
        raise RequestError(
            f"expected one value per sample of the loss {name}, found {found}; sum over dimensions, and do not "
            "average over samples"
        )
    return loss


def _trial_columns(loss: Loss, family: ActionDistribution) -> dict[str, torch.Tensor]:
    """Return one row of each column that a loss reads: the first action, allowed, which led to nothing."""
    actions = family.mode(torch.zeros(1, family.n_params)) if "actions" in asked(loss, "columns", ()) else None
    row: dict[str, Any] = {"actions": actions, "rewards": torch.zeros(1)}
    row |= {name: torch.zeros(1, dtype=torch.bool) for name in ("episode_starts", "terminated", "truncated")}
    row["action_masks"] = torch.ones(1, family.head.n_scores, dtype=torch.bool)
    return {name: row[name] for name in asked(loss, "columns", ()) if name in row}


def _blamed(name: str) -> AbstractContextManager[None]:
    """Return where a loss of somebody else's, which may fail in any way, fails as a request that cannot be met."""
    return others_blamed(f"the loss {name} cannot be used", "fix it, or choose another loss", RequestError)
