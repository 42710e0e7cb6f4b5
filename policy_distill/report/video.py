"""A video of a student, or of teacher and student side by side, each in an environment of its own from the same seed.

In: policies and an environment that can draw itself. Out: a small mp4.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.collection.shown import DRAWN, shown_steps
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Policy
from policy_distill.seeds import VIDEO
from policy_distill.system.blame import described

LOG = logging.getLogger("policy_distill")

HEIGHT = 240
"""Pixels."""
MAX_FRAMES = 400
"""Frames kept; longer episodes are shown faster."""


def record_video(policies: Sequence[Policy], env: Any, path: Path, seed: int = VIDEO) -> Path:
    """Let each play the episode of `seed` and write what is seen of it, from left to right.

    All have the environment of the first.

    Raises:
        RequestError: for an environment that cannot be made anew or does not draw itself, or without imageio.
    """
    try:
        import imageio.v2 as imageio
    except ImportError:
        raise RequestError("a video needs imageio: pip install 'policy-distill[video]'") from None
    shared = policies[0].env_wrappers
    makers = [(policy, DRAWN.maker(env, [*shared, *policy.own_wrappers])) for policy in policies]
    plays = [[one.frame for one in shown_steps(policy, make, seed, HEIGHT)] for policy, make in makers]
    longest = max(map(len, plays))
    every = -(-longest // MAX_FRAMES)
    # A GOP as long as the video and a low rate: what is drawn moves little from frame to frame.
    options: dict[str, Any] = {
        "fps": 30,
        "codec": "libx264",
        "macro_block_size": 2,
        "output_params": ["-crf", "30", "-g", "250"],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(imageio.get_writer(str(path), **options)) as writer:
        for step in range(0, longest, every):
            # Whoever is done first stays where it ended.
            writer.append_data(np.concatenate([play[min(step, len(play) - 1)] for play in plays], axis=1))
    return path


def try_video(policies: Sequence[Policy], env: Any, path: Path) -> Path | None:
    """Record, or say in a warning why there is no video: it is no reason to lose a run."""
    try:
        return record_video(policies, env, path)
    except Exception as error:
        LOG.warning("no video: %s", error if isinstance(error, RequestError) else described(error))
        return None
