"""Builds the wheel `policy-distill-runtime` from the package's own sources, one folder up."""

import os
import runpy
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODULES = runpy.run_path(str(HERE / "contents.py"))["runtime_modules"](ROOT)
PACKAGES = sorted(name.removesuffix(".__init__") for name in MODULES if name.endswith(".__init__"))
MAIN = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Without the compiled engine the wheel fits every machine, and NumPy acts alone.
PURE = os.environ.get("POLICY_DISTILL_PURE") == "1"
ENGINE = "../policy_distill/student/engines/"


class OwnModules(build_py):
    """Takes the runtime's modules alone out of folders that hold others too."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return those of a package."""
        found = super().find_package_modules(package, package_dir)
        return [one for one in found if f"{one[0]}.{one[1]}" in MODULES]


setup(
    version=MAIN["version"],
    packages=PACKAGES,
    package_dir={name: f"../{name.replace('.', '/')}" for name in PACKAGES},
    package_data={"policy_distill": ["py.typed"]},
    include_package_data=False,
    cmdclass={"build_py": OwnModules},
    ext_modules=[]
    if PURE
    else [
        Extension(
            "policy_distill.student.engines._native",
            [f"{ENGINE}_native.c"],
            depends=[f"{ENGINE}_kernel.h"],
            extra_compile_args=["-O3", "-fno-trapping-math"],
            py_limited_api=True,
            optional=True,  # without a compiler NumPy acts, and nothing else changes
        )
    ],
    options={} if PURE else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
