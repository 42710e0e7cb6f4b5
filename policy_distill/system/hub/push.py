"""Uploads files to a repository of the hub in one commit: all of them, or none.

In: a repository's name, and bytes or files by their names in it. Out: the address of the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from policy_distill.errors import RequestError, RunFault
from policy_distill.system.hub.address import COMMIT, Address, parse_address
from policy_distill.system.hub.client import hub
from policy_distill.system.hub.failures import failures_said


def push_files(
    repo: str, files: Mapping[str, bytes | Path], message: str, *, private: bool = False, token: str | None = None
) -> Address:
    """Upload `files` to `repo`, which is made where there is none, and return its address at the new commit.

    Args:
        repo: `user/name`.
        files: content, or the path of a local file, by name in the repository. Other files that it has stay.
        message: of the commit.
        private: of a repository that is made; one that exists stays as it is.
        token: what the hub knows you by; by default that of `hf auth login` or HF_TOKEN.

    Raises:
        RequestError: for a name that is none, and for what the hub does not allow.
        RunFault: where the hub cannot be reached or fails.
    """
    address = repository(repo)
    library = hub()
    with failures_said(address):
        api = library.HfApi(token=token)
        api.create_repo(address.repo, private=private, exist_ok=True)
        contents = {name: one if isinstance(one, bytes) else str(one) for name, one in files.items()}
        operations = [
            library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in contents.items()
        ]
        commit = api.create_commit(address.repo, operations, commit_message=message).oid
    if not COMMIT.fullmatch(str(commit)):
        raise RunFault(f"the hub's answer for {address} names no commit; look at the repository before you push again")
    return Address(address.repo, str(commit))


def repository(repo: str) -> Address:
    """Return the address of a repository by its name, `user/name`.

    Raises:
        RequestError: for a name that is none.
    """
    address = parse_address(repo)
    if address.revision or address.file or str(address) != f"hf://{repo}":
        raise RequestError(f"expected user/name as the repository, found {repo}")
    return address
