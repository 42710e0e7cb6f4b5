"""What makes an episode fit to be judged: that it ends, and that its seed alone says how it begins.

In: environments. Out: the steps that an episode may take, and whether the same seeds lead to the same episodes.
"""

from __future__ import annotations

import copy

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.interfaces.stepping import Environments
from policy_distill.seeds import PROBE
from policy_distill.system.nested import equal, take
from policy_distill.system.notices import say_once

DEFAULT_STEPS = 27_000
"""Steps of an episode that is judged, where nothing else limits it: the longest game of Atari that Gymnasium plays,
108,000 frames at 4 frames a step. An episode that never ends must not hold up a proof for ever."""


def limit_of(envs: Environments, asked: int | None) -> int:
    """Return the steps that a judged episode may take: those `asked` for, else the specification's, else the default.

    0 and None ask for nothing.

    Raises:
        RequestError: for a number below 0.
    """
    if asked and asked < 0:
        raise RequestError(f"expected at least 0 steps of an episode, found {asked}; set --max-episode-steps")
    return asked or envs.max_episode_steps or DEFAULT_STEPS


def is_reproducible(envs: Environments, seed: int = PROBE) -> bool:
    """Say whether the same seed begins the same episode, in one environment and in another; some begin one here.

    Without that, neither are episodes of two policies pairs, nor is a resumed run the one that was stopped.
    """
    seen = []
    if envs.resets_itself:
        for _ in range(2):
            for index in range(envs.n_envs):
                envs.reset(index, seed - envs.n_envs + index)
            seen.append(copy.deepcopy(envs.obs))
        return equal(*seen)
    # Twice in one, which may go on from where it was; and in another, which may have been made otherwise.
    for index in (0, 0, envs.n_envs - 1):
        envs.reset(index, seed)
        seen.append(copy.deepcopy(take(envs.obs, index)))
    return equal(seen[0], seen[1]) and equal(seen[0], seen[2])


def are_paired(envs: Environments, n_episodes: int) -> bool:
    """Say whether `n_episodes` from a seed on are the same for every policy; where they are not, say why, once."""
    if not is_reproducible(envs):
        say_once(
            envs.env_id,
            "it ignores the seed of reset (the same seed began another episode): episodes of teacher and student are "
            "no pairs, and a run that is resumed is another run",
        )
        return False
    if envs.resets_itself and n_episodes > envs.n_envs:
        say_once(
            envs.env_id,
            f"the vector restarts its episodes itself: only the first {envs.n_envs} start from chosen seeds, the "
            "others are not paired; pass an id or a callable for paired episodes",
        )
        return False
    return True


def say_cut(env_id: str, n_cut: int, lengths: np.ndarray) -> None:
    """Say, once, that some of the episodes of these `lengths` were stopped at the limit of steps."""
    if n_cut:
        say_once(
            env_id,
            f"{n_cut} of {len(lengths)} episodes were stopped after {int(lengths.max()):,} steps, and count with what "
            "they had gained by then; --max-episode-steps sets the limit",
            kind="cut",
        )
