"""A student as a Stable-Baselines3 model, which trains on.

In: a student's record. Out: a `PPO` whose deterministic actions are the student's. Where the student's log σ depends on
the state, PPO starts with its bias for all states, since SB3 has one vector; where it was dropped, with SB3's own 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from torch import nn

from policy_distill.environments.open import normalization_of
from policy_distill.errors import RequestError
from policy_distill.exporters.sb3_critic import copy_critic, value_widths
from policy_distill.exporters.sb3_policy import ACTIVATIONS, StudentActorCriticPolicy, StudentExtractor
from policy_distill.student.features import Normalizer, Part
from policy_distill.student.layers import beside, layer_shapes
from policy_distill.student.pixels import channels_first, is_image
from policy_distill.student.plan import Plan
from policy_distill.student.record import CriticRecord, StudentRecord
from policy_distill.student.spaces import SpaceRecord, make_space
from policy_distill.student.view import ALL


class Spaces(gymnasium.Env[Any, Any]):
    """Stands for an environment that is not here: it has the spaces and cannot be stepped."""

    def __init__(self, student: StudentRecord) -> None:
        self.observation_space = make_space(student.description.observation_space)
        self.action_space = make_space(student.description.action_space)


def to_sb3(student: StudentRecord, env: Any, critic: CriticRecord | None = None) -> PPO:
    """Return a PPO model in `env` whose policy starts as the student, and whose values, of raw returns, as the critic.

    Raises:
        RequestError: for a student whose spaces SB3 cannot hold: discrete ones that do not start at 0, and actions
            without bounds; that sees components of a Dict, in an `env` that shows more; for an `env` whose
            `VecNormalize` normalises observations, which the student does itself.
    """
    student = _for_env(student, env)
    plan = student.plan
    if plan.memory.size:
        kind = student.description.architecture.spec
        raise RequestError(f"expected a feed-forward student for PPO, found {kind}; distil an mlp to train on in SB3")
    if not any("weight" in layer for layer in plan.layers):
        raise RequestError("expected a network, as Stable-Baselines3's policies are, found a tree; use another format")
    _check_spaces(student)
    normalizer = normalization_of(env)
    if normalizer is not None and normalizer.norm_obs:
        raise RequestError(
            "expected an environment with raw observations, since the student normalises them itself, found a "
            "VecNormalize: pass env.venv, or set env.norm_obs = False"
        )
    dense = _dense(plan)
    if plan.head.kind == "argmax" and student.description.action_space["type"] == "MultiBinary":
        dense[-1] = _as_bits(*dense[-1])
    activation = student.description.architecture.activation
    _check_layers(plan, activation)
    post = plan.action_map.to_json()
    squash = (post["low"], post["high"]) if post["kind"] == "unsquash" else None
    model = PPO(
        StudentActorCriticPolicy,
        env,
        device="cpu",
        policy_kwargs={
            "net_arch": {"pi": [len(bias) for _, bias in dense[:-1]], "vf": value_widths(critic)},
            "activation_fn": ACTIVATIONS[activation],
            "features_extractor_class": StudentExtractor,
            "features_extractor_kwargs": _extractor(plan, activation),
            "normalize_images": False,  # the extractor does it, for every kind of bytes
            "squash": squash,
        },
    )
    _copy(model.policy, plan, dense, squash is not None, student.tensors.get("log_std"))
    copy_critic(model.policy, critic)
    return model


def _for_env(student: StudentRecord, env: Any) -> StudentRecord:
    """Return a student that takes what `env` shows: one that sees a part of a vector looks for it there."""
    view, space = student.view, student.description.observation_space
    if not view.components or env.observation_space == make_space(space):
        return student
    assert view.whole is not None
    if space["type"] == "Dict":
        raise RequestError(
            "expected an environment with exactly what the student reads of each key, found more; wrap it"
        )
    columns, normalizer = list(view.components[""]), student.plan.normalizer
    if isinstance(normalizer, Normalizer):
        mean, variance = np.zeros(view.size), np.ones(view.size)
        mean[columns], variance[columns] = normalizer.mean, normalizer.variance
        normalizer = replace(normalizer, mean=mean, variance=variance)
    # Columns of columns, where a first layer selects already.
    first, *others = student.plan.layers
    selects = first["op"] == "select"
    select = {"op": "select", "columns": [columns[n] for n in first["columns"]] if selects else columns}
    layers = [select, *(others if selects else student.plan.layers)]
    said = student.description
    architecture = replace(said.architecture, input_shape=[view.size], layers=layers)
    said = replace(said, architecture=architecture, observation_space=view.whole, normalizer=normalizer, view=ALL)
    return StudentRecord(student.tensors, said)


def _check_spaces(student: StudentRecord) -> None:
    spaces = [student.description.observation_space, student.description.action_space]
    spaces += spaces[0].get("spaces", {}).values()
    if any(np.any(space.get("start", 0)) for space in spaces):
        raise RequestError(
            "expected discrete spaces that start at 0, as Stable-Baselines3 requires; wrap the environment"
        )
    action_map = student.plan.action_map
    bounds = [] if action_map.kind == "index" else [action_map.low, action_map.high]
    if any(bound is None or not np.isfinite(bound).all() for bound in bounds):
        raise RequestError("expected actions with bounds, as Stable-Baselines3 requires; wrap the environment")


def _dense(plan: Plan) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights and biases of the linear layers, with zeros for what the student leaves out."""
    found = [(plan.tensors[layer["weight"]], plan.tensors[layer["bias"]]) for layer in _of(plan, "linear")]
    for layer in _of(plan, "select"):
        weight, bias = found[0]
        whole = np.zeros((len(weight), plan.featurizer.shape[0]), weight.dtype)
        whole[:, layer["columns"]] = weight
        found[0] = whole, bias
    weight, bias = found[-1]
    found[-1] = plan.head.all_rows(weight), plan.head.all_rows(bias)
    return found


