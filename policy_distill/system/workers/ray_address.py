"""Whether anybody listens where a cluster of Ray is said to be.

In: an address. Out: nothing, or a refusal within seconds. Ray itself asks for ten minutes, deaf to Control-C.
"""

from __future__ import annotations

import socket

from policy_distill.errors import RequestError

SECONDS = 10.0
"""Longest wait for an answer."""


def check_address(address: str | None) -> None:
    """Refuse an address that names a machine and a port where nobody listens; any other is left to Ray.

    Raises:
        RequestError: naming it.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise RequestError(
            f"expected a Ray cluster at --address {address}, found nothing that listens there ({error}); start one "
            "with ray start --head, or correct the address"
        ) from None
