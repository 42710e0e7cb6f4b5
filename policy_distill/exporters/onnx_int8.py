"""Layers in eight bits as ONNX nodes: each input and weight goes through counts and back, which runtimes fuse.

In: `QuantizedLayer`s. Out: what `build_model` adds in place of a float layer. Written so, and not by a converter, the
steps are the same as in C, and no step depends on the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from policy_distill.student.engines.onnx_builder import Graph
from policy_distill.student.engines.onnx_graph import AddLinear
from policy_distill.student.quantization import QuantizedLayer


def add_quantized(quantized: Mapping[int, QuantizedLayer]) -> AddLinear:
    """Return what adds a layer by its place."""

    def add(graph: Graph, x: str, layer: Mapping[str, Any], place: int) -> str:
        one = quantized[place]
        step = graph.constant(one.input_step, np.float32)
        zero = graph.constant(one.input_zero, np.int8)
        if one.input_scale is not None:
            x = graph.add("Mul", x, graph.constant(one.input_scale, np.float32))
        x = graph.add("DequantizeLinear", graph.add("QuantizeLinear", x, step, zero), step, zero)
        n_out = len(one.bias)
        weight = graph.add(
            "DequantizeLinear",
            graph.constant(one.weight, np.int8),
            graph.constant(one.weight_step, np.float32),
            graph.constant(np.zeros(n_out), np.int8),
            axis=0,
        )
        bias = graph.constant(_bias(one), np.float32)
        if layer["op"] == "conv2d":
            return graph.add("Conv", x, weight, bias, strides=[layer["stride"]] * 2)
        return graph.add("Gemm", x, weight, bias, transB=1)

    return add


def _bias(one: QuantizedLayer) -> np.ndarray:
    """Return the bias with the shift of the input put back, since the graph takes it off itself."""
    sums = one.weight.reshape(len(one.bias), -1).sum(axis=1, dtype=np.int64)
    return one.bias + one.input_zero * sums * one.output_step
