"""A student as C99: one header and one source, without allocation and without any library.

In: a `Plan`, and its int8 form where asked for. Out: the texts, and the bytes of flash and RAM that they take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_distill.exporters import c_parts
from policy_distill.exporters.c_action import action_lines, all_scores_lines
from policy_distill.exporters.c_features import feature_code
from policy_distill.exporters.c_header import action_type, header_text
from policy_distill.student.head import MASKED
from policy_distill.student.layers import output_shapes
from policy_distill.student.plan import Plan
from policy_distill.student.quantization import QuantizedLayer


@dataclass
class Source:
    """A source under construction."""

    constants: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    """From `obs` to `outputs`."""
    action: list[str] = field(default_factory=list)
    """From the outputs to `action`."""
    masked_action: list[str] = field(default_factory=list)
    """From the outputs and `mask` to `action`, where actions may be ruled out."""
    flash_bytes: int = 0

    def use(self, function: str) -> None:
        """Add a function, once."""
        if function not in self.functions:
            self.functions.append(function)

    def constant(self, name: str, values: np.ndarray, kind: str = "float") -> str:
        """Add a constant array and return its name."""
        self.constants.append(c_parts.array(name, values, kind))
        self.flash_bytes += np.size(values) * {"double": 8, "signed char": 1}.get(kind, 4)
        return name


@dataclass(frozen=True)
class Program:
    """What the exporter writes."""

    header: str
    source: str
    flash_bytes: int
    """Of the constants; code comes on top."""
    ram_bytes: int
    """Of the static buffers."""
    obs_type: str
    action_type: str


def write_program(
    plan: Plan, about: str, quantized: Mapping[int, QuantizedLayer] | None = None, *, masked: bool = False
) -> Program:
    """Return the program; `quantized` has the int8 form of each layer with weights, by its place.

    With `masked` it has `policy_act_masked` too.
    """
    source = Source()
    features = feature_code(plan, source)
    shapes = [plan.featurizer.shape, *output_shapes(plan.layers, plan.tensors, plan.featurizer.shape)]
    largest = max([plan.head.n_scores, *(math.prod(shape) for shape in shapes)])
    source.body += features.lines
    current, other = "a", "b"
    for place, layer in enumerate(plan.layers):
        moved = _add_layer(source, place, layer, plan, shapes[place], current, other, (quantized or {}).get(place))
        current, other = (other, current) if moved else (current, other)
    if plan.head.reference:
        source.body += all_scores_lines(plan, current, other)
        current, other = other, current
    source.body.append(f"outputs = {current};")
    source.action = action_lines(plan, source, current)
    if masked:
        ruled_out = c_parts.number(MASKED)
        pick = f"for (int k = 0; k < {plan.head.n_scores}; k++) {other}[k] = mask[k] ? {current}[k] : {ruled_out};"
        source.masked_action = [pick, *action_lines(plan, source, other)]
    ram = 2 * 4 * largest + (largest if quantized else 0)
    return Program(
        header=header_text(plan, about, features, masked=masked),
        source=_assemble(source, largest, bool(quantized)),
        flash_bytes=source.flash_bytes,
        ram_bytes=ram,
        obs_type=features.obs_type,
        action_type=action_type(plan),
    )


def _add_layer(
    source: Source,
    place: int,
    layer: Mapping[str, Any],
    plan: Plan,
    shape: tuple[int, ...],
    x: str,
    y: str,
    quantized: QuantizedLayer | None,
) -> bool:
    """Add one layer; return whether its output is in the other buffer."""
    op, size = layer["op"], math.prod(shape)
    if op in ("tanh", "relu"):
        if op == "tanh":
            source.use(c_parts.TANH)
        source.use(c_parts.TANH_LAYER if op == "tanh" else c_parts.RELU_LAYER)
        source.body.append(f"{op}_layer({x}, {size});")
        return False
    if op == "scale":
        source.body.append(f"for (int i = 0; i < {size}; i++) {x}[i] *= {c_parts.number(layer['factor'])};")
        return False
    if op == "flatten":
        return False
    weight = plan.tensors[layer["weight"]]
    bias = source.constant(f"bias_{place}", plan.tensors[layer["bias"]] if quantized is None else quantized.bias)
    sizes = f"{weight.shape[1]}, {weight.shape[0]}"
    if op == "conv2d":
        n_out, n_in, height, width = weight.shape
        sizes = f"{n_in}, {shape[1]}, {shape[2]}, {n_out}, {height}, {width}, {layer['stride']}"
    if quantized is None:
        source.use(c_parts.CONV if op == "conv2d" else c_parts.DENSE)
        name = source.constant(f"weight_{place}", weight if op == "conv2d" else weight.T)
        source.body.append(f"{'conv' if op == 'conv2d' else 'dense'}({name}, {bias}, {x}, {y}, {sizes});")
        return True
    source.use(c_parts.COUNT)
    source.use(c_parts.QUANTIZE if quantized.input_scale is None else c_parts.QUANTIZE_EACH)
    source.use(c_parts.CONV_INT8 if op == "conv2d" else c_parts.DENSE_INT8)
    name = source.constant(f"weight_{place}", quantized.weight, "signed char")
    step = source.constant(f"step_{place}", quantized.output_step)
    each = quantized.input_scale is not None
    per_step = source.constant(f"per_step_{place}", quantized.per_step) if each else c_parts.number(quantized.per_step)
    source.body += [
        f"quantize{'_each' if each else ''}({x}, q, {size}, {per_step}, {quantized.input_zero});",
        f"{'conv' if op == 'conv2d' else 'dense'}_int8({name}, {step}, {bias}, q, {y}, {sizes});",
    ]
    return True


def _assemble(source: Source, largest: int, quantized: bool) -> str:
    buffers = f"static float a[{largest}], b[{largest}];\n"
    if quantized:
        buffers += f"static signed char q[{largest}];\n"
    obs, action = "const policy_obs obs[POLICY_N_OBS]", "policy_action action[POLICY_N_ACTIONS]"
    acting = [_function(f"void policy_act({obs}, {action})", [*source.body, *source.action])]
    if source.masked_action:
        masked = f"void policy_act_masked({obs}, const uint8_t mask[POLICY_N_OUTPUTS], {action})"
        acting = [
            _function(f"static void compute({obs})", source.body),
            _function(f"void policy_act({obs}, {action})", ["compute(obs);", *source.action]),
            _function(masked, ["compute(obs);", *source.masked_action]),
        ]
    return "\n".join(
        [
            '#include "policy.h"\n',
            *source.constants,
            buffers + "static const float *outputs = a;\n",
            *source.functions,
            "/* The policy has no memory, so there is nothing to reset. */\nvoid policy_reset(void) {}\n",
            "const float *policy_outputs(void) { return outputs; }\n",
            *acting,
        ]
    )


def _function(head: str, lines: list[str]) -> str:
    return "\n".join([f"{head} {{", *(f"    {line}" for line in lines), "}\n"])
