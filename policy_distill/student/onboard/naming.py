"""Names for a student that has none yet, or others.

In: a student. Out: the same, which keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from policy_distill.student.onboard.names import check_names, n_components
from policy_distill.student.onboard.wiring import Wiring, check_wiring, wiring_of
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student


def with_names(
    student: Student,
    observations: Sequence[str] = (),
    actions: Sequence[str] = (),
    control_hz: float | None = None,
) -> Student:
    """Return the student with these names and this rate; what is not given stays as it was.

    Args:
        student: as of `load_student`.
        observations: of what it observes, or of all that its environment shows, where it sees a part of that.
        actions: of the options of a choice, else of the numbers of an action.
        control_hz: actions a second.

    Raises:
        RequestError: for what does not fit.
    """
    said = student.description
    found = said.wiring
    if observations:
        named = _observed(student, tuple(observations))
        found = replace(found, observations=named.observations, unseen=named.unseen)
    if actions:
        found = replace(found, actions=tuple(actions))
    if control_hz is not None:
        found = replace(found, control_hz=control_hz)
    found = check_wiring(found, said.observation_space, said.action_space, "the student")
    made = Student.of(StudentRecord(student.tensors, replace(said, wiring=found)), student.runtime)
    made.critic = student.critic
    return made


def _observed(student: Student, names: tuple[str, ...]) -> Wiring:
    view = student.view
    if view.whole is None or len(names) == n_components(student.description.observation_space):
        return Wiring(names)
    return wiring_of(view, check_names(names, view.whole, "what its environment shows"), None, None)
