"""Files of a policy alone, as `policy.save` writes them: weights and constructor's arguments, without an algorithm.

In: a path. Out: a `SavedAgent`, as if the policy lay in an agent's zip. The file does not say of which class the policy
is; its weights and arguments do.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch

from policy_distill.errors import RequestError
from policy_distill.system.files import open_plain, read_plain
from policy_distill.teachers.files.bounded_zip import BoundedZip
from policy_distill.teachers.files.stand_ins import Inert
from policy_distill.teachers.files.weights import read_policy
from policy_distill.teachers.files.zip_file import SavedAgent

MAX_BYTES = 2**32
"""A policy larger than this is none."""

ARS = "sb3_contrib.ars.policies.ARSPolicy"
LINEAR_ARS = "sb3_contrib.ars.policies.ARSLinearPolicy"
SPACES = ("observation_space", "action_space")
NOT_ARGUMENTS = (*SPACES, "lr_schedule")
"""What stands elsewhere in an agent's zip, or is for training."""


def is_policy_file(path: Path) -> bool:
    """Say whether a file is one of torch and no agent's zip; errors are left to whoever reads it."""
    try:
        file, n_bytes = open_plain(path, "a teacher's zip")
        with file:
            if file.read(4) != b"PK\x03\x04":
                return False
            names = BoundedZip(file, n_bytes, str(path)).names
    except (RequestError, OSError):
        return False
    return "data" not in names and any(name.endswith("/data.pkl") for name in names)


def read_policy_file(path: Path) -> SavedAgent:
    """Read a policy's file, without running anything from it.

    Raises:
        RequestError: for a file of torch that is no policy's, or one with an object outside the allow-list.
    """
    data = read_plain(path, MAX_BYTES, "the file of a policy")
    weights, saved = read_policy(data, str(path))
    reference, arguments = policy_of(weights, saved, path)
    attributes: dict[str, Any] = {name: saved[name] for name in SPACES if name in saved}
    attributes["policy_class"] = type("StandIn", (Inert,), {"reference": reference, "__slots__": ()})
    attributes["policy_kwargs"] = {name: value for name, value in arguments.items() if name not in NOT_ARGUMENTS}
    return SavedAgent(path, attributes, weights, hashlib.sha256(data).hexdigest(), len(data), {})


def policy_of(weights: dict[str, Any], arguments: dict[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    """Return the name of the class of a saved policy, told by the parts that it has, and the arguments to make it.

    Raises:
        RequestError: where no policy of SB3 or sb3-contrib has such parts.
    """
    reference = _class_of(weights, arguments, path)
    if reference != ARS:
        return reference, arguments
    # Its own file leaves out whether there is a bias; without hidden layers it is the linear one.
    with_bias = {"with_bias": any(name.endswith(".bias") for name in weights)}
    if arguments.get("net_arch"):
        return reference, {**arguments, **with_bias}
    return LINEAR_ARS, {**{name: arguments[name] for name in SPACES if name in arguments}, **with_bias}


def _class_of(weights: dict[str, Any], arguments: dict[str, Any], path: Path) -> str:
    parts = {name.split(".")[0] for name in weights}
    actor = {name.split(".")[1] for name in weights if name.startswith("actor.")}
    if "lstm_actor" in parts:
        return "sb3_contrib.common.recurrent.policies.RecurrentActorCriticPolicy"
    if "value_net" in parts:
        masked = "use_sde" not in arguments
        package = "sb3_contrib.common.maskable.policies.Maskable" if masked else "stable_baselines3.common.policies."
        return f"{package}ActorCriticPolicy"
    if "quantile_net" in parts:
        return "sb3_contrib.qrdqn.policies.QRDQNPolicy"
    if "q_net" in parts:
        return "stable_baselines3.dqn.policies.DQNPolicy"
    if "log_std" in actor:
        if "batch_norm" in arguments:
            return "sb3_contrib.crossq.policies.CrossQPolicy"
        if "n_quantiles" in arguments:
            return "sb3_contrib.tqc.policies.TQCPolicy"
        return "stable_baselines3.sac.policies.SACPolicy"
    if actor:
        return "stable_baselines3.td3.policies.TD3Policy"
    if parts == {"action_net"}:
        return ARS
    raise RequestError(
        f"{path} holds no policy of Stable-Baselines3 or sb3-contrib (parts: {', '.join(sorted(parts)[:5])})"
    )


def load_trusted_policy(path: Path) -> Any:
    """Let torch load a policy's file, as the caller vouches for it: the policy itself, or what `policy.save` wrote."""
    found = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=False)
    if not isinstance(found, dict):
        return found
    reference, arguments = policy_of(found["state_dict"], found["data"], path)
    module, _, name = reference.rpartition(".")
    policy = resolve_name(f"{module}:{name}")(**arguments)
    policy.load_state_dict(found["state_dict"])
    return policy
