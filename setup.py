"""Builds the optional native engine where there is a C compiler; everything else is in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "policy_distill.student.engines._native",
            ["policy_distill/student/engines/_native.c"],
            depends=["policy_distill/student/engines/_kernel.h"],
            extra_compile_args=["-O3", "-fno-trapping-math"],
            py_limited_api=True,
            optional=True,  # without a compiler NumPy acts, and nothing else changes
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
