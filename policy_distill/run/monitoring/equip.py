"""Gives a student a monitor of what it comes to.

In: a student, and environments. Out: the same student, which can say how novel a step is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from policy_distill.environments.choice import env_of, for_policy
from policy_distill.environments.fit import check_fit
from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import open_for
from policy_distill.interfaces.policies import Actor
from policy_distill.interfaces.stepping import Environments
from policy_distill.run.monitoring.fit import fit_monitor, least_episodes
from policy_distill.run.monitoring.play import play_episodes
from policy_distill.student.features import Featurizer
from policy_distill.student.onboard.monitor import can_watch
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student

N_EPISODES = 300
"""Episodes that a monitor rests on."""
N_ENVS = 16


def with_monitor(student: Student, env: Any = None, n_episodes: int = N_EPISODES, seed: int = 0) -> Student:
    """Return the student with a monitor, of episodes that it plays by its mode.

    Args:
        student: as of `load_student`.
        env: a Gymnasium id, an EnvSpec or a callable; by default the environment that it was distilled in.
        n_episodes: a third of them say what is usual, the others from where on a step is novel.
        seed: of the episodes.

    Raises:
        RequestError: for a student of images or choices, too few episodes, or an environment that does not fit.
        RunFault: where the environment fails.
    """
    check_watchable(student.plan.featurizer, n_episodes)
    env = for_policy(env, student) if env is not None else env_of(student)
    if env is None:
        raise RequestError(
            "expected an environment to watch the student in, found none in its record; set it with --env"
        )
    with closing(open_for(student, env, min(N_ENVS, n_episodes))) as envs:
        check_fit(student, envs)
        return watched_in(student, envs, n_episodes, seed)


def watched_in(
    student: Student,
    envs: Environments,
    n_episodes: int = N_EPISODES,
    seed: int = 0,
    *,
    actor: Actor | None = None,
    seen: Callable[[Any], Any] | None = None,
) -> Student:
    """Do so in environments that are open, where `actor` is the student and `seen` what it takes of what they show."""
    options: dict[str, Any] = {"seen": seen or student.view.narrow, "masked": student.takes_action_masks}
    episodes = play_episodes(envs, actor or student, student.plan, n_episodes, seed, **options)
    monitor = fit_monitor(episodes, student.n_params)
    made = Student.of(StudentRecord(student.tensors, replace(student.description, monitor=monitor)), student.runtime)
    made.critic = student.critic
    return made


def check_watchable(featurizer: Featurizer, n_episodes: int = N_EPISODES) -> None:
    """Refuse a student that no monitor can be made for.

    Raises:
        RequestError: for observations with images or choices, or too few episodes.
    """
    if not can_watch(featurizer):
        raise RequestError(
            "expected numeric observations for a monitor, found images or choices among them; leave --monitor out"
        )
    if n_episodes < least_episodes():
        raise RequestError(f"expected at least {least_episodes()} episodes for a monitor, found {n_episodes}")
