"""The proof at the end of a run: teacher, student and a random policy on episodes that training never saw.

In: a session. Out: a `Comparison`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

from policy_distill.environments import without_normalization
from policy_distill.evaluation import Comparison, Reference, compare_policies
from policy_distill.interrupts import Interrupts
from policy_distill.progress import Progress
from policy_distill.session import Session


def start_reference(session: Session, env: Any) -> AbstractContextManager[Reference | None]:
    """Start the part of the proof that needs no student: it runs beside the training where a core is idle."""
    config = session.config
    if config.eval_episodes == 0:
        return nullcontext()
    env = without_normalization(env)
    episodes = (config.eval_episodes, config.eval_seed, config.n_eval_envs)
    limits: dict[str, Any] = {"env_timeout": config.env_timeout, "restarts": session.restarts}
    limits["max_episode_steps"] = config.max_episode_steps
    return closing(Reference(session.teacher, env, *episodes, **limits))


def prove(
    session: Session, env: Any, reference: Reference | None, bar: Progress, interrupts: Interrupts
) -> Comparison | None:
    """Compare teacher, student and a random policy on paired episode seeds."""
    config = session.config
    if config.eval_episodes == 0:
        return None

    def on_episode(n_done: int) -> None:
        advance(n_done)
        interrupts.stop_if_requested(f"after {n_done} episodes of the proof")

    with session.timed("evaluate"), bar.phase("proof", 3 * config.eval_episodes) as advance:
        return compare_policies(
            session.teacher,
            session.student(),
            without_normalization(env),
            config.eval_episodes,
            config.eval_seed,
            n_envs=config.n_eval_envs,
            on_episode=on_episode,
            reference=reference,
            restarts=session.restarts,
            max_episode_steps=config.max_episode_steps,
        )
