"""The library that speaks to the hub, which comes with an extra."""

from __future__ import annotations

from types import ModuleType

from policy_distill.errors import RequestError


def hub() -> ModuleType:
    """Return `huggingface_hub`.

    Raises:
        RequestError: where it is not installed.
    """
    try:
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError:
        raise RequestError("the Hugging Face hub needs huggingface_hub: pip install 'policy-distill[hub]'") from None
    return huggingface_hub
