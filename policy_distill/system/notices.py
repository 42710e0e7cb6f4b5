"""What is said of an environment once, however often it is opened."""

from __future__ import annotations

import logging
import multiprocessing

LOG = logging.getLogger("policy_distill")

SAID: set[tuple[str, str]] = set()
"""What was said of which environment."""


def say_once(env_id: str, text: str, kind: str = "") -> None:
    """Warn of something about an environment once; a process beside this one leaves that to whoever reads its result.

    `kind` names what counts as the same; the text itself where it is empty.
    """
    if multiprocessing.parent_process() is None and (env_id, kind or text) not in SAID:
        SAID.add((env_id, kind or text))
        LOG.warning("%s: %s", env_id, text)
