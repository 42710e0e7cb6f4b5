"""Layers in eight bits or fewer as ONNX nodes.

In: `QuantizedLayer`s. Out: what `build_model` adds in place of a float layer. Written so, and not by a converter, the
steps are the same as in C, and no step depends on the batch.

In eight bits each input and weight goes through counts and back, which runtimes fuse into products of whole numbers.
They take no smaller weights, and in steps as coarse as those of fewer bits their own rounding of a fused layer is felt:
there the counts are multiplied as they are, in float32, which holds such sums exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.engines.onnx_builder import Graph
from policy_distill.student.engines.onnx_graph import AddLinear


def add_quantized(quantized: Mapping[int, QuantizedLayer]) -> AddLinear:
    """Return what adds a layer by its place."""
    add = _fused if all(one.bits == 8 for one in quantized.values()) else _counted
    return lambda graph, x, layer, place: add(graph, x, layer, quantized[place])


def _fused(graph: Graph, x: str, layer: Mapping[str, Any], one: QuantizedLayer) -> str:
    if one.input_scale is not None:
        x = graph.add("Mul", x, graph.constant(one.input_scale, np.float32))
    step = graph.constant(one.input_step, np.float32)
    zero = graph.constant(one.input_zero, np.int8)
    x = graph.add("DequantizeLinear", graph.add("QuantizeLinear", x, step, zero), step, zero)
    zeros = graph.constant(np.zeros(len(one.bias)), np.int8)
    weight_step = graph.constant(one.weight_step, np.float32)
    counts = graph.constant(one.weight, np.int8)
    weight = graph.add("DequantizeLinear", counts, weight_step, zeros, axis=0)
    # The graph takes the shift of the input off itself.
    sums = one.weight.reshape(len(one.bias), -1).sum(axis=1, dtype=np.int64)
    bias = graph.constant(one.bias + one.input_zero * sums * one.output_step, np.float32)
    if layer["op"] == "conv2d":
        return graph.add("Conv", x, weight, bias, strides=[layer["stride"]] * 2)
    return graph.add("Gemm", x, weight, bias, transB=1)


def _counted(graph: Graph, x: str, layer: Mapping[str, Any], one: QuantizedLayer) -> str:
    x = graph.add("Mul", x, graph.constant(one.per_step, np.float32))
    # Halves are rounded away from zero, as in C; ONNX rounds them to even.
    whole = graph.add("Floor", graph.add("Add", graph.add("Abs", x), graph.constant(0.5, np.float32)))
    counts = graph.add("Mul", graph.add("Sign", x), whole)
    counts = graph.add("Add", counts, graph.constant(one.input_zero, np.float32))
    counts = graph.add("Clip", counts, graph.constant(-128, np.float32), graph.constant(127, np.float32))
    weight = graph.cast(graph.packed(one.weight, one.bits), np.float32)
    step, bias = one.output_step, one.bias
    if layer["op"] == "conv2d":
        x = graph.add("Conv", counts, weight, strides=[layer["stride"]] * 2)
        step, bias = (values.reshape(-1, 1, 1) for values in (step, bias))
    else:
        x = graph.add("Gemm", counts, weight, transB=1)
    return graph.add("Add", graph.add("Mul", x, graph.constant(step, np.float32)), graph.constant(bias, np.float32))
