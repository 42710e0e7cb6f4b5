"""`tree`: a decision tree whose leaves hold outputs; its arrays are explained in `policy_distill.student.tree`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.operation import Layer, Operation, Shape, Tensors
from policy_distill.student.tree import INDICES, KEYS, OBLIQUE_KEYS, Tree, tree

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    if len(shape) != 1 or ("coefficient" in layer) != ("start" in layer):
        raise ValueError("a tree without a vector, or with half of its terms")
    found = Tree.of(layer, tensors)
    found.check(shape[0])
    return (found.leaves.shape[1],)


def _macs(layer: Layer, tensors: Tensors) -> int:
    return Tree.of(layer, tensors).work


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_tree import TreeLayer

    return TreeLayer(Tree.of(layer, tensors))


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    """Every split is asked at once; the leaf is the one whose whole way agrees."""
    found = Tree.of(layer, tensors)
    leaves = graph.constant(found.leaves, np.float32, layer["leaves"])
    asked = _sums(graph, x, found) if found.n_splits else graph.columns(x, 0, 1)
    bounds = found.threshold if found.n_splits else np.zeros(1, np.float32)
    left = graph.cast(graph.add("LessOrEqual", asked, graph.constant(bounds, np.float32)), np.float32)
    signs = graph.add("Sub", graph.add("Mul", left, graph.constant(2.0, np.float32)), graph.constant(1.0, np.float32))
    ways = _ways(found)
    agreed = graph.add("MatMul", signs, graph.constant(ways, np.float32))
    missing = graph.add("Sub", agreed, graph.constant(np.abs(ways).sum(axis=0), np.float32))
    return graph.add("Gather", leaves, graph.add("ArgMax", missing, axis=1, keepdims=0), axis=0)


def _sums(graph: Graph, x: str, found: Tree) -> str:
    """Add what each split compares with its threshold, `[B, S]`, term by term as the runtime does."""
    terms = [found.terms(split) for split in range(found.n_splits)]
    total = ""
    for k in range(max(map(len, terms))):
        padded = [one[k] if k < len(one) else (0, 0.0) for one in terms]
        part = graph.add("Gather", x, graph.constant([f for f, _ in padded], np.int64), axis=1)
        if found.is_oblique:
            part = graph.add("Mul", part, graph.constant([c for _, c in padded], np.float32))
        total = graph.add("Add", total, part) if total else part
    return total


def _ways(found: Tree) -> np.ndarray:
    """Return `[S, L]`: 1 where a leaf lies to the left of a split, -1 to the right, 0 elsewhere."""
    ways = np.zeros((max(1, found.n_splits), found.n_leaves), np.float32)
    below: list[np.ndarray] = [np.zeros(0)] * found.n_splits
    for split in reversed(range(found.n_splits)):
        sides = [below[c] if c >= 0 else np.array([-1 - c]) for c in found.branches[split]]
        ways[split, sides[0]], ways[split, sides[1]] = 1.0, -1.0
        below[split] = np.concatenate(sides)
    return ways


def _c(source: CSource, call: Call) -> bool:
    found, place = Tree.of(call.layer, call.tensors), call.place
    lines = ["/* The leaf that x falls into. */", f"static int leaf_{place}(const float *x) {{"]
    lines += _ifs(source, found, 0, 1) if found.n_splits else ["    (void)x;", "    return 0;"]
    source.use("\n".join([*lines, "}\n"]))
    # What the comparisons take as code: a constant, and about as much for the branch.
    source.flash_bytes += 8 * found.n_splits + 4 * (found.coefficient.size if found.coefficient is not None else 0)
    leaves, n = source.constant(f"leaves_{place}", found.leaves), found.leaves.shape[1]
    source.body += [
        f"const float *leaf = {leaves} + {n} * leaf_{place}({call.x});",
        f"for (int k = 0; k < {n}; k++) {call.y}[k] = leaf[k];",
    ]
    return True


def _ifs(source: CSource, found: Tree, node: int, level: int) -> list[str]:
    """Return the nested ifs of a node."""
    space = "    " * level
    if node < 0:
        return [f"{space}return {-1 - node};"]
    asked = _sum_in_c(source, found, node)
    left, right = (int(child) for child in found.branches[node])
    return [
        f"{space}if ({asked} <= {source.number(float(found.threshold[node]))}) {{",
        *_ifs(source, found, left, level + 1),
        f"{space}}} else {{",
        *_ifs(source, found, right, level + 1),
        f"{space}}}",
    ]


def _sum_in_c(source: CSource, found: Tree, split: int) -> str:
    terms = found.terms(split)
    if not found.is_oblique:
        return f"x[{terms[0][0]}]"
    return " + ".join(f"{source.number(c)} * x[{f}]" for f, c in terms)


TREE = Operation(
    "tree",
    tree,
    _shape,
    arrays=(*KEYS, *OBLIQUE_KEYS),
    indices=INDICES,
    macs=_macs,
    torch=_torch,
    onnx=_onnx,
    c=_c,
)
