"""Fetches an agent or a student from the Hugging Face hub into its cache.

In: an address. Out: where the file lies now, with what belongs to it beside it, and the commit that it is of.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError, RunFault
from policy_distill.system.hub.address import COMMIT, Address, parse_address
from policy_distill.system.hub.bounded import TooLong, bar_of
from policy_distill.system.hub.choice import files_of
from policy_distill.system.hub.client import hub
from policy_distill.system.hub.failures import failures_said

LOG = logging.getLogger("policy_distill")


@dataclass(frozen=True)
class Pulled:
    """What was fetched."""

    path: Path
    """The agent's zip or the student; what belongs to it lies beside it."""
    address: Address
    """Where it comes from, to the commit."""

    def to_json(self) -> dict[str, Any]:
        """Return where it comes from, as a student's provenance has it."""
        return {"repo": self.address.repo, "commit": self.address.revision, "file": self.address.file}


def pull(source: str | Path) -> Pulled:
    """Fetch what an address names; once in a process, so that a branch that moves does not change what is meant.

    Of the repository only files on a list are fetched (`choice.files_of`), and each only after its size is known. What
    was fetched before is taken from the cache, also where the hub cannot be reached.

    Raises:
        RequestError: for a repository or a file that there is not or that may not be read, and for one of a size that
            no agent has.
        RunFault: where the hub cannot be reached and nothing was fetched before, or answers what makes no sense.
    """
    return _pull(parse_address(source))


def forget() -> None:
    """Ask the hub again for what was fetched in this process; the cache stays."""
    _pull.cache_clear()


@lru_cache(maxsize=64)
def _pull(address: Address) -> Pulled:
    commit, names = _listed(address)
    agent, files = files_of(names, address)
    found = {}
    # The agent last: where it is in the cache, all that belongs to it is.
    for name, most in reversed(files.items()):
        known = hub().try_to_load_from_cache(address.repo, name, revision=commit)
        found[name] = known if isinstance(known, str) else _fetched(address.at(commit, name), most)
    return Pulled(Path(found[agent]), address.at(commit, agent))


def _listed(address: Address) -> tuple[str, list[str]]:
    """Return the commit that an address means now, and the names of all its files."""
    try:
        with failures_said(address):
            seconds = hub().constants.HF_HUB_ETAG_TIMEOUT
            info = hub().HfApi().model_info(address.repo, revision=address.revision, timeout=seconds)
    except RunFault as fault:
        if (folder := _kept(address)) is None:
            raise
        LOG.warning("%s; taking what was fetched before, %s", fault, folder.name[:12])
        files = (path for path in folder.rglob("*") if path.is_file())
        return folder.name, sorted(path.relative_to(folder).as_posix() for path in files)
    commit, siblings = info.sha, info.siblings
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit) or siblings is None:
        raise RunFault(f"the hub's answer for {address} names no commit or no files; try again, or check HF_ENDPOINT")
    return commit, sorted(str(sibling.rfilename) for sibling in siblings)


def _kept(address: Address) -> Path | None:
    """Return the folder in the cache that an address means, the newest for no revision; None where there is none."""
    snapshots = _cache_of(address) / "snapshots"
    if address.revision is not None:
        return folder if address.pinned and (folder := snapshots / address.revision).is_dir() else None
    folders = [folder for folder in snapshots.glob("*") if COMMIT.fullmatch(folder.name)]
    return max(folders, key=lambda folder: folder.stat().st_mtime, default=None)


def _cache_of(address: Address) -> Path:
    return Path(hub().constants.HF_HUB_CACHE, f"models--{address.repo.replace('/', '--')}")


def _fetched(address: Address, most: int) -> str:
    """Return the path in the cache of one file of a commit, of at most so many bytes."""
    assert address.file is not None and address.revision is not None, "one file of a commit"
    with failures_said(address):
        url = hub().hf_hub_url(address.repo, address.file, revision=address.revision)
        known = hub().get_hf_file_metadata(url)
        if known.size is None or not 0 <= known.size <= most:
            raise RequestError(
                f"expected at most {most:,} bytes for {address}, found "
                f"{'no size' if known.size is None else f'{known.size:,}'}; it was not fetched"
            )
        if known.commit_hash != address.revision:
            raise RunFault(f"the hub answered with another commit for {address}; try again")
        with _nothing_left_of(address, known.etag):
            return str(
                hub().hf_hub_download(
                    address.repo, address.file, revision=address.revision, tqdm_class=bar_of(known.size)
                )
            )


@contextlib.contextmanager
def _nothing_left_of(address: Address, etag: str | None) -> Iterator[None]:
    """Remove what was written of a file that turned out to have another size: it is no beginning to go on from."""
    try:
        yield
    except (TooLong, OSError) as error:
        if isinstance(error, TooLong) or "Consistency check" in str(error):
            for path in (_cache_of(address) / "blobs").glob(f"{etag}*.incomplete") if etag else ():
                path.unlink(missing_ok=True)
            raise RunFault(
                f"the hub sent another number of bytes for {address} than it announced; nothing was kept: try again"
            ) from None
        raise
