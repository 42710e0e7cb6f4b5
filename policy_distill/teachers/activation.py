"""The non-linearity between a student's layers where nobody says one: its teacher's own.

In: a teacher. Out: `tanh` or `relu`. What an agent can do with its units, a student can do with fewer of the same kind.
"""

from __future__ import annotations

from torch import nn

from policy_distill.interfaces.policies import Teacher
from policy_distill.student.runtime import Student
from policy_distill.system.foreign import asked

NAMES: dict[type[nn.Module], str] = {nn.Tanh: "tanh", nn.ReLU: "relu"}
"""What a student may have between its layers."""
USUAL = "tanh"
"""That of students whose teacher has none, or another."""


def activation_for(asked_for: str, teacher: Teacher) -> str:
    """Return `asked_for`, or for `auto` the first non-linearity of the teacher's network that a student may have.

    Several teachers have to agree.
    """
    return _own(teacher) if asked_for == "auto" else asked_for


def _own(teacher: Teacher) -> str:
    if teacher.members:
        of_members = {_own(one) for one in teacher.members}
        return of_members.pop() if len(of_members) == 1 else USUAL
    student, policy = asked(teacher, "student"), asked(teacher, "policy")
    if isinstance(student, Student):
        own = str(student.metadata["architecture"]["activation"])
        return own if own in NAMES.values() else USUAL
    modules = policy.modules() if isinstance(policy, nn.Module) else ()
    return next((NAMES[type(module)] for module in modules if type(module) in NAMES), USUAL)
