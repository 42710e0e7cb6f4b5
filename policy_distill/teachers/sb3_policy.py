"""Rebuilds an SB3 policy network from a zip's plain data, without the algorithm that trained it.

In: a `SavedAgent`. Out: the policy, in evaluation mode, on the CPU, with the saved weights of its actor.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pkgutil import resolve_name
from typing import Any

import torch
from gymnasium import Space
from stable_baselines3.common import torch_layers
from stable_baselines3.common.policies import BasePolicy
from torch.nn.modules.module import register_module_parameter_registration_hook

from policy_distill.errors import RequestError
from policy_distill.system.foreign import asked
from policy_distill.teachers.algorithms import OWN, may_be_named
from policy_distill.teachers.files.stand_ins import Inert, reference_of
from policy_distill.teachers.files.zip_file import SavedAgent

EXTRACTORS = {
    f"stable_baselines3.common.torch_layers.{cls.__name__}": cls
    for cls in (torch_layers.FlattenExtractor, torch_layers.NatureCNN, torch_layers.CombinedExtractor)
}
_ACTIVATIONS = (
    "CELU ELU GELU Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6 SELU SiLU Sigmoid "
    "Softplus Softsign Tanh Tanhshrink"
)
ACTIVATIONS = {f"torch.nn.modules.activation.{name}": vars(torch.nn)[name] for name in _ACTIVATIONS.split()}
ACTIVATIONS["torch.nn.modules.linear.Identity"] = torch.nn.Identity

NOT_FOR_ACTING = ("device", "optimizer_class", "optimizer_kwargs", "sde_net_arch")
"""Arguments of a policy that only training reads, or that SB3 no longer has."""

CRITICS = (
    "value_net.",
    "mlp_extractor.value_net.",
    "vf_features_extractor.",
    "critic.",
    "lstm_critic.",
)
"""Weights that values need, and acting does not: a file may lack them."""

TARGETS = ("critic_target.", "actor_target.", "q_net_target.", "quantile_net_target.")
"""Weights that nobody but a training needs."""


class _NoOptimizer:
    """Stands where SB3 wants an optimiser: making one of torch's takes a second, and nothing here trains."""

    def __init__(self, *_: Any, **__: Any) -> None: ...


FOR_TRAINING = {"lr_schedule": lambda _: 0.0, "optimizer_class": _NoOptimizer}
"""Arguments of a policy that it needs to be built and never reads to act."""

SPARE_PARAMETERS = 4
"""A rebuilt policy has at most so many times the parameters that were saved; some files leave out the critic's."""


def rebuild_policy(agent: SavedAgent, observation_space: Space[Any], action_space: Space[Any]) -> BasePolicy:
    """Return the policy with its saved weights.

    Raises:
        RequestError: for a policy, activation or extractor that SB3 does not ship, or weights that do not fit.
    """
    cls = _policy_class(agent)
    arguments = _arguments(agent, cls)
    known = inspect.signature(cls).parameters
    arguments |= {name: value for name, value in FOR_TRAINING.items() if name in known}
    try:
        with _at_most(agent):
            policy = cls(observation_space, action_space, **arguments)
    except RequestError:
        raise
    except Exception as error:
        # The arguments are the file's, and what they lead to in SB3 and torch can be anything.
        raise RequestError(
            f"{agent.path}: its policy cannot be built ({_line(error)}); load it in Python with SB3 and pass the model"
        ) from None
    _load_weights(policy, agent)
    return freeze(policy)


def freeze(policy: BasePolicy) -> BasePolicy:
    """Return the policy in evaluation mode, without gradients."""
    policy.set_training_mode(False)
    for parameter in policy.parameters():
        parameter.requires_grad_(False)
    return policy


@contextmanager
def _at_most(agent: SavedAgent) -> Iterator[None]:
    """Stop a policy that is built much larger than its saved weights, before its memory is touched."""
    allowed = SPARE_PARAMETERS * (1 + sum(1 + value.numel() for value in agent.weights.values()))

    def count(module: torch.nn.Module, name: str, parameter: Any) -> None:
        nonlocal allowed
        allowed -= 1 + (parameter.numel() if parameter is not None else 0)
        if allowed < 0:
            raise RequestError(f"{agent.path} describes a policy far larger than its weights; copy it again")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _policy_class(agent: SavedAgent) -> Any:
    reference = reference_of(agent.data.get("policy_class")) or str(agent.data.get("policy_class"))
    module, _, name = reference.rpartition(".")
    if not may_be_named(module, name):
        raise _not_known(agent, "policy", reference)
    try:
        return resolve_name(f"{module}:{name}")
    except ImportError:
        raise RequestError(
            f"{agent.path} needs {module.split('.')[0]}: pip install 'policy-distill[contrib]'"
        ) from None


