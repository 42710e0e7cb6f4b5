"""Settings of fine-tuning: those of a run, and PPO's own.

In: keyword arguments of `finetune` or options of the command line. Out: a `FinetuneConfig` that later stages trust.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.system.settings import require_setting

OF_THE_STUDENT = (
    *("actor", "acting", "activation", "buffer", "buffer_size", "normalize"),
    *(
        "observe",
        "observation_keys",
        "observation_names",
        "action_names",
        "control_hz",
        "student_wrapper",
        "min_teacher_return",
        "drop_worst",
    ),
    *("stop", "passes", "objective", "value_weight", "value_gate", "reward_weight", "weight_decay"),
)
"""Settings of a distillation that the student brings along, or that PPO leaves no choice of."""
CRITIC_STEPS = 12_000
"""Steps in which an untrained critic learns alone."""
DISCOUNT = 0.99
"""Of rewards where nobody says another."""
METHODS = ("ppo", "es")


@dataclass(frozen=True)
class FinetuneConfig(DistillConfig):
    """Everything that shapes a fine-tuning, apart from student, teacher and environment."""

    timesteps: int = 200_000
    """Environment steps to learn from in all, over all environments (at least 1)."""
    n_steps: int = 256
    """Steps of each environment in one rollout."""
    n_epochs: int = 10
    """Passes over each rollout."""
    batch_size: int = 64
    """States in one minibatch."""
    learning_rate: float = 3e-4
    """Adam's step size at the start; it falls linearly to nothing."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    buffer: Literal["aggregate", "latest"] = "latest"
    """PPO learns from the latest rollout alone."""
    critic_steps: int | None = None
    """First steps, in which only the critic learns: an untrained critic would spoil a good student. They count towards
    timesteps; by default 12,000, and 0 for a student with a critic (distill --value-weight)."""
    log_std_init: float = -1.0
    """log σ of the actions at the start, where neither the student nor its teacher has one."""
    gamma: float | None = None
    """Discount of rewards; by default that of the student's critic, else the teacher's, else 0.99."""
    gae_lambda: float = 0.95
    """Trade-off between bias and variance of advantages (GAE, Schulman et al. 2016)."""
    clip_range: float = 0.2
    """PPO's clip range: the share by which an update may change the probability of an action."""
    target_kl: float = 0.03
    """End the passes over a rollout once the student is 1.5 times this far from the one that acted, in nats."""
    ent_coef: float = 0.0
    """Weight of the entropy in the objective."""
    vf_coef: float = 0.5
    """Weight of the critic's loss."""
    normalize_rewards: bool = True
    """Divide rewards by the deviation of the discounted return so far."""
    kl_weight: float = 1.0
    """Weight of the divergence from the teacher at the start, where there is a teacher."""
    kl_schedule: Literal["retention", "linear", "constant"] = "retention"
    """How that weight falls: to 0 as the student's return reaches the teacher's, linearly to the end, or not at all."""
    method: Literal["ppo", "es"] = "ppo"
    """ppo improves the student by its gradients; es, an evolution strategy, varies its weights and keeps what returns
    more: for students of up to about 2,000 parameters, and for those that PPO cannot improve."""
    es_pairs: int = 8
    """Pairs of candidates in a generation of es: a direction and its opposite."""
    es_episodes: int = 1
    """Episodes of each candidate, the same for all of them."""
    es_sigma: float = 0.05
    """How far candidates are from the student, in its weights' root mean square."""
    es_rate: float = 0.02
    """About how far a generation may move each weight, in the same unit."""
    freeze: tuple[str, ...] = ()
    """Layers that stay as they are, by number from 1, or body (all but the last), head, log_std; only for ppo."""
    n_selections: int = 10
    """How many students are judged in a run, evenly spaced, besides the one that it starts from."""

    @property
    def discount(self) -> float:
        """What a reward one step later counts for."""
        return DISCOUNT if self.gamma is None else self.gamma

    @property
    def warm_up(self) -> int:
        """Steps in which only the critic learns."""
        return CRITIC_STEPS if self.critic_steps is None else self.critic_steps

    def __post_init__(self) -> None:
        """Check every type and range, so that a wrong value fails before the first environment step."""
        super().__post_init__()
        require_setting(self.method in METHODS, "method", "one of " + ", ".join(METHODS), self.method)
        require_setting(0.0 < self.discount <= 1.0, "gamma", "more than 0 and at most 1", self.gamma)
        require_setting(0.0 <= self.gae_lambda <= 1.0, "gae_lambda", "from 0 to 1", self.gae_lambda)
        require_setting(0.0 < self.clip_range < 1.0, "clip_range", "between 0 and 1", self.clip_range)
        for name in ("target_kl", "critic_steps", "kl_weight", "ent_coef", "vf_coef", "n_selections"):
            value = getattr(self, name) or 0
            require_setting(0 <= value < float("inf"), name, "at least 0 and finite", value)
        require_setting(self.batch_size > 1, "batch_size", "at least 2", self.batch_size)
        for name in ("es_pairs", "es_episodes"):
            require_setting(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("es_sigma", "es_rate"):
            value = getattr(self, name)
            require_setting(0.0 < value < float("inf"), name, "more than 0 and finite", value)
        named = isinstance(self.freeze, tuple | list) and all(isinstance(name, str) for name in self.freeze)
        require_setting(named, "freeze", "names of layers", self.freeze)
        require_setting(self.weight_decay == 0, "weight_decay", "0 for a fine-tuning", self.weight_decay)
        whole = self.method == "ppo" or not self.freeze
        require_setting(whole, "freeze", "nothing with --method es, which varies all weights", self.freeze)
        require_setting(math.isfinite(self.log_std_init), "log_std_init", "finite", self.log_std_init)
        require_setting(
            self.buffer == "latest", "buffer", "latest, the rollout that the student itself acted", self.buffer
        )


def kl_weight(config: FinetuneConfig, progress: float, share_kept: float) -> float:
    """Return the weight of the divergence from the teacher, at `progress` in [0, 1].

    `share_kept` is what the student has of the teacher's gain over a random policy; NaN for a teacher that gains
    nothing: by `retention` it holds nobody.
    """
    lost = 0.0 if math.isnan(share_kept) else min(max(1.0 - share_kept, 0.0), 1.0)
    falls = {"constant": 1.0, "linear": 1.0 - progress, "retention": lost}
    return config.kl_weight * falls[config.kl_schedule]


def check_schedule(config: DistillConfig, n_judged: int) -> None:
    """Refuse a weight that falls with what the student keeps, where `n_judged` students of a run are judged: none.

    Raises:
        RequestError: naming what leaves them unjudged.
    """
    judged = {"--eval-episodes": config.eval_episodes, "--select-episodes": config.select_episodes}
    missing = [name for name, n in {**judged, "--n-selections": n_judged}.items() if n == 0]
    if config.kl_schedule == "retention" and missing:
        raise RequestError(
            f"expected judged students for --kl-schedule retention, which follows their retention, found {missing[0]} "
            "0; raise it, or use --kl-schedule linear"
        )


def check_steps(config: FinetuneConfig, n_envs: int) -> None:
    """Refuse a run of PPO in `n_envs` environments that ends before its critic has learnt, and the student begun to.

    Raises:
        RequestError: with the steps that it takes.
    """
    rollout = n_envs * config.n_steps
    needed = -(-config.warm_up // rollout) * rollout
    if config.method == "ppo" and config.timesteps <= needed:
        raise RequestError(
            f"expected more than {needed} --timesteps: during these only the critic learns (--critic-steps "
            f"{config.warm_up}, in rollouts of {rollout} steps), found {config.timesteps}; raise --timesteps, or "
            "lower --critic-steps"
        )