def _as_bits(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer of bits `[n, D]` for one of choices between two `[2 n, D]`, as a masked teacher's student has."""
    return weight[1::2] - weight[::2], bias[1::2] - bias[::2]


def _check_layers(plan: Plan, activation: str) -> None:
    n_images, n_dense = len(_of(plan, "conv2d")), len(_of(plan, "linear"))
    first = ["scale"] if plan.featurizer.is_image else ["image"] * len(_of(plan, "image"))
    images = [*first, *["conv2d", activation] * n_images, "flatten"] if first else []
    squashed = plan.head.kind == "mean" and plan.action_map.kind == "unsquash"
    expected = [*images, *["linear", activation] * (n_dense - 1), "linear", *["tanh"] * squashed]
    ops = [layer["op"] for layer in plan.layers]
    if ops[ops[:1] == ["select"] :] != expected or activation not in ACTIVATIONS:
        raise RequestError("expected layers in the order of an mlp or a cnn, as Stable-Baselines3's policies have them")


def _of(plan: Plan, op: str) -> list[Any]:
    return [layer for layer in plan.layers if layer["op"] == op]


def _extractor(plan: Plan, activation: str) -> dict[str, Any]:
    featurizer = plan.featurizer
    space = featurizer.space
    subs = space["spaces"] if space["type"] == "Dict" else {"": space}
    convolutions = []
    for layer in _of(plan, "conv2d"):
        n_out, n_in, *kernel = plan.tensors[layer["weight"]].shape
        convolutions.append({"n_in": n_in, "n_out": n_out, "kernel": kernel, "stride": layer["stride"]})
    # What the first linear layer takes: features, or what the convolutions leave, and what waits beside them.
    shapes = layer_shapes(plan.layers, plan.tensors, featurizer.shape)
    first = next(place for place, layer in enumerate(plan.layers) if layer["op"] in ("linear", "select"))
    images = [{**layer, "beside": beside(layer)} for layer in _of(plan, "image")]
    return {
        "features_dim": int(np.prod(shapes[first][0])),
        **({"image": images[0]} if images else {}),
        "parts": [_part(part, subs[part.key], plan) for part in featurizer.parts],
        "convolutions": convolutions,
        "activation": activation,
    }


def _part(part: Part, space: SpaceRecord, plan: Plan) -> dict[str, Any]:
    normalizer = part.normalizer
    factors = [layer["factor"] for layer in _of(plan, "scale")]
    alone = plan.featurizer.is_image
    scale = factors[0] if alone and factors else part.scale
    return {
        "key": part.key,
        "mean": [] if normalizer is None else normalizer.mean.ravel().tolist(),
        "scale": [] if normalizer is None else normalizer.scale.ravel().tolist(),
        "clip": None if normalizer is None or not np.isfinite(normalizer.clip) else normalizer.clip,
        "factor": 1.0 if scale is None else float(scale),
        "is_image": alone,
        "channels_last": not alone and _sb3_transposes(space),
        "to_front": alone and not channels_first(part.shape) and not _sb3_transposes(space),
    }


def _sb3_transposes(space: SpaceRecord) -> bool:
    """Say whether SB3 puts the channels of this space first: images of bytes from 0 to 255 with channels last."""
    return is_image(space) and not channels_first(tuple(space["shape"]))


def _copy(
    policy: Any, plan: Plan, dense: list[tuple[np.ndarray, np.ndarray]], squashed: bool, log_std: np.ndarray | None
) -> None:
    action_net = policy.action_net[0] if squashed else policy.action_net
    targets = [module for module in policy.mlp_extractor.policy_net if isinstance(module, nn.Linear)]
    n_actions = action_net.out_features
    images = [module for module in policy.features_extractor.convolutions if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        for module, layer in zip(images, _of(plan, "conv2d"), strict=True):
            module.weight.copy_(torch.from_numpy(plan.tensors[layer["weight"]]))
            assert module.bias is not None
            module.bias.copy_(torch.from_numpy(plan.tensors[layer["bias"]]))
        for module, (weight, bias) in zip([*targets, action_net], dense, strict=True):
            # A head of log σ follows the means; SB3's policy has none.
            module.weight.copy_(torch.from_numpy(weight[: module.out_features]))
            module.bias.copy_(torch.from_numpy(bias[: module.out_features]))
        if log_std is None and len(dense[-1][1]) == 2 * n_actions:
            log_std = dense[-1][1][n_actions:]
        if log_std is not None:
            policy.log_std.copy_(torch.from_numpy(log_std))
