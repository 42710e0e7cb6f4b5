"""What the hub refuses, and what the network does, in one line each.

In: errors of the library that speaks to the hub. Out: a `RequestError` where the caller can mend it, else a `RunFault`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from policy_distill.errors import RequestError, RunFault
from policy_distill.system.hub.address import Address
from policy_distill.system.hub.client import hub

DENIED = "log in with `hf auth login` or set HF_TOKEN"
NETWORK = ("httpx", "httpcore", "requests", "urllib3", "huggingface_hub")
"""Packages whose errors are failures to reach the hub."""


@contextmanager
def failures_said(address: Address) -> Iterator[None]:
    """Say in one line what went wrong with an address within.

    Raises:
        RequestError: where the hub refuses the request (there is no such thing, or it may not be read or written), or
            where the library that speaks to it is not installed.
        RunFault: where the hub cannot be reached, or fails itself.
    """
    errors = hub().errors
    try:
        yield
    except (RequestError, RunFault):
        raise
    except errors.GatedRepoError:
        raise RequestError(f"{address} is gated: ask for access on its page, then {DENIED}") from None
    except errors.RepositoryNotFoundError:
        raise RequestError(
            f"expected a repository of the hub, found none at {address}; check its name; where it is private, {DENIED}"
        ) from None
    except errors.RevisionNotFoundError:
        raise RequestError(f"{address} names a branch, tag or commit that the repository does not have") from None
    except errors.RemoteEntryNotFoundError:
        raise RequestError(f"{address} names a file that the repository does not have") from None
    except errors.HfHubHTTPError as error:
        raise _answered(address, error) from None
    except errors.HFValidationError:
        raise RequestError(f"expected hf://user/repository, found {address}") from None
    except errors.OfflineModeIsEnabled:
        raise RunFault(f"{address} cannot be fetched while HF_HUB_OFFLINE is set") from None
    except Exception as error:
        if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
            # An upload hides what befell it.
            error = error.__cause__
        if isinstance(error, errors.HfHubHTTPError):
            raise _answered(address, error) from None
        if not isinstance(error, OSError) and not type(error).__module__.startswith(NETWORK):
            raise
        # Each layer of the network fails in errors of its own.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise RunFault(f"the hub cannot be reached for {address} ({reason}); try again later") from None


def _answered(address: Address, error: Exception) -> RequestError | RunFault:
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else 0
    if status in (401, 403):
        return RequestError(f"the hub denies access to {address} (status {status}); {DENIED}")
    if 400 <= status < 500 and status != 429:
        return RequestError(f"the hub refuses {address} (status {status}); check the address")
    return RunFault(f"the hub fails for {address} (status {status}); try again later")