def _arguments(agent: SavedAgent, cls: Any) -> dict[str, Any]:
    """Return the policy's own arguments, with stand-ins replaced by what SB3 and torch ship."""
    saved = agent.data.get("policy_kwargs") or {}
    if not isinstance(saved, dict):
        raise RequestError(f"{agent.path} is damaged: its policy_kwargs are not a dictionary; copy it again")
    arguments = {key: value for key, value in saved.items() if key not in NOT_FOR_ACTING}
    if agent.data.get("use_sde") and "use_sde" in inspect.signature(cls).parameters:
        arguments["use_sde"] = True
    net_arch = arguments.get("net_arch")
    if isinstance(net_arch, list) and net_arch and isinstance(net_arch[0], dict):
        # How SB3 wrote separate networks for policy and value before 1.8.
        arguments["net_arch"] = net_arch[0]
    for key in ("features_extractor_kwargs", "squash"):
        if not _is_plain(arguments.get(key)):
            raise RequestError(f"{agent.path} is damaged: its {key} are not plain values; copy it again")
    return {key: _resolve(agent, key, value) for key, value in arguments.items()}


def _is_plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        # A pickled list may hold itself.
        return depth < 8 and all(_is_plain(one, depth + 1) for one in value)
    return value is None or isinstance(value, bool | int | float | str)


def _resolve(agent: SavedAgent, key: str, value: Any) -> Any:
    reference = reference_of(value)
    if reference is None and not isinstance(value, Inert):
        return value
    (own,) = OWN
    if key == "features_extractor_class" and reference == f"{own}.StudentExtractor":
        return import_module(own).StudentExtractor
    table = {"activation_fn": ACTIVATIONS, "features_extractor_class": EXTRACTORS}.get(key, {})
    if reference not in table:
        raise _not_known(agent, key, reference or type(value).reference)
    return table[reference]


def _load_weights(policy: BasePolicy, agent: SavedAgent) -> None:
    weights = {name: value for name, value in agent.weights.items() if not name.startswith((*CRITICS, *TARGETS))}
    known = policy.state_dict()
    critics = {name: value for name, value in known.items() if name.startswith(CRITICS)}
    saved = {name: agent.weights[name] for name in critics if name in agent.weights}
    fitting = {name: value for name, value in saved.items() if value.shape == critics[name].shape}
    # What policy and value share has been saved under the policy's name alone, by old versions.
    shared = {value.data_ptr() for name, value in known.items() if not name.startswith(CRITICS)}
    missing_critic = [n for n in critics if n not in fitting and critics[n].data_ptr() not in shared]
    weights |= fitting
    try:
        missing, unexpected = policy.load_state_dict(weights, strict=False)
        if agent.data.get("use_sde"):
            # After the weights, as SB3 does: `predict` would go on with noise of an untrained spread.
            asked(policy, "reset_noise", lambda: None)()
    except Exception as error:
        raise RequestError(f"{agent.path}: its weights do not fit its policy ({_line(error)})") from None
    # Before SB3 1.7 a shared extractor was saved once; today it is listed under three names.
    missing = [name for name in missing if not name.startswith((*CRITICS, *TARGETS, "pi_features_extractor."))]
    vars(policy)["missing_critic"] = tuple(missing_critic)
    if missing or unexpected:
        names = ", ".join([*missing, *unexpected][:3])
        raise RequestError(f"{agent.path}: its weights do not fit its policy (among them {names})")


def _not_known(agent: SavedAgent, what: str, reference: Any) -> RequestError:
    return RequestError(
        f"{agent.path} uses the {what} {reference}, not part of Stable-Baselines3 or torch; nothing of it was run. "
        "If you trust the file, load it with trust=True (--trust)"
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
