"""A student as an ONNX graph: raw observations in; the executed action and the distribution's parameters out.

In: a `Plan`. Out: a checked `ModelProto` with a dynamic batch. It is written node by node, so no torch is needed, and
normalisation, mode, clipping and unsquashing are inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from policy_distill.engines.onnx_builder import Graph, tensor_type
from policy_distill.observations import Part, channels_first
from policy_distill.plan import GAUSSIANS, Plan

OPSET = 17
IR_VERSION = 8
"""Old enough for the runtimes of the last years, browsers and embedded boards included."""


AddLinear = Callable[[Graph, str, Mapping[str, Any], int], str]
"""Adds a linear or convolutional layer: graph, input, record, place among the layers."""


def build_model(plan: Plan, metadata: Mapping[str, str], add_linear: AddLinear | None = None) -> onnx.ModelProto:
    """Return the model; `metadata` is embedded as its properties.

    Inputs are called `obs`, or as the keys of a Dict. Outputs: `action`; `logits`, or `mean` and, where the network
    gives or the student has it, `log_std`.
    """
    graph = Graph()
    parts = plan.featurizer.parts
    inputs = [
        helper.make_tensor_value_info(input_name(part), tensor_type(part.dtype), ["batch", *part.shape])
        for part in parts
    ]
    x = _image(graph, parts[0]) if plan.featurizer.is_image else _features(graph, parts)
    add_linear = add_linear or _linear(plan)
    for place, layer in enumerate(plan.layers):
        x = add_linear(graph, x, layer, place) if "weight" in layer else _simple(graph, x, layer)
    outputs = _action(graph, plan, x)
    model = helper.make_model(
        helper.make_graph(graph.nodes, "student", inputs, outputs, list(graph.constants.values())),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="policy-distill",
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model


def input_name(part: Part) -> str:
    """Return the name of the graph's input for a part of the observation."""
    return part.key or "obs"


def feed(plan: Plan, obs: Any) -> dict[str, np.ndarray]:
    """Return a batch of raw observations by the names of the inputs."""
    arrays = {part.key: obs[part.key] for part in plan.featurizer.parts} if isinstance(obs, dict) else {"": obs}
    return {
        input_name(part): np.ascontiguousarray(arrays[part.key], dtype=part.dtype) for part in plan.featurizer.parts
    }


def _image(graph: Graph, part: Part) -> str:
    return (
        input_name(part) if channels_first(part.shape) else graph.add("Transpose", input_name(part), perm=[0, 3, 1, 2])
    )


def _features(graph: Graph, parts: list[Part]) -> str:
    features = [_part_features(graph, part) for part in parts]
    return features[0] if len(features) == 1 else graph.add("Concat", *features, axis=1)


def _part_features(graph: Graph, part: Part) -> str:
    # -1 stands for the batch alone, since the other size is known.
    x = input_name(part)
    if part.offsets is not None:
        return _one_hot(graph, x, part)
    if part.normalizer is not None:
        x = graph.cast(x, np.float64)
        x = graph.add("Sub", x, graph.constant(part.normalizer.mean, np.float64))
        x = graph.add("Mul", x, graph.constant(part.normalizer.scale, np.float64))
        if np.isfinite(part.normalizer.clip):
            x = graph.add("Max", x, graph.constant(-part.normalizer.clip, np.float64))
            x = graph.add("Min", x, graph.constant(part.normalizer.clip, np.float64))
    x = graph.cast(x, np.float32)
    if part.scale is not None:
        x = graph.add("Mul", x, graph.constant(part.scale, np.float32))
    return graph.reshape(x, [-1, part.size]) if len(part.shape) != 1 else x


def _one_hot(graph: Graph, x: str, part: Part) -> str:
    # Comparing with each value of each head gives zeros and ones in their places.
    assert part.offsets is not None
    index = graph.reshape(graph.cast(x, np.int64), [-1, len(part.one_hot)])
    values = np.concatenate([np.arange(size) for size in part.one_hot])
    heads = np.repeat(np.arange(len(part.one_hot)), part.one_hot)
    starts = np.cumsum([0, *part.one_hot[:-1]]) - part.offsets
    spread = graph.add("Gather", index, graph.constant(heads, np.int64), axis=1)
    return graph.cast(graph.add("Equal", spread, graph.constant(values + starts[heads], np.int64)), np.float32)


