"""PongFrames-v0: Atari's Pong as the last four frames of 84 x 84 grey bytes, 6 actions. Needs `ale-py`.

Frames, skips and no-ops are those of Mnih et al. (2015, doi 10.1038/nature14236): the brighter pixels of two frames, an
action for four, up to 30 no-ops before the first. `sticky` is the probability of ALE's own sticky actions (Machado et
al. 2018, arXiv 1709.06009).
"""

from __future__ import annotations

from typing import Any

import ale_py
import gymnasium
from ale_py.vector_env import AtariVectorEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from envs.atari_teachers import TEACHERS

ENV_ID = "PongFrames-v0"
SOLVED = None
"""It is trained to its end: the games of a look at whether to stop would take as long as the training. Random actions
lose a game by 20 points of 21."""

TEACHER = TEACHERS["dqn"]
ZOO, VARIANTS = "", ()

EPSILON = 0.05
"""Share of random actions in a proof (Rusu et al. 2016, arXiv 1511.06295)."""
PERTURB = f"action-noise:{EPSILON * 5 / 6:.4f},env:sticky=0.25"
"""One in six random actions is the one that it replaces, and `action-noise` counts those that are not."""

N_NOOPS, N_FRAMES, SKIP, SIDE = 30, 4, 4, 84


def make(sticky: float = 0.0, n_noops: int = N_NOOPS, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    """Return one environment."""
    game = gymnasium.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=sticky, render_mode=render_mode)
    frames = AtariPreprocessing(game, noop_max=n_noops, frame_skip=SKIP, screen_size=SIDE)
    return FrameStackObservation(frames, N_FRAMES, padding_type="zero")


def vector(n_envs: int = 8, sticky: float = 0.0, n_noops: int = N_NOOPS, n_threads: int = 1) -> AtariVectorEnv:
    """Return environments that are stepped, shrunk and stacked in C++.

    Without no-ops they are those of `make`, bit for bit. How many no-ops an episode begins with is drawn by another
    generator there, so that the same seed is another episode. They are not those of SB3's `AtariWrapper`, which makes
    another grey image and fires before an episode.
    """
    frames: dict[str, Any] = {"img_height": SIDE, "img_width": SIDE, "stack_num": N_FRAMES, "frameskip": SKIP}
    game: dict[str, Any] = {"repeat_action_probability": sticky, "noop_max": n_noops, "reward_clipping": False}
    return AtariVectorEnv("pong", n_envs, num_threads=n_threads, use_fire_reset=False, **frames, **game)


gymnasium.register_envs(ale_py)
gymnasium.register(ENV_ID, "envs.pong:make")
