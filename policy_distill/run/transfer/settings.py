"""What the command `transfer` takes: settings of both ways to go on, which are as of that way where nobody names them.

In: options of the command line. Out: fields of `FinetuneConfig` or `DistillConfig`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from policy_distill.errors import RequestError
from policy_distill.run.finetuning.settings import FinetuneConfig

OF_REWARD = ("method", "critic_steps", "gamma", "ent_coef", "n_selections")
"""Settings that a transfer by a teacher has no use for."""


@dataclass(frozen=True)
class TransferSettings:
    """Settings of a transfer; by themselves those of finetune, or of distill where there is a teacher."""

    timesteps: int = 200_000
    """Most environment steps to learn from."""
    seed: int = 0
    """Seed of everything random."""
    n_envs: int | None = None
    """Environments stepped side by side."""
    n_steps: int | None = None
    """Steps of each environment in one rollout."""
    n_epochs: int | None = None
    """Gradient passes over the data."""
    batch_size: int | None = None
    """States in one minibatch."""
    learning_rate: float | None = None
    """Adam's step size at the start."""
    method: Literal["ppo", "es"] | None = None
    """How reward improves the student: ppo (the default), or es, an evolution strategy."""
    critic_steps: int | None = None
    """Steps in which only PPO's critic learns."""
    gamma: float | None = None
    """Discount of rewards."""
    ent_coef: float | None = None
    """Weight of the entropy in PPO's objective."""
    n_selections: int | None = None
    """Students judged in a run of finetune."""
    eval_episodes: int | None = None
    """Most episodes for the proof."""
    select_episodes: int | None = None
    """Episodes on which a student is judged to keep the best."""
    eval_seed: int | None = None
    """Episode i of the proof starts from reset(seed=EVAL_SEED + i)."""
    max_episode_steps: int | None = None
    """Steps after which an evaluation episode is stopped."""
    checkpoint_every: int | None = None
    """Environment steps between checkpoints in the run folder."""
    device: str | None = None
    """Where the student trains: cpu, cuda, ..."""

    def overrides(self, *, by_teacher: bool) -> dict[str, Any]:
        """Return the fields that somebody named, for `finetune` or for `distill`.

        Raises:
            RequestError: for a setting that is of reward alone where a teacher is named.
        """
        said = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        useless = [name for name in OF_REWARD if name in said]
        if by_teacher and useless:
            raise RequestError(
                f"expected no --{useless[0].replace('_', '-')} with --teacher, where nothing is learnt from reward; "
                "leave it out"
            )
        return said


def frozen_of(config: FinetuneConfig, freeze: tuple[str, ...]) -> FinetuneConfig:
    """Return the settings with the layers that stay as they are."""
    return dataclasses.replace(config, freeze=freeze) if freeze else config
