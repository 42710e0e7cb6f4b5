"""Values that configurations write as text: Python literals, in which `dict(a=1)` may stand for `{"a": 1}`.

In: text that nobody vouches for. Out: plain data. Nothing is evaluated.
"""

from __future__ import annotations

import ast
from typing import Any

MAX_TEXT = 2_000
"""Characters of a value that is written as text."""


def read_literal(text: str) -> Any:
    """Return the value that a text is written for.

    Raises:
        ValueError: for anything but numbers, text, truth values, None, and lists, tuples and dictionaries of these.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"{len(text):,} characters")
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError, TypeError):
        raise ValueError("not a literal") from None


def _value(node: ast.AST) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str | None):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        number = _value(node.operand)
        return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict) and all(key is not None for key in node.keys):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True) if key}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        if all(word.arg for word in node.keywords):
            return {word.arg: _value(word.value) for word in node.keywords}
    raise ValueError("not a literal")
