"""Whether a run can be: its settings, its environments, and what it will take, before its first step.

In: what the caller of `distill` asks for. Out: the same, known to fit together.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any

import torch

from policy_distill.collection.collector import Collector
from policy_distill.collection.state_sample import sample_states
from policy_distill.collection.trial import try_conditions
from policy_distill.collection.workers.service import Equipment
from policy_distill.config import DistillConfig
from policy_distill.environments.choice import for_policy, say_where_other
from policy_distill.environments.fit import check_fit
from policy_distill.environments.identity import EnvIdentity
from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.open import is_recipe, open_environments, without_normalization
from policy_distill.environments.own_wrapper import own_wrapper, text_of
from policy_distill.environments.perturbations.dealt import conditions_for, open_dealt
from policy_distill.errors import RequestError
from policy_distill.evaluation.contexts.robustness import noise_units
from policy_distill.evaluation.fidelity import Fidelity, fidelity_of, measure_fidelity
from policy_distill.interfaces.policies import Teacher, WrapperSpec
from policy_distill.interfaces.stepping import Environments
from policy_distill.interfaces.students import Loss
from policy_distill.losses.table import choose_loss
from policy_distill.run.critics.request import check_corrected
from policy_distill.run.finetuning.rewarded import check_rewarded
from policy_distill.run.session import Session
from policy_distill.run.stream import Stream
from policy_distill.system.blame import others_blamed
from policy_distill.system.device import check_device
from policy_distill.system.workers.pool import Pool
from policy_distill.system.workers.settings import WorkerSettings
from policy_distill.teachers.activation import activation_for
from policy_distill.training.learner import GradientLearner
from policy_distill.training.learners import find_learner, while_learning
from policy_distill.training.memory import Footprint, check_memory

LOG = logging.getLogger("policy_distill")

MEASURED_STATES = 4_000
"""States on which the fidelity at the end is measured, at most; a tenth of a short run."""


def settle(teacher: Teacher, student: str, config: DistillConfig) -> tuple[Teacher, DistillConfig, Loss]:
    """Return teacher, settings and their loss once it is known that device, student and loss fit."""
    check_device(config.device)
    if config.actor == "student" and (config.min_teacher_return is not None or config.drop_worst):
        LOG.warning(
            "with actor=student the teacher acts only in the first rollout, and only episodes that end within it are "
            "left out by min_teacher_return and drop_worst; set actor=teacher or mixed, or a larger n_steps"
        )
    with others_blamed(f"the student {student} cannot be made", "fix it, or choose another student", RequestError):
        find_learner(student).check(student, activation_for(config.activation, teacher))
    if config.weight_decay and find_learner(student) is not GradientLearner:
        raise RequestError(
            f"expected a student that learns by gradients for --weight-decay, found {student!r}; leave --weight-decay "
            "out"
        )
    if own := own_wrapper(config.student_wrapper):
        config = replace(config, student_wrapper=text_of(own))
    if config.actor == "mixed" or config.reward_weight > 0.0:
        # Their course is laid out over the whole budget.
        config = replace(config, stop="never")
    config = check_rewarded(teacher, student, check_corrected(teacher, student, config))
    return teacher, config, choose_loss(config.loss, teacher.family)


def open_fitting(
    teacher: Teacher, env: Any, config: DistillConfig, scope: ExitStack, env_kwargs: Mapping[str, Any] | None = None
) -> tuple[Environments, Any]:
    """Return the environments of a run, open within `scope`, and what those that judge them are made from.

    Where one is asked for everywhere and a second cannot be made beside it, the one is what they borrow.
    """
    env = without_normalization(for_policy(env, teacher, env_kwargs))
    envs = scope.enter_context(closing(open_environments(env, config.n_envs, teacher.env_wrappers)))
    check_fit(teacher, envs)
    say_where_other(teacher, envs)
    if config.collect_perturb:
        envs.close()
        return scope.enter_context(closing(_perturbed(teacher, env, config, envs.identity))), env
    if config.student_wrapper:
        envs.close()
        return scope.enter_context(closing(_as_it_is(teacher, env, config))), env
    if isinstance(envs, EnvironmentList) and is_recipe(env) and config.n_envs == config.n_eval_envs == 1:
        try:
            open_environments(env, 1, teacher.env_wrappers).close()
        except Exception as error:
            LOG.info("only one environment can be made (%s): selection and proof use it too", error)
            return envs, envs.lend()
    return envs, env


@contextmanager
def measured_in(stream: Stream, env: Any) -> Iterator[Environments]:
    """Open where a student of a stream is measured: where it was collected, or in `env` as it is where that was not."""
    if not stream.config.collect_perturb:
        yield stream.envs
        return
    with closing(_as_it_is(stream.teacher, env, stream.config)) as envs:
        envs.faults.restarts = stream.restarts
        yield envs


def measure_fresh(session: Session, envs: Environments) -> Fidelity:
    """Let a session's student act in fresh whole episodes and compare it with the teacher there; they train nobody."""
    n_states = min(MEASURED_STATES, max(1_000, session.config.timesteps // 10))
    stream = session.stream
    with stream.watch.timed("evaluate"):
        student, sight = session.learner.student(), stream.sight
        options: dict[str, Any] = {"masked": stream.masked, "teacher": sight.labeller(stream.teacher)}
        options |= {"followed": student, "seen": sight.seen}
        sample = sample_states(envs, session.config.seed, sight.student(student), n_states, **options)
        if sample.outputs is not None:
            return fidelity_of(stream.teacher, student, sample.outputs, sample.params)
        return measure_fidelity(stream.teacher, session.learner, stream.features_of(sample.obs), sample.params)


def _as_it_is(teacher: Teacher, env: Any, config: DistillConfig) -> Environments:
    """Return environments with what both sides need around them."""
    return open_environments(env, config.n_envs, _wrappers(teacher, config))


def _perturbed(teacher: Teacher, env: Any, config: DistillConfig, identity: EnvIdentity) -> Environments:
    """Return environments in turns under the conditions of the settings, each of which is known to fit.

    Raises:
        RequestError: for a condition that there is not, or under which the environment is another one.
    """
    conditions = conditions_for(config.collect_perturb, config.n_envs)
    try_conditions(teacher, env, conditions, config.seed)
    scale = noise_units(teacher, env, conditions)
    return open_dealt(env, config.n_envs, conditions, _wrappers(teacher, config), scale, identity)


def _wrappers(teacher: Teacher, config: DistillConfig) -> list[WrapperSpec]:
    """Return the wrappers of a run's environments: the teacher's, and a student's own, which shows both sides."""
    own = own_wrapper(config.student_wrapper)
    if own is None:
        return list(teacher.env_wrappers)
    both: WrapperSpec = {**own, "name": own["entry_point"].rpartition(":")[2], "both": True}
    return [*teacher.env_wrappers, both]


def hire(session: Session, env: Any, workers: WorkerSettings, scope: ExitStack) -> Pool | None:
    """Let workers step the environments of a session, until `scope` ends: those asked for, or one once that pays.

    Returns:
        Where those run that were asked for.

    Raises:
        RequestError: where workers are asked for and there can be none.
    """
    stream: Stream = session.stream
    envs: Any = stream.envs
    alone = _why_alone(session, env)
    if alone and workers.workers not in (0, "auto"):
        raise RequestError(f"expected no --workers where {alone}, found {workers.workers}; leave --workers out")
    if alone or workers.workers == 0:
        return None
    collector, make, config = stream.source, envs.make, stream.config
    assert isinstance(collector, Collector) and make is not None

    def equip() -> Equipment:
        return Equipment(
            make=make,
            teacher=stream.teacher,
            taught=stream.sight.taught,
            n_envs=envs.n_envs,
            seed=config.seed,
            seed_of=collector.seed_of,
            env_timeout=config.env_timeout,
            n_threads=torch.get_num_threads(),
        )

    if workers.workers == "auto":
        stream.staff.take_on_where_it_pays(collector, equip)
        scope.callback(stream.staff.dismiss)
        return None
    pool = scope.enter_context(closing(workers.pool()))
    stream.staff.take_on(collector, equip(), pool, workers.workers)
    return pool


def _why_alone(session: Session, env: Any) -> str:
    """Return in words why this process must step the environments of a session; empty where others may."""
    envs, source = session.stream.envs, session.stream.source
    if session.config.reward_weight > 0.0:
        return "the student learns from reward (--reward-weight)"
    if not isinstance(envs, EnvironmentList) or envs.make is None or not is_recipe(env):
        return "environments are passed in, and cannot be made again"
    return "" if isinstance(source, Collector) and source.log is not None else "environments restart themselves"


def check_room(session: Session) -> tuple[int, Footprint]:
    """Return the parameters of the student's network, and what the buffer takes, once it is known that both fit."""
    config, envs, teacher = session.config, session.stream.envs, session.stream.teacher
    with while_learning():
        n_params = find_learner(session.network).n_params(session.specify(None))
    stream = session.stream
    n_labels = teacher.family.n_params + stream.valued
    return n_params, check_memory(
        config, envs.n_envs, stream.sight.space, n_labels, stream.sight.n_frames, stream.images
    )
