"""Builds the optional native engine where there is a C compiler; everything else is in pyproject.toml.

With POLICY_DISTILL_SPLIT=1 the wheel leaves out what `policy-distill-runtime` has (runtime/), and requires that of its
own version: so both are released, and no file is in two wheels. All else, editable installations too, is whole.
"""

import os
import runpy
from pathlib import Path
from typing import Any

from setuptools import Distribution, Extension, setup
from setuptools.command.build_py import build_py

SPLIT = os.environ.get("POLICY_DISTILL_SPLIT") == "1"
ROOT = Path(__file__).resolve().parent


class Rest(Distribution):
    """policy-distill as it is installed over policy-distill-runtime, which has the command's script too."""

    def parse_config_files(self, *args: Any, **kwargs: Any) -> None:
        """Read pyproject.toml, and put the runtime among what it requires."""
        super().parse_config_files(*args, **kwargs)
        self.install_requires = [*self.install_requires, f"policy-distill-runtime=={self.metadata.version}"]
        self.metadata.install_requires = self.install_requires
        self.entry_points = {}


class RestOfModules(build_py):
    """Takes the modules that the runtime does not have."""

    theirs = frozenset(runpy.run_path(str(ROOT / "runtime" / "contents.py"))["runtime_modules"](ROOT)) if SPLIT else ()

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return those of a package."""
        found = super().find_package_modules(package, package_dir)
        return [one for one in found if f"{one[0]}.{one[1]}" not in self.theirs]

    def find_data_files(self, package: str, src_dir: str) -> list[str]:
        """Return what else a package has; py.typed is the runtime's."""
        return [path for path in super().find_data_files(package, src_dir) if not path.endswith("py.typed")]


NATIVE = Extension(
    "policy_distill.student.engines._native",
    ["policy_distill/student/engines/_native.c"],
    depends=["policy_distill/student/engines/_kernel.h"],
    extra_compile_args=["-O3", "-fno-trapping-math"],
    py_limited_api=True,
    optional=True,  # without a compiler NumPy acts, and nothing else changes
)

if SPLIT:
    setup(
        distclass=Rest,
        cmdclass={"build_py": RestOfModules},
        options={"build": {"build_base": "build/split"}},
    )
else:
    setup(ext_modules=[NATIVE], options={"bdist_wheel": {"py_limited_api": "cp311"}})
