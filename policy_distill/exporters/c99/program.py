"""A student as C99: one header and one source, without allocation and without any library.

In: a `Plan`, and its int8 form where asked for. Out: the texts, and the bytes of flash and RAM that they take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from policy_distill.exporters.c99.action import action_lines, all_scores_lines, taken_lines
from policy_distill.exporters.c99.features import feature_code
from policy_distill.exporters.c99.header import action_type, header_text
from policy_distill.exporters.c99.layers import add_layer
from policy_distill.exporters.c99.monitor import RESET, add_monitor, ram_bytes
from policy_distill.exporters.c99.parts import number
from policy_distill.exporters.c99.source import Call, CSource
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.head import MASKED
from policy_distill.student.layers import beside, largest_buffer, layer_shapes
from policy_distill.student.onboard.monitor import Monitor
from policy_distill.student.plan import Plan


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
    plan: Plan,
    about: str,
    quantized: Mapping[int, QuantizedLayer] | None = None,
    *,
    masked: bool = False,
    monitor: Monitor | None = None,
) -> Program:
    """Return the program; `quantized` has the int8 form of each layer with weights, by its place.

    With `masked` it has `policy_act_masked` too, and with a `monitor` `policy_novelty` and `policy_act_watched`.
    """
    source = CSource()
    features = feature_code(plan, source)
    shapes = layer_shapes(plan.layers, plan.tensors, plan.featurizer.shape)
    source.body += features.lines
    current, other = "a", "b"
    for place, layer in enumerate(plan.layers):
        (taken, given), start = shapes[place], plan.memory.starts.get(place, 0)
        memory = f"(memory + {start})" if start else "memory"
        call = Call(layer, plan.tensors, place, taken, current, other, memory)
        moved = add_layer(source, call, (quantized or {}).get(place))
        if moved and (n := beside(layer)):
            to, of = math.prod(given), math.prod(taken)
            source.body.append(f"for (int i = 0; i < {n}; i++) {other}[{to} + i] = {current}[{of} + i];")
        current, other = (other, current) if moved else (current, other)
    most = largest_buffer(plan.layers, plan.tensors, plan.featurizer.shape)
    largest = max(plan.head.n_scores, source.room, most)
    if plan.head.reference:
        source.body += all_scores_lines(plan, current, other)
        current, other = other, current
    source.body.append(f"outputs = {current};")
    remembering = taken_lines(plan, source)
    source.action = [*action_lines(plan, source, current), *remembering]
    if masked:
        ruled_out = number(MASKED)
        pick = f"for (int k = 0; k < {plan.head.n_scores}; k++) {other}[k] = mask[k] ? {current}[k] : {ruled_out};"
        source.masked_action = [pick, *action_lines(plan, source, other), *remembering]
    ram = 2 * 4 * largest + (largest if quantized else 0) + 4 * plan.memory.size + ram_bytes(monitor)
    watched = add_monitor(source, plan, monitor, features.obs_type) if monitor else ""
    return Program(
        header=header_text(plan, about, features, masked=masked, monitor=monitor),
        source=_assemble(source, largest, plan.memory.size, quantized=bool(quantized), watched=watched),
        flash_bytes=source.flash_bytes,
        ram_bytes=ram,
        obs_type=features.obs_type,
        action_type=action_type(plan),
    )


def _assemble(source: CSource, largest: int, n_remembered: int, *, quantized: bool, watched: str = "") -> str:
    buffers = f"static float a[{largest}], b[{largest}];\n"
    reset = "/* The policy has no memory, so there is nothing to reset. */\nvoid policy_reset(void) {}\n"
    forget = RESET if watched else ""
    if n_remembered:
        buffers += f"static float memory[{n_remembered}];\n"
        forget = f"for (int i = 0; i < {n_remembered}; i++) memory[i] = 0.0f; {forget}".strip()
    if forget:
        reset = f"/* An episode begins with nothing remembered. */\nvoid policy_reset(void) {{ {forget} }}\n"
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
            reset,
            "const float *policy_outputs(void) { return outputs; }\n",
            *acting,
            *([watched] if watched else []),
        ]
    )


def _function(head: str, lines: list[str]) -> str:
    return "\n".join([f"{head} {{", *(f"    {line}" for line in lines), "}\n"])
