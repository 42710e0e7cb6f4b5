"""What the settings of a run may be: kinds of numbers, ranges, choices.

In: nothing. Out: tables, by the names of settings; `policy_distill.config` has what each means, and checks them.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from policy_distill.seeds import USERS

NUMBERS: dict[str, type] = {"int": Integral, "float": Real}
"""What a field that is annotated so may hold; NumPy's numbers too."""

MAX_ENVS = 65_536

LIMITS = (
    *("env_restarts", "env_timeout", "max_recoveries"),
    *("checkpoint_every", "checkpoint_minutes", "keep_checkpoints"),
)
"""What a run bears with, and how it is kept, as numbers of at least 0."""

COUNTS = ("timesteps", "buffer_size", "n_envs", "n_steps", "n_epochs", "batch_size", "n_eval_envs", "keep_checkpoints")
NOT_NEGATIVE = ("eval_episodes", "select_episodes", "max_episode_steps", "seed", "eval_seed", "worst_loss", *LIMITS)

RANGES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (COUNTS, lambda value: value >= 1, "at least 1"),
    (NOT_NEGATIVE, lambda value: value >= 0, "at least 0"),
    (
        ("value_weight", "reward_weight", "weight_decay"),
        lambda value: 0 <= value < float("inf"),
        "at least 0 and finite",
    ),
    (("control_hz",), lambda value: 0 <= value <= 1e6, "from 0 to 1,000,000"),
    (("drop_worst",), lambda value: 0 <= value < 1, "at least 0 and below 1"),
    (("min_teacher_return",), lambda value: value is None or abs(value) < float("inf"), "finite"),
    (("learning_rate", "max_grad_norm"), lambda value: 0 < value < float("inf"), "more than 0 and finite"),
    (("seed", "eval_seed"), lambda value: value < USERS, "below 2^29"),
)
"""Fields, what each must be, and the same in words."""

FREE = (*LIMITS, "sampled_teacher", "monitor")
"""Settings that change nothing in the student of a run that goes well, so that a resumed one may have others."""

BEFORE = {"stop": "never", "passes": "fixed", "activation": "tanh"}
"""What settings were, by their names, in versions that did not have them."""

CHOICES = {
    "actor": ("student", "teacher", "mixed"),
    "objective": ("kl", "n_distill", "reverse_trajectory", "teacher_value"),
    "kl_schedule": ("constant", "linear", "retention"),
    "buffer": ("aggregate", "latest"),
    "acting": ("alternate", "sample", "mode"),
    "stop": ("auto", "never"),
    "passes": ("auto", "fixed"),
    "activation": ("auto", "tanh", "relu"),
    "normalize": ("auto", "none"),
    "precision": ("float32", "bfloat16"),
}
