"""The algorithms of SB3 and sb3-contrib by the names that the RL Zoo uses, which files are called by; and CleanRL's."""

from __future__ import annotations

from pathlib import Path

from policy_distill.errors import RequestError

NAMES = (
    "ppo",
    "a2c",
    "trpo",
    "ppo_lstm",
    "ppo_mask",
    "sac",
    "tqc",
    "crossq",
    "td3",
    "ddpg",
    "ars",
    "dqn",
    "qrdqn",
    "her",
)
"""What stands before the environment in the name of a file on the hub."""

PREFIX = "cleanrl-"
CLEANRL = ("ppo", "dqn", "sac", "td3", "ddpg")
"""Its scripts, each with its variants: `cleanrl-ppo` is ppo.py, ppo_continuous_action.py and ppo_atari.py."""
SUFFIX = ".cleanrl_model"


def kind_asked(algo: str) -> str:
    """Return which of `CLEANRL` an algorithm's name asks for; empty for what is none of CleanRL's.

    Raises:
        RequestError: for a script that is not known.
    """
    if not algo.lower().startswith("cleanrl"):
        return ""
    kind = algo.lower().removeprefix(PREFIX)
    if kind not in CLEANRL:
        raise RequestError(f"expected --algo among {', '.join(PREFIX + one for one in CLEANRL)}, found {algo!r}")
    return kind


def check_named(path: Path) -> None:
    """Stop for a file of CleanRL whose script nobody named.

    Raises:
        RequestError: always for such a file.
    """
    if path.suffix == SUFFIX:
        names = ", ".join(PREFIX + kind for kind in CLEANRL)
        raise RequestError(
            f"{path} does not say which of CleanRL's scripts wrote it; name it with --algo, one of {names}"
        )
