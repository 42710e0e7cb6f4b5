"""What `hf://user/repository` means.

In: what a user wrote where a path may stand. Out: a repository, a revision and a file in it; None for any other path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError

SCHEME = re.compile(r"hf:/{1,2}")
"""A `Path` keeps one of the two strokes."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
ADDRESS = re.compile(rf"(?P<repo>{NAME}/{NAME})(@(?P<revision>[A-Za-z0-9._%-]{{1,100}}))?(/(?P<file>.+))?")
COMMIT = re.compile("[0-9a-f]{40}")
EXAMPLE = "hf://sb3/ppo-LunarLander-v2, with @revision or /file.zip after it where that is needed"


@dataclass(frozen=True)
class Address:
    """A repository of the hub, or one file of it."""

    repo: str
    """`user/name`."""
    revision: str | None = None
    """A branch, a tag or a commit; None for the newest of the main branch."""
    file: str | None = None
    """A path in the repository, of an agent or a student; None for the only one there."""

    def __str__(self) -> str:
        revision, file = f"@{self.revision}" if self.revision else "", f"/{self.file}" if self.file else ""
        return f"hf://{self.repo}{revision}{file}"

    @property
    def pinned(self) -> bool:
        """True where it names a commit, which means the same files for ever."""
        return self.revision is not None and COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str, file: str) -> Address:
        """Return the address of one file as it is in one commit."""
        return replace(self, revision=commit, file=file)


def is_address(source: Any) -> bool:
    """Say whether something names a place on the hub."""
    return isinstance(source, str | Path) and SCHEME.match(str(source)) is not None


def parse_address(source: str | Path) -> Address:
    """Return what an address of the hub names.

    Raises:
        RequestError: for one that names no repository, or a file outside of it.
    """
    found = ADDRESS.fullmatch(SCHEME.sub("", str(source), count=1).rstrip("/"))
    if found is None or ".." in f"{found['repo']}/{found['file']}".split("/"):
        raise RequestError(f"expected {EXAMPLE}; found {source}")
    return Address(**found.groupdict())
