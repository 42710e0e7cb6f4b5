"""What a page shows the policy at work in: CartPole itself, a recorded episode, or numbers that the reader moves.

In: a student and its environment. Out: a `Scene`, whose JSON form stands in the page.
"""

from __future__ import annotations

import base64
import logging
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec

from policy_distill.collection.shown import DRAWN, Shown, shown_steps
from policy_distill.environments.identity import identify
from policy_distill.environments.open import is_recipe
from policy_distill.errors import RequestError
from policy_distill.exporters.parity import TOLERANCE, action_span
from policy_distill.seeds import VIDEO
from policy_distill.student.runtime import Student
from policy_distill.student.spaces import space_shape
from policy_distill.system.blame import described

LOG = logging.getLogger("policy_distill")

LIVE = {"CartPole-v0": 200, "CartPole-v1": 500}
"""Environments that the page steps itself, and the steps of their episodes."""
HEIGHT = 200
"""Pixels of a recorded frame."""
MAX_FRAMES = 200
"""Frames kept of a recorded episode; of a longer one each is shown for several steps."""
MAX_BYTES = 8_000_000
"""Of recorded observations; an episode of more is cut short."""


@dataclass(frozen=True)
class Scene:
    """What the page shows."""

    kind: str
    """`cartpole`, `recorded` or `hand`."""
    settings: dict[str, Any]
    """What the page needs to show it, as JSON values."""
    about: str
    """The same in words, for the page's reader."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"kind": self.kind, **self.settings}


def make_scene(student: Student, env: Any) -> Scene:
    """Return the scene of a student in an environment, None where there is none.

    An environment that cannot be drawn is said in the log, and leaves numbers to move.
    """
    if isinstance(env, str | EnvSpec):
        identity = identify(env)
        plain = not (identity.own_kwargs or identity.wrappers or identity.has_own_limit or student.env_wrappers)
        if identity.id in LIVE and plain and _sees_cartpole(student):
            told = "CartPole, stepped in this page by Gymnasium's equations."
            return Scene("cartpole", {"limit": LIVE[identity.id]}, told)
    if env is None or not is_recipe(env):
        return BY_HAND
    try:
        return _recorded(student, env)
    except Exception as error:
        said = error if isinstance(error, RequestError) else described(error)
        LOG.warning("the page has no recorded episode, and its reader moves the numbers instead: %s", said)
        return BY_HAND


BY_HAND = Scene("hand", {}, "No environment: the policy answers to numbers that you move.")


def _sees_cartpole(student: Student) -> bool:
    whole = student.view.whole or student.description.observation_space
    return whole["type"] == "Box" and space_shape(whole) == (4,) and student.plan.is_choice


def _recorded(student: Student, env: Any) -> Scene:
    """Record the episode that a video shows."""
    make = DRAWN.maker(env, [*student.env_wrappers, *student.own_wrappers])
    steps = list(_within_bounds(student, shown_steps(student, make, VIDEO, HEIGHT)))
    actions = np.concatenate([one.action for one in steps if one.action is not None])
    masks = [one.action_masks for one in steps if one.action_masks is not None]
    every = -(-len(steps) // MAX_FRAMES)
    spans = (
        TOLERANCE if student.plan.head.is_discrete else TOLERANCE * float(action_span(student.record, actions).max())
    )
    settings = {
        "steps": len(steps),
        "every": every,
        # JSON has no word for what is no number.
        "episode_return": float(np.nan_to_num(sum(one.reward for one in steps))),
        "tolerance": spans,
        "masks": encoded(np.concatenate(masks).astype(np.uint8)) if masks else None,
        "actions": encoded(actions.reshape(len(steps), -1)),
        "obs": {f"obs{k}": encoded(part) for k, part in enumerate(_parts(student, steps))},
        "frames": [base64.b64encode(png(one.frame)).decode() for one in steps[::every]],
    }
    told = "An episode that was recorded as this page was written; each action is computed again here."
    return Scene("recorded", settings, told)


def _within_bounds(student: Student, steps: Iterator[Shown]) -> Iterator[Shown]:
    """Yield the steps that have an action, as many as fit."""
    n_bytes = 0
    for one in steps:
        n_bytes += sum(part.nbytes for part in _parts(student, [one]))
        if one.action is None or n_bytes > MAX_BYTES:
            return
        yield one


def _parts(student: Student, steps: list[Shown]) -> list[np.ndarray]:
    """Return what is seen in each step, an array `[T, ...]` for each part of the observation."""
    seen = [student.view.narrow(one.obs) for one in steps]
    parts = student.plan.featurizer.parts
    return [np.concatenate([np.asarray(obs[part.key] if part.key else obs) for obs in seen]) for part in parts]


def encoded(array: np.ndarray) -> dict[str, Any]:
    """Return an array as JSON values: its numbers in base64, of a type that JavaScript has."""
    kept = array if array.dtype.name in ("float32", "float64", "int32", "uint8") else array.astype(np.float64)
    little = np.ascontiguousarray(kept.astype(kept.dtype.newbyteorder("<")))
    data = base64.b64encode(little.tobytes()).decode()
    return {"dtype": kept.dtype.name, "shape": list(array.shape), "data": data}


def png(frame: np.ndarray) -> bytes:
    """Return a picture, bytes `[H, W, 3]`, as PNG."""
    height, width = frame.shape[:2]
    # Each row as its difference from the one above (filter 2): what is drawn is mostly plain.
    rows = np.concatenate([frame[:1], frame[1:] - frame[:-1]]).reshape(height, -1)
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows], axis=1)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(filtered.tobytes(), 9),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
