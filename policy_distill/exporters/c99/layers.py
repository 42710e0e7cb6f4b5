"""A student's layers in C: in floats as their operations say, or in eight bits.

In: a layer and where it stands. Out: lines, functions and constants in a `CSource`.
"""

from __future__ import annotations

import math

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.exporters.c99 import parts
from policy_distill.exporters.c99.source import Call, CSource
from policy_distill.student.bits.low_bit import pack_bits
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.operations.conv2d import sizes_in_c
from policy_distill.student.operations.table import find_operation


def add_layer(source: CSource, call: Call, quantized: QuantizedLayer | None) -> bool:
    """Add one layer; return whether its output is in the other buffer.

    Raises:
        RequestError: for an operation that has no form in C.
    """
    if quantized is not None:
        return _add_quantized(source, call, quantized)
    moved: bool = find_operation(call.layer["op"]).form("c", "C")(source, call)
    return moved


def _add_quantized(source: CSource, call: Call, quantized: QuantizedLayer) -> bool:
    n_out, n_in = quantized.weight.shape[:2]
    kind, function, sizes = "dense_int8", parts.DENSE_INT8, f"{n_in}, {n_out}"
    if quantized.bits < 8:
        kind, function, sizes = "dense_packed", parts.DENSE_PACKED, f"{n_in}, {n_out}, {quantized.bits}"
    elif call.layer["op"] == "conv2d":
        kind, function, sizes = "conv_int8", parts.CONV_INT8, sizes_in_c(call)
    elif call.layer["op"] != "linear":
        raise RequestError(f"the operation {call.layer['op']!r} has no form for C in eight bits; leave out --quantize")
    place, each = call.place, quantized.input_scale is not None
    source.use(parts.COUNT)
    source.use(parts.QUANTIZE_EACH if each else parts.QUANTIZE)
    source.use(function)
    bias = source.constant(f"bias_{place}", quantized.bias)
    name = source.constant(f"weight_{place}", *_weights(quantized))
    step = source.constant(f"step_{place}", quantized.output_step)
    per_step = quantized.per_step
    counted = source.constant(f"per_step_{place}", per_step) if each else source.number(float(per_step))
    size, count = math.prod(call.shape), "quantize_each" if each else "quantize"
    source.body += [
        f"{count}({call.x}, q, {size}, {counted}, {quantized.input_zero});",
        f"{kind}({name}, {step}, {bias}, q, {call.y}, {sizes});",
    ]
    return True


def _weights(quantized: QuantizedLayer) -> tuple[np.ndarray, str]:
    """Return the weights as C holds them, and their type."""
    if quantized.bits < 8:
        return pack_bits(quantized.weight, quantized.bits), "unsigned char"
    return quantized.weight, "signed char"
