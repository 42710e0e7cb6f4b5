"""`policy-distill equip`: what a student needs on a robot, put into its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from policy_distill.commands.showing.output import Output

if TYPE_CHECKING:
    from policy_distill.student.runtime import Student


@dataclass(frozen=True)
class Equip:
    """Give a student names for its observations and actions, a control rate, and a monitor for novel observations.

    Example: policy-distill equip runs/arm --observation-names q1,q2,v1,v2 --monitor --out arm.safetensors
    """

    student: Annotated[Path, tyro.conf.Positional]
    """student.safetensors, or a run folder with one."""
    out: Path
    """The file to write."""
    observation_names: str = ""
    """Names of the observation's components, separated by commas: of what the student sees, or of the whole observation
    where it sees a part."""
    action_names: str = ""
    """Names of its actions: of the options of a choice, or of the components of an action."""
    control_hz: float | None = None
    """Actions per second that it is made for."""
    monitor: bool = False
    """Play episodes, and keep the range of their observations: the student can then say how novel a step is."""
    episodes: int = 300
    """Episodes for the monitor: a third define what is usual, the others set from where on a step is novel."""
    seed: int = 0
    """Seed of the monitor's episodes."""
    env: str | None = None
    """Environment of the monitor's episodes, such as pkg:Id-v0; by default the one that the student was made in."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment's constructor, such as gravity:-5.0; values are Python literals."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register environments, imported first; the working folder is searched too."""
    overwrite: bool = False
    """Replace what is at --out."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Equip, write and print."""
        from policy_distill.config import names_between_commas
        from policy_distill.errors import RequestError
        from policy_distill.student.file import in_run_folder
        from policy_distill.student.onboard.naming import with_names
        from policy_distill.student.runtime import load_student

        path = in_run_folder(self.student)
        if self.out.exists() and not self.overwrite:
            raise RequestError(f"expected no file at {self.out}, found one; add --overwrite, or choose another --out")
        observed, acted = map(names_between_commas, (self.observation_names, self.action_names))
        student = with_names(load_student(path, "numpy"), observed, acted, self.control_hz)
        if self.monitor:
            student = self._watched(student, path)
        student.save(self.out)
        record = _said(student, self.out)
        Output(self.json).show(record, [(key.replace("_", " "), _text(value)) for key, value in record.items()])
        return 0

    def _watched(self, student: Student, path: Path) -> Student:
        from policy_distill.commands.options.policies import find_env
        from policy_distill.run.monitoring.equip import check_watchable, with_monitor

        check_watchable(student.plan.featurizer, self.episodes)
        options: dict[str, Any] = {"env_kwargs": self.env_kwargs, "gym_packages": self.gym_packages}
        return with_monitor(student, find_env(self.env, path, student, **options), self.episodes, self.seed)


def _said(student: Student, out: Path) -> dict[str, Any]:
    wiring, monitor = student.wiring, student.monitor
    record: dict[str, Any] = {
        "path": str(out),
        "file_bytes": out.stat().st_size,
        "observation_names": list(wiring.observations),
        "action_names": list(wiring.actions),
        "control_hz": wiring.control_hz,
    }
    return record | ({} if monitor is None else {"monitor": monitor.summary()})


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {one}" for key, one in value.items())
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
