"""Which files of a repository are fetched: one agent or student, and what belongs to it. Nothing else ever is.

In: the names of all files. Out: the names of few, each with the bytes that it may have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from policy_distill.errors import RequestError
from policy_distill.system.hub.address import Address

STUDENT = "student.safetensors"
LOGS = {"train_eval_metrics.zip"}
"""Zips that the RL Zoo uploads beside its agent."""
COMPANIONS = {"config.yml": 2**20, "args.yml": 2**20, "env_kwargs.yml": 2**20}
"""What an agent was trained with, and the bytes that it may have."""
CLAIMS = {"results.json": 2**20, "README.md": 2**20}
"""What a repository says of its agent."""
STATISTICS = re.compile(r"(.*[_-])?vec_?normalize([_-].*)?\.pkl")
MAX_STATISTICS = 2**28
MAX_AGENT = 2**32
MAX_STUDENT = 2**29


def files_of(names: Sequence[str], address: Address) -> tuple[str, dict[str, int]]:
    """Return the file that an address means, and the files to fetch with it, each with the bytes that it may have.

    Raises:
        RequestError: where there is none, or several and the address does not say which.
    """
    agent = _agent(names, address)
    place = PurePosixPath(agent)
    if place.suffix == ".safetensors":
        return agent, {agent: MAX_STUDENT} | {name: most for name, most in CLAIMS.items() if name in names}
    # Beside it, and in the folder of its name, as the RL Zoo has them.
    folders = (place.parent, place.with_suffix(""))
    found = {agent: MAX_AGENT}
    for name in names:
        path = PurePosixPath(name)
        if path.parent not in folders:
            continue
        if path.name in COMPANIONS:
            found[name] = COMPANIONS[path.name]
        elif STATISTICS.fullmatch(path.name) or path.name == f"{place.stem}.pkl":
            found[name] = MAX_STATISTICS
    return agent, found | {name: most for name, most in CLAIMS.items() if name in names}


def _agent(names: Sequence[str], address: Address) -> str:
    if address.file is not None:
        if address.file not in names:
            raise RequestError(
                f"expected {address.file} in {address.repo}, which has {_listed(names)}; name one of them"
            )
        if PurePosixPath(address.file).suffix not in (".zip", ".safetensors"):
            raise RequestError(f"expected an agent's .zip or a {STUDENT} in {address}, found another kind of file")
        return address.file
    if STUDENT in names:
        return STUDENT
    zips = [name for name in names if "/" not in name and name.endswith(".zip") and name not in LOGS]
    # A repository that the RL Zoo made is called as its agent is.
    named = [name for name in zips if name == f"{address.repo.partition('/')[2]}.zip"]
    found = named or zips
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError(
            f"expected one agent in {address.repo}, found {_listed(found)}; say which: hf://{address.repo}/{found[0]}"
        )
    raise RequestError(
        f"expected an agent's zip or {STUDENT} in {address}, found {_listed(names)}; if it is in a folder, name the "
        f"folder: hf://{address.repo}/folder/agent.zip"
    )


def _listed(names: Sequence[str], most: int = 6) -> str:
    if not names:
        return "no file"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
