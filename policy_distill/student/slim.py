"""The form in which a student is deployed: what deterministic actions do not need is left out. NumPy alone.

In: a student. Out: one that acts the same, with fewer numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from policy_distill.student.engines.folding import FOLD_LIMIT
from policy_distill.student.features import Normalizer, Part
from policy_distill.student.record import StudentRecord, sizes_of
from policy_distill.student.runtime import Student

ELEMENTWISE = ("tanh", "relu")


def slim(student: Student, keep_std: bool = False) -> Student:
    """Return a student of the same deterministic actions, with fewer numbers: exact but for float32 rounding.

    - Of each choice the first logit is subtracted from the others, which changes no choice, and dropped.
    - log σ is dropped, vector or outputs, unless `keep_std`: sampling is refused from then on.
    - Observation statistics go into the first linear layer where they cannot clip anything: their clip is infinite, or
      beyond what the space's bounds allow. An observation outside its space is no longer clipped. Where the mean is
      more than a few deviations from zero they stay, since float32 would lose digits.
    - Components whose weights in the first layer are all zero are no longer looked at.

    Choices whose two best logits are equal to within rounding may fall either way.
    """
    record = student.record
    if record.plan.layers[-1]["op"] == "tree":
        return Student.of(_slim_leaves(record, keep_std), student.runtime)
    if not keep_std:
        record = _without_log_std(record)
    for step in (_refer_to_first, _fold_statistics, _select_inputs):
        record = step(record)
    return Student.of(record, student.runtime)


def _slim_leaves(record: StudentRecord, keep_std: bool) -> StudentRecord:
    """Return a tree whose leaves have what its deterministic actions follow from."""
    head, name = record.plan.head, record.plan.layers[-1]["leaves"]
    tensors, leaves = dict(record.tensors), record.tensors[name]
    changes: dict[str, Any] = {}
    if not (keep_std or head.is_discrete) and record.plan.samples:
        tensors.pop("log_std", None)
        leaves, head = leaves[:, : head.n_modes], replace(head, extra=0)
        changes["log_std"] = "dropped"
    if head.kind == "argmax" and not head.reference and min(head.sizes) > 1:
        firsts = np.repeat(np.cumsum([0, *head.sizes[:-1]]), head.sizes)
        kept = np.flatnonzero(firsts != np.arange(head.n_scores))
        leaves, head = leaves[:, kept] - leaves[:, firsts[kept]], replace(head, reference=True)
    return _changed(record, {**tensors, name: np.ascontiguousarray(leaves)}, head=head, **changes)


def _without_log_std(record: StudentRecord) -> StudentRecord:
    plan = record.plan
    if plan.head.is_discrete or not plan.samples or _last_linear(record, ELEMENTWISE) is None:
        return record
    tensors = {name: array for name, array in record.tensors.items() if name != "log_std"}
    last = _last_linear(record, ELEMENTWISE)
    for key in ("weight", "bias"):
        tensors[last[key]] = tensors[last[key]][: plan.head.n_modes].copy()
    return _changed(record, tensors, head=replace(plan.head, extra=0), log_std="dropped")


def _refer_to_first(record: StudentRecord) -> StudentRecord:
    head, last = record.plan.head, _last_linear(record, ())
    if head.kind != "argmax" or head.reference or min(head.sizes) < 2 or last is None:
        return record
    firsts = np.repeat(np.cumsum([0, *head.sizes[:-1]]), head.sizes)
    kept = np.flatnonzero(firsts != np.arange(head.n_scores))
    tensors = dict(record.tensors)
    for key in ("weight", "bias"):
        rows = tensors[last[key]].astype(np.float64)
        apart = rows[kept] - rows[firsts[kept]]
        tensors[last[key]] = np.concatenate([apart, rows[head.n_scores :]]).astype(np.float32)
    return _changed(record, tensors, head=replace(head, reference=True))


def _fold_statistics(record: StudentRecord) -> StudentRecord:
    plan = record.plan
    place, columns = _first_linear(record)
    if place is None:
        return record
    first, space = plan.layers[place], record.description.observation_space
    weight, bias = (record.tensors[first[key]].astype(np.float64) for key in ("weight", "bias"))
    left: dict[str, Normalizer] = {}
    start = 0
    for part in plan.featurizer.parts:
        # Which of the features that the layer takes are this part's.
        own = np.flatnonzero((columns >= start) & (columns < start + part.size))
        if isinstance(part.normalizer, Normalizer):
            if _never_clips(part, part.normalizer, space["spaces"][part.key] if part.key else space):
                places = columns[own] - start
                weight[:, own] *= part.normalizer.scale.ravel()[places]
                bias -= weight[:, own] @ part.normalizer.mean.ravel()[places]
            else:
                left[part.key] = part.normalizer
        start += part.size
    if len(left) == sum(part.normalizer is not None for part in plan.featurizer.parts):
        return record
    tensors = {**record.tensors, first["weight"]: weight.astype(np.float32), first["bias"]: bias.astype(np.float32)}
    return _changed(record, tensors, statistics=left or None)


def _never_clips(part: Part, normalizer: Normalizer, space: Mapping[str, Any]) -> bool:
    """Say whether statistics may go into float32 weights: no observation of the space is clipped, and none is far."""
    mean, scale = normalizer.mean.ravel(), normalizer.scale.ravel()
    if float(np.abs(mean * scale).max()) > FOLD_LIMIT:
        return False
    if np.isinf(normalizer.clip):
        return True
    if space["type"] != "Box":
        low, high = np.zeros(part.size), np.ones(part.size)
    else:
        low, high = (np.asarray(space[name], np.float64) for name in ("low", "high"))
    reach = np.maximum(np.abs(low - mean), np.abs(high - mean)) * scale
    return bool((reach <= normalizer.clip).all())


def _select_inputs(record: StudentRecord) -> StudentRecord:
    place, columns = _first_linear(record)
    if place is None:
        return record
    layers, first = record.plan.layers, record.plan.layers[place]
    weight = record.tensors[first["weight"]]
    used = np.flatnonzero(weight.any(axis=0))
    if len(used) == len(columns):
        return record
    # A network takes something, even where its action is always the same.
    used = used if len(used) else np.zeros(1, np.int64)
    tensors = {**record.tensors, first["weight"]: np.ascontiguousarray(weight[:, used])}
    select = {"op": "select", "columns": columns[used].tolist()}
    return _changed(record, tensors, layers=[select, *layers[place:]])


def _first_linear(record: StudentRecord) -> tuple[int | None, np.ndarray]:
    """Return the place of the linear layer that takes features of a vector (None without), and which ones it takes."""
    layers, shape = record.plan.layers, record.plan.featurizer.shape
    selected = layers[0]["op"] == "select"
    columns = np.asarray(layers[0]["columns"]) if selected else np.arange(shape[0])
    place = int(selected)
    return (place if len(shape) == 1 and layers[place]["op"] == "linear" else None), columns


def _last_linear(record: StudentRecord, after: tuple[str, ...]) -> Any:
    """Return the record of the linear layer that gives the outputs, with nothing behind it but `after`; else None."""
    for layer in reversed(record.plan.layers):
        if layer["op"] not in after:
            return layer if layer["op"] == "linear" else None
    return None


def _changed(record: StudentRecord, tensors: dict[str, np.ndarray], **changes: Any) -> StudentRecord:
    """Return a record with other arrays, and other `layers`, `head`, `log_std` or `statistics` where given."""
    said = record.description
    layers = changes.get("layers", said.architecture.layers)
    log_std = changes.get("log_std", said.architecture.log_std)
    changed = replace(
        said,
        architecture=replace(said.architecture, layers=layers, log_std=log_std, sizes=sizes_of(layers, tensors)),
        head=changes.get("head", said.head),
        normalizer=changes.get("statistics", said.normalizer),
        sha256=None,
    )
    return StudentRecord(tensors, changed)
