"""Whether a run can have what it asks for beside a divergence: values, a gate, another objective.

In: teacher, student and settings. Out: nothing, or settings that say the loss; errors come before the first step.
"""

from __future__ import annotations

from dataclasses import replace

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.losses.scored import knows_executed

NETWORKS = ("mlp", "linear")
"""Students beside which a critic learns: what it sees is one vector a state, as theirs."""


def asks_for(config: DistillConfig) -> list[str]:
    """Return the options of the command line that ask for a critic, in words; nothing for a divergence alone."""
    found = {
        f"--objective {config.objective}": config.objective != "kl",
        "--value-weight": config.value_weight > 0,
        "--value-gate": config.value_gate,
    }
    return [words for words, asked in found.items() if asked]


def check_corrected(teacher: Teacher, student: str, config: DistillConfig) -> DistillConfig:
    """Return the settings, with the loss that an objective is of, once it is known that the run can be.

    Raises:
        RequestError: for a student beside which no critic learns, a teacher without the values that are asked for, or
            settings under which a score is of nothing.
    """
    if not (asked := asks_for(config)):
        return config
    if student.partition(":")[0] not in NETWORKS:
        raise RequestError(
            f"expected an mlp or linear student for {asked[0]}, found {student!r}; distil an mlp:32,32, or leave "
            f"{asked[0]} out"
        )
    if config.objective == "teacher_value" or config.value_weight or config.value_gate:
        teacher.with_values()
    needs_discount = "--value-gate" if config.value_gate else asked[0] if config.objective == "teacher_value" else None
    if needs_discount and teacher.discount is None:
        raise RequestError(
            f"expected a teacher's file with its discount (gamma) for {needs_discount}, found none; save the whole "
            "agent, not only its policy"
        )
    return _check_score(teacher, config) if config.objective != "kl" else config


def without_critics(config: DistillConfig) -> DistillConfig:
    """Return settings that ask for no critic, that of a reward included, and for nothing beside the divergence.

    Raises:
        RequestError: for settings that do.
    """
    others = {"--reward-weight": config.reward_weight, "--weight-decay": config.weight_decay}
    if asked := [*asks_for(config), *(name for name, weight in others.items() if weight > 0)]:
        raise RequestError(
            f"compress trains its students by a divergence only, found {asked[0]}; leave it out, and use it when you "
            "distil the student that compress finds"
        )
    return config


def _check_score(teacher: Teacher, config: DistillConfig) -> DistillConfig:
    name = f"--objective {config.objective}"
    if config.actor != "student":
        raise RequestError(
            f"{name} weighs the student's own actions, found --actor {config.actor}; leave --actor at student"
        )
    if config.acting == "mode":
        raise RequestError(
            f"{name} weighs actions that the student sampled, found --acting mode; use alternate or sample"
        )
    if teacher.takes_action_masks:
        raise RequestError(f"{name} cannot use action masks, which this teacher takes; use kl")
    if not knows_executed(teacher.family, teacher.action_map):
        raise RequestError(
            f"{name} needs the probability of an executed action, which the family {teacher.family.name} does not "
            "give; use kl"
        )
    if config.objective != "reverse_trajectory":
        return config
    if config.loss not in ("auto", "reverse_kl"):
        raise RequestError(f"{name} works only with the loss reverse_kl, found --loss {config.loss}; leave --loss out")
    return replace(config, loss="reverse_kl")
