"""The version, from the metadata of the installed package, or of its runtime where that is installed alone."""

from importlib.metadata import PackageNotFoundError, version

__version__ = "0+unknown"
for name in ("policy-distill", "policy-distill-runtime"):
    try:
        __version__ = version(name)
        break
    except PackageNotFoundError:
        continue
