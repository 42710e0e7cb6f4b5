"""Where the files that belong to an agent lie: configurations and observation statistics, by the ecosystem's names.

In: the path of an agent. Out: the folders to look in, in order, and the statistics among what lies there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from policy_distill.errors import RequestError

STATISTICS = ("vecnormalize.pkl", "vec_normalize.pkl")
"""What the RL Zoo and SB3's guide, and the hub, call the statistics of `VecNormalize`."""

CONFIGURATIONS = ("args.yml", "config.yml")
"""What the RL Zoo writes for a run."""

CHECKPOINT = re.compile(r"(?P<prefix>.*)_(?P<steps>\d+)_steps")
"""The name of what `CheckpointCallback` saves, without its suffix."""

BEST = "best_model"
"""What `EvalCallback` calls its agent."""

MAX_SIBLINGS = 200
"""Files and folders beside an agent that are looked at."""


def folders_of(agent: Path) -> list[Path]:
    """Return the folders in which an agent's files may lie, in the order in which they are looked in.

    Beside it; in the folder of its name (the RL Zoo's); and for what callbacks save, which bears no environment's name,
    in the one folder beside it that the RL Zoo made for the run.

    Raises:
        RequestError: where the RL Zoo's files of several runs lie beside such an agent.
    """
    found = [agent.parent, agent.with_suffix("")]
    if not made_by_callback(agent):
        return found
    runs = [folder for folder in _siblings(agent) if folder != found[1] and is_of_a_run(folder)]
    if len(runs) > 1:
        names = ", ".join(folder.name for folder in runs[:4])
        raise RequestError(
            f"expected the files of one run of the RL Zoo beside {agent}, found {names}; copy the agent into its own "
            "run's folder"
        )
    return found + runs


def made_by_callback(agent: Path) -> bool:
    """Say whether an agent has a name that SB3's callbacks give."""
    return agent.stem == BEST or CHECKPOINT.fullmatch(agent.stem) is not None


def is_of_a_run(folder: Path) -> bool:
    """Say whether a folder holds a configuration of the RL Zoo."""
    return folder.is_dir() and any(_there(folder / name) for name in CONFIGURATIONS)


def statistics_of_its_own(agent: Path) -> list[Path]:
    """Return the statistics that bear the agent's own name: of the same prefix and step, or of the same stem."""
    names = [f"{agent.stem}_{name}" for name in STATISTICS]
    match = CHECKPOINT.fullmatch(agent.stem)
    if match:
        # The second is what the RL Zoo's own callback writes.
        names += [f"{match['prefix']}_vecnormalize_{match['steps']}_steps.pkl", f"{agent.stem}.pkl"]
    return [path for name in names if _there(path := agent.with_name(name))]


def statistics_of_its_run(agent: Path) -> list[Path]:
    """Return the statistics of the run that an agent is of, in the order of `folders_of`."""
    return [path for folder in folders_of(agent) for name in STATISTICS if _there(path := folder / name)]


def companions_of(agent: Path) -> list[Path]:
    """Return the files that belong to an agent, which are found again beside it; none where it is not clear which."""
    try:
        statistics = [*statistics_of_its_own(agent), *statistics_of_its_run(agent)][:1]
        names = (*CONFIGURATIONS, "env_kwargs.yml")
        places = [[path for folder in folders_of(agent) if (path := folder / name).is_file()][:1] for name in names]
    except RequestError:
        return []
    return [path for path in [*statistics, *(one for place in places for one in place)] if path.is_file()]


def statistics_nearby(agent: Path) -> list[Path]:
    """Return what may be an agent's statistics and is not taken without being named: to hint at."""
    beside = [path for path in _siblings(agent) if path.suffix == ".pkl" and "replay_buffer" not in path.name]
    likely = [path for path in beside if "norm" in path.name.lower() or "rms" in path.name.lower()]
    return likely + statistics_above(agent)


def statistics_above(agent: Path) -> list[Path]:
    """Return the statistics in the folder above: those of a run whose callback saves its agents in a folder below."""
    above = agent.parent.absolute().parent
    return [path for name in STATISTICS if _there(path := above / name)] if above != agent.parent else []


def _there(path: Path) -> bool:
    # Also what is there and no file: to act without statistics that were meant to be there is worse than to stop.
    return os.path.lexists(path)


def _siblings(agent: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(agent.parent))
    except OSError:
        return []
    return [agent.parent / name for name in names[:MAX_SIBLINGS]]
