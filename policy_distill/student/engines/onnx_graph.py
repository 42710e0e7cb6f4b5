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

from policy_distill.student.engines.folding import fold, foldable
from policy_distill.student.engines.onnx_builder import Graph, tensor_type, versions_for
from policy_distill.student.engines.onnx_output import (
    AWAITING,
    MASKS,
    OUTPUTS,
    STATE_IN,
    STATE_OUT,
    add_execution,
    add_masks,
    add_mode,
    add_taken,
    name_outputs,
)
from policy_distill.student.features import Part
from policy_distill.student.layers import runs
from policy_distill.student.operations.operation import Layer, Tensors
from policy_distill.student.operations.table import find_operation
from policy_distill.student.pixels import channels_first
from policy_distill.student.plan import Plan

AddLinear = Callable[[Graph, str, Mapping[str, Any], int], str]
"""Adds a linear or convolutional layer: graph, input, record, place among the layers."""


def build_model(
    plan: Plan,
    metadata: Mapping[str, str],
    add_linear: AddLinear | None = None,
    *,
    named: bool = True,
    masked: bool = False,
    single: bool = False,
    opset: int | None = None,
) -> onnx.ModelProto:
    """Return the model; `metadata` is embedded as its properties.

    Inputs are called `obs`, or as the keys of a Dict (`obs_action` for a key that an output has). Outputs: `action`;
    `logits`, or `mean` and, where the network gives or the student has it, `log_std`. Without `named`, what comes with
    the action is the network's `outputs`. With `masked` there is an input `action_masks` too, bool of the logits' size.
    With `single`, inputs whose space has float64 are float32. A student with a memory has the input `h_in` and the
    output `h_out`, float32 `[B, n]`, zeros where an episode begins. `opset` is the version of the operators, by default
    as of `VERSIONS`.

    Raises:
        RequestError: for an opset that has no type for the weights.
    """
    graph = Graph()
    inputs = [
        helper.make_tensor_value_info(input_name(part), tensor_type(input_dtype(part, single)), ["batch", *part.shape])
        for part in plan.featurizer.parts
    ]
    x = _network(graph, plan, add_linear, single)
    if plan.memory.size:
        inputs.append(helper.make_tensor_value_info(STATE_IN, TensorProto.FLOAT, ["batch", plan.memory.size]))
    mode_of, names = name_outputs(graph, plan, x, named)
    if masked:
        mode_of = add_masks(graph, mode_of)
        # A row for each observation, or one for all.
        inputs.append(helper.make_tensor_value_info(MASKS, TensorProto.BOOL, ["masks", plan.head.n_scores]))
    mode = add_mode(graph, plan, mode_of)
    add_execution(graph, plan, mode)
    if plan.memory.awaited is not None:
        add_taken(graph, plan, mode)
    action_map = plan.action_map
    outputs = [
        helper.make_tensor_value_info("action", tensor_type(action_map.dtype), ["batch", *action_map.shape]),
        *(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in names.items()),
    ]
    if plan.memory.size:
        outputs.append(helper.make_tensor_value_info(STATE_OUT, TensorProto.FLOAT, ["batch", plan.memory.size]))
    version, ir_version = versions_for(graph.least_bits, opset)
    model = helper.make_model(
        helper.make_graph(graph.nodes, "student", inputs, outputs, list(graph.constants.values())),
        opset_imports=[helper.make_opsetid("", version)],
        ir_version=ir_version,
        producer_name="policy-distill",
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model


def _network(graph: Graph, plan: Plan, add_linear: AddLinear | None, single: bool) -> str:
    """Add all from the inputs to the network's outputs; return the name of these."""
    if add_linear is None and plan.is_perceptron and foldable(plan):
        return _folded(graph, plan, single)
    parts = plan.featurizer.parts
    x = _image(graph, parts[0]) if plan.featurizer.is_image else _features(graph, parts)
    states: list[str] = []
    for n, run in runs(enumerate(plan.layers), lambda one: one[1]):
        own, waiting = (graph.columns(x, 0, -n), graph.columns(x, -n)) if n else (x, None)
        for place, layer in run:
            if add_linear is not None and "weight" in layer:
                own = add_linear(graph, own, layer, place)
            elif place in plan.memory.starts:
                own = _remember(graph, own, plan, place, states)
            else:
                own = _add(graph, own, layer, plan.tensors)
        x = own if waiting is None else graph.add("Concat", own, waiting, axis=1)
    if states:
        # A node of its own, since the network goes on with what it is.
        graph.add("Concat", *states, axis=1, output=STATE_OUT if plan.memory.awaited is None else AWAITING)
    return x


def _remember(graph: Graph, x: str, plan: Plan, place: int, states: list[str]) -> str:
    """Add a layer with a memory, whose next state goes to `states`."""
    (part,) = (part for part in plan.memory.parts if part.place == place)
    form = find_operation(part.kind).form("onnx", "ONNX")
    own = graph.columns(STATE_IN, part.start, part.start + part.size)
    y, after = form(graph, x, plan.layers[place], plan.tensors, own)
    states.append(after)
    return str(y)


def input_name(part: Part) -> str:
    """Return the name of the graph's input for a part of the observation: its key, where no output is called so."""
    return f"obs_{part.key}" if part.key in OUTPUTS else part.key or "obs"


def input_dtype(part: Part, single: bool) -> np.dtype[Any]:
    """Return the type of a part's input."""
    return np.dtype(np.float32) if single and part.dtype == np.float64 else part.dtype


def feed(plan: Plan, obs: Any, *, single: bool = False) -> dict[str, np.ndarray]:
    """Return a batch of raw observations by the names of the inputs; `single` as of `build_model`."""
    arrays = {part.key: obs[part.key] for part in plan.featurizer.parts} if isinstance(obs, dict) else {"": obs}
    return {
        input_name(part): np.ascontiguousarray(arrays[part.key], dtype=input_dtype(part, single))
        for part in plan.featurizer.parts
    }


def _folded(graph: Graph, plan: Plan, single: bool) -> str:
    """Add clipping of the raw observation, and layers that normalise by their weights; see `perceptron.py`."""
    layers, low, high = fold(plan)
    part = plan.featurizer.parts[0]
    x = input_name(part)
    x = x if input_dtype(part, single) == np.float32 else graph.cast(x, np.float32)
    x = graph.reshape(x, [-1, part.size]) if len(part.shape) != 1 else x
    if plan.selected is not None:
        x = graph.add("Gather", x, graph.constant(plan.selected, np.int64), axis=1)
    if np.isfinite(low).all():
        x = graph.add("Min", graph.add("Max", x, graph.constant(low, np.float32)), graph.constant(high, np.float32))
    for layer in layers:
        weight, bias = layer.matrix[:, :-1], layer.matrix[:, -1]
        x = graph.add("Gemm", x, graph.constant(weight, np.float32), graph.constant(bias, np.float32), transB=1)
        x = _add(graph, x, {"op": layer.activation}, {}) if layer.activation else x
    return x


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


def _add(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    added: str = find_operation(layer["op"]).form("onnx", "ONNX")(graph, x, layer, tensors)
    return added
