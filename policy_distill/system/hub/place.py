"""Where what a user names lies on this machine: a path as it is, an address of the hub once it is fetched."""

from __future__ import annotations

from typing import Any

from policy_distill.system.hub.address import is_address


def local(source: Any) -> Any:
    """Return the path of what an address of the hub names; anything else as it is.

    Raises:
        RequestError, RunFault: as of `policy_distill.system.hub.pull.pull`.
    """
    if not is_address(source):
        return source
    # Most paths lie on this machine already.
    from policy_distill.system.hub.pull import pull

    return pull(source).path
