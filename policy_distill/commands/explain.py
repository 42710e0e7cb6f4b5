"""`policy-distill explain`: what a student does, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.errors import RequestError
from policy_distill.system.answers import answer


@dataclass(frozen=True)
class Explain:
    """Print the rules of a tree, or the formula of a linear student, with the observation's names.

    Example: policy-distill explain student.safetensors --observation-names x,x_velocity,theta,theta_velocity
    """

    path: Annotated[Path, tyro.conf.Positional]
    """student.safetensors, or a run folder with one."""
    observation_names: str = ""
    """Names of the observation's components, separated by commas; by default those of the student's run, or of its
    environment if it is known."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Print what can be said of the student.

        Raises:
            RequestError: for one that has neither rules nor a formula, or names that do not fit.
        """
        from policy_distill.commands.showing.output import Output
        from policy_distill.report.explain import linear_lines, rules_of
        from policy_distill.student.file import in_run_folder
        from policy_distill.student.runtime import load_student

        student = load_student(in_run_folder(self.path), "numpy")
        names = tuple(name.strip() for name in self.observation_names.split(",")) if self.observation_names else ()
        spec = student.description.architecture.spec
        about = {"network": spec, "environment": student.origin.env_id}
        rules = rules_of(student, names)
        if rules is not None:
            record, lines = rules.to_json(), list(rules.lines())
            head = f"{spec} of {about['environment']}: {record['leaves']} leaves, {record['depth']} levels"
        else:
            found = linear_lines(student, names)
            if found is None:
                raise RequestError(
                    f"expected a tree or a linear student, which can be read, found {spec}; distil one with "
                    "--student tree:32"
                )
            record, lines = {"kind": "linear", "formulas": found[1:], "action": found[0]}, found[1:]
            head = f"{spec} of {about['environment']}: {found[0]}"
        whole: dict[str, Any] = {**about, **record}
        if self.json:
            Output(True).show(whole, [])
        else:
            answer("\n".join([head, "", *lines]))
        return 0
