"""Distil any Stable-Baselines3 agent into the smallest, fastest policy that provably keeps its return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy_distill.system.announced import MANY_TASKS, SB3_MODEL, TRAINABLE, announce, import_home

if TYPE_CHECKING:
    from policy_distill.compression.compress import compress as compress
    from policy_distill.config import DistillConfig as DistillConfig
    from policy_distill.evaluation.compare import compare as compare
    from policy_distill.evaluation.evaluate import evaluate as evaluate
    from policy_distill.exporters.export import export as export
    from policy_distill.run.distill import distill as distill
    from policy_distill.run.finetuning.finetune import finetune as finetune
    from policy_distill.run.tasks.distill_many import distill_many as distill_many
    from policy_distill.student.runtime import load_student as load_student
    from policy_distill.teachers.load import load_teacher as load_teacher
    from policy_distill.teachers.train import train_teacher as train_teacher

# Each name is imported when it is first used, so that a program that only acts pays for NumPy alone.
_HOMES = {
    "load_teacher": "policy_distill.teachers.load",
    "train_teacher": "policy_distill.teachers.train",
    "distill": "policy_distill.run.distill",
    "distill_many": "policy_distill.run.tasks.distill_many",
    "compress": "policy_distill.compression.compress",
    "finetune": "policy_distill.run.finetuning.finetune",
    "DistillConfig": "policy_distill.config",
    "load_student": "policy_distill.student.runtime",
    "evaluate": "policy_distill.evaluation.evaluate",
    "compare": "policy_distill.evaluation.compare",
    "export": "policy_distill.exporters.export",
    "__version__": "policy_distill.system.version",
}

# What a student hands over and is at home below it: the root alone knows both.
announce(
    {
        TRAINABLE: "policy_distill.training.policy:StudentPolicy.from_record",
        SB3_MODEL: "policy_distill.exporters.sb3_model:to_sb3",
        MANY_TASKS: "policy_distill.student.many:ManyTasks",
    }
)

__all__ = [
    "DistillConfig",
    "compare",
    "compress",
    "distill",
    "distill_many",
    "evaluate",
    "export",
    "finetune",
    "load_student",
    "load_teacher",
    "train_teacher",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_home(_HOMES[name], name), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