def _linear(plan: Plan) -> AddLinear:
    def add(graph: Graph, x: str, layer: Mapping[str, Any], place: int) -> str:
        weight = graph.constant(plan.tensors[layer["weight"]], np.float32, layer["weight"])
        bias = graph.constant(plan.tensors[layer["bias"]], np.float32, layer["bias"])
        if layer["op"] == "conv2d":
            return graph.add("Conv", x, weight, bias, strides=[layer["stride"]] * 2)
        return graph.add("Gemm", x, weight, bias, transB=1)

    return add


def _simple(graph: Graph, x: str, layer: Mapping[str, Any]) -> str:
    if layer["op"] == "scale":
        return graph.add("Mul", graph.cast(x, np.float32), graph.constant(layer["factor"], np.float32))
    return graph.add({"tanh": "Tanh", "relu": "Relu", "flatten": "Flatten"}[layer["op"]], x)


def _action(graph: Graph, plan: Plan, x: str) -> list[onnx.ValueInfoProto]:
    """Add what follows the network's outputs; return the descriptions of the model's outputs."""
    family, action_map = plan.family, plan.action_map
    if family in GAUSSIANS:
        mode = parameters = graph.columns(x, 0, plan.n_modes, "mean")
        names = [("mean", plan.n_modes)]
        if plan.n_outputs > plan.n_modes:
            graph.columns(x, plan.n_modes, plan.n_outputs, "log_std")
            names.append(("log_std", plan.n_modes))
        else:
            # One vector for all states: as many rows as there are observations, as the other outputs have.
            log_std = graph.constant(plan.tensors["log_std"], np.float32)
            graph.add("Add", graph.add("Mul", mode, graph.constant(0, np.float32)), log_std, output="log_std")
            names.append(("log_std", plan.n_modes))
        mode = graph.add("Tanh", parameters) if family == "squashed_gaussian" else parameters
    else:
        name = "mean" if family == "deterministic" else "logits"
        parameters = graph.add("Identity", x, output=name)
        names = [(name, plan.n_outputs)]
        mode = _discrete_mode(graph, plan, parameters)
    _execute(graph, plan, mode)
    outputs = [
        helper.make_tensor_value_info("action", tensor_type(action_map.dtype), ["batch", *action_map.shape]),
        *(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in names),
    ]
    return outputs


def _discrete_mode(graph: Graph, plan: Plan, x: str) -> str:
    if plan.family == "categorical":
        return graph.add("ArgMax", x, axis=1, keepdims=0)
    if plan.family == "multi_categorical":
        ends = np.cumsum(plan.family_config["nvec"])
        heads = [graph.columns(x, end - n, end) for n, end in zip(plan.family_config["nvec"], ends, strict=True)]
        return graph.add("Concat", *(graph.add("ArgMax", head, axis=1, keepdims=1) for head in heads), axis=1)
    if plan.family == "bernoulli":
        return graph.cast(graph.add("Greater", x, graph.constant(0, np.float32)), np.int64)
    return x


def _execute(graph: Graph, plan: Plan, mode: str) -> None:
    action_map = plan.action_map
    shape = [-1, *action_map.shape]
    if action_map.kind == "index":
        x = graph.add("Add", mode, graph.constant(action_map.start, np.int64))
        x = graph.cast(x, action_map.dtype) if action_map.dtype != "int64" else x
    else:
        x = mode
        if action_map.kind != "none":
            assert action_map.low is not None and action_map.high is not None
            low, high = action_map.low.ravel(), action_map.high.ravel()
            if action_map.kind == "clip":
                x = graph.add(
                    "Max", graph.add("Min", x, graph.constant(high, np.float32)), graph.constant(low, np.float32)
                )
            else:
                half = graph.constant(0.5 * (high - low), np.float32)
                x = graph.add("Mul", graph.add("Add", x, graph.constant(1, np.float32)), half)
                x = graph.add("Add", x, graph.constant(low, np.float32))
        x = graph.cast(x, action_map.dtype)
    graph.reshape(x, shape, output="action")
