"""The formats by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.interfaces.students import Exporter
from policy_distill.system.foreign import said
from policy_distill.system.plugins import EXPORTERS as GROUP
from policy_distill.system.plugins import choices, load_plugin

NEEDED = ("write", "open_artefact")
"""What a module has that writes a format."""


@dataclass(frozen=True)
class Format:
    """What the command line says of a format, without its libraries."""

    module: str
    """Where its exporter is."""
    artefact: str
    """What it writes, in words."""
    suffix: str
    """The file's ending; empty for a folder."""
    needs: tuple[str, ...] = ()
    """Modules that must be installed."""
    quantizes: bool = False
    """True where it takes eight-bit weights."""
    packs: bool = False
    """True where it takes weights of fewer bits."""
    masks: bool = True
    """True where it takes action masks, of a student that was made with them."""
    memory: bool = False
    """True where it takes students with a memory; what it opens is then told where episodes begin."""
    scene: bool = False
    """True where it shows the student at work, and is told in which `scene` by the record that it writes."""


FORMATS = {
    "onnx": Format(
        "policy_distill.exporters.onnx",
        "one file",
        ".onnx",
        ("onnx", "onnxruntime"),
        quantizes=True,
        packs=True,
        memory=True,
    ),
    "c": Format("policy_distill.exporters.c", "a folder of C99", "", quantizes=True, packs=True, memory=True),
    "numpy": Format("policy_distill.exporters.numpy_folder", "a folder for NumPy alone", "", memory=True),
    "torchscript": Format("policy_distill.exporters.torchscript", "one file", ".pt", ("torch",), memory=True),
    "sb3": Format("policy_distill.exporters.sb3", "a PPO zip", ".zip", ("torch", "stable_baselines3"), masks=False),
    "web": Format("policy_distill.exporters.web.page", "one page", ".html", memory=True, scene=True),
}


def find_format(name: str) -> Format:
    """Return a format by its name: ours, or of an installed package.

    Raises:
        RequestError: for an unknown one, or one whose libraries are missing.
    """
    found: Format | None = FORMATS.get(name) or load_plugin(GROUP, name)
    if found is None:
        raise RequestError(f"expected a format among {choices(FORMATS, GROUP)}, found {name!r}")
    missing = [module for module in found.needs if find_spec(module) is None]
    if missing:
        raise RequestError(
            f"the format {name} needs {', '.join(missing)}, which is missing; pip install {' '.join(missing)}"
        )
    return found


def load_exporter(name: str) -> Exporter:
    """Return the module that writes a format.

    Raises:
        RequestError: as of `find_format`, and for a module of a package that is no `Exporter`.
    """
    exporter: Any = import_module(find_format(name).module)
    if len(said(exporter, *NEEDED)) < len(NEEDED):
        raise RequestError(
            f"expected {' and '.join(NEEDED)} in {exporter.__name__}, which writes the format {name}, found one of "
            "them missing; fix the package that offers it"
        )
    return exporter
