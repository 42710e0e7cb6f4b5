"""All subcommands by name, and where each is at home: one that is not asked for is not imported."""

from __future__ import annotations

import ast
from dataclasses import make_dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

COMMANDS = {
    "train": "policy_distill.commands.train:Train",
    "distill": "policy_distill.commands.distill:Distill",
    "compress": "policy_distill.commands.compress:Compress",
    "finetune": "policy_distill.commands.finetune:Finetune",
    "transfer": "policy_distill.commands.transfer:Transfer",
    "suite": "policy_distill.commands.suite:Suite",
    "evaluate": "policy_distill.commands.evaluate:Evaluate",
    "compare": "policy_distill.commands.compare:Compare",
    "equip": "policy_distill.commands.equip:Equip",
    "export": "policy_distill.commands.export:Export",
    "bench": "policy_distill.commands.bench:Bench",
    "info": "policy_distill.commands.info:Info",
    "explain": "policy_distill.commands.explain:Explain",
    "report": "policy_distill.commands.report:Report",
    "push": "policy_distill.commands.push:Push",
    "sync": "policy_distill.commands.sync:Sync",
    "dashboard": "policy_distill.commands.dashboard:Dashboard",
}
"""`module:class` of each."""


def find_command(name: str) -> type[Any]:
    """Return the class of a command, a dataclass of its options with `run`."""
    module, _, cls = COMMANDS[name].partition(":")
    found: type[Any] = vars(import_module(module))[cls]
    return found


def outline(name: str, *, said: bool = True) -> type[Any]:
    """Return a dataclass with a command's name and docstring and none of its options: what a list of commands says.

    The docstring is read from its source, since importing it would take as long as the rest of a help page; where it is
    not `said` it is left out.
    """
    module, _, cls = COMMANDS[name].partition(":")
    if not said:
        return make_dataclass(cls, [])
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None, "every command has a module"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    (node,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls)
    return make_dataclass(cls, [], namespace={"__doc__": ast.get_docstring(node)})
