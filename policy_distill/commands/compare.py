"""`policy-distill compare`: what a student keeps of its teacher."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.answers import answer
from policy_distill.commands.comparison_tables import aggregated, comparison_record, tables
from policy_distill.commands.output import Output, interval_text, table
from policy_distill.commands.tracking_options import Tracking


@dataclass(frozen=True)
class Compare:
    """Measure retention: the share of the teacher's gain over a random policy that the student keeps, on paired seeds.

    Example: policy-distill compare teacher.zip student.safetensors --env LunarLander-v3

    It prints what it finds, and writes it where --out or --track asks for it.
    """

    teacher: Annotated[Path, tyro.conf.Positional]
    """Teacher zip (or a student file that stands in for one)."""
    student: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """student.safetensors (or another zip); several, of several training seeds, are aggregated too."""
    env: str | None = None
    """Gymnasium id of the environment; by itself the one that the policy was made in."""
    episodes: int = 100
    """Episodes of each, run to their ends; with --until-certain, of each batch."""
    max_episode_steps: int = 0
    """Steps after which an episode is stopped, and counts with what it gained; 0 for the limit that the environment was
    registered with, or 27,000 where it has none."""
    seed: int = 0
    """Episode i starts from reset(seed=SEED + i), for all three."""
    margin: float = 0.05
    """Share of the teacher's gain over random that a non-inferior student may lose, by the mean return."""
    until_certain: bool = False
    """Run batches until the verdict is clear or --max-episodes are run; its error rate of 5% allows for the looks."""
    max_episodes: int = 1000
    """Episodes at most with --until-certain."""
    perturb: str | None = None
    """Conditions to compare under too, such as
    obs-noise:0.1,sticky:0.25,delay:1,action-noise:0.1,env:gravity=-12. Noise is in units of the observation's own
    spread, or of half the action range (of discrete actions: the share replaced); delay is steps that observations are
    late; + joins several into one condition."""
    out: Path | None = None
    """Folder for comparison.json, what --json prints; in the student's own run folder, report.html shows the
    perturbations too."""
    overwrite: bool = False
    """Replace an earlier comparison in --out."""
    vecnormalize: Path | None = None
    """Observation statistics of the teacher, where they do not lie beside its zip."""
    trust: bool = False
    """Load zips with SB3's own loading, which runs code from the file."""
    wrapper: tuple[str, ...] = ()
    """Environment wrappers of a teacher, such as FrameStack:n_stack=4; those in the Zoo's config.yml beside the zip are
    found by themselves."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False
    tracking: Annotated[Tracking, tyro.conf.arg(name="")] = field(default_factory=Tracking)

    def run(self) -> int:
        """Compare and print."""
        from policy_distill.commands.comparison_files import check_place
        from policy_distill.commands.policies import find_env, load_policy, say_applied
        from policy_distill.errors import RequestError
        from policy_distill.tracking.evaluation import evaluation_row

        if not self.student:
            raise RequestError("expected a student file after the teacher, found none")
        if self.perturb is not None and self.until_certain:
            raise RequestError("expected --perturb or --until-certain, found both; choose one")
        if self.out is not None:
            check_place(self.out, self.student, perturb=self.perturb is not None, overwrite=self.overwrite)
        env = find_env(self.env, self.teacher)
        options = {"vecnormalize": self.vecnormalize, "wrappers": self.wrapper or None}
        teacher = load_policy(self.teacher, env, trust=self.trust, **options)
        say_applied(teacher)
        records, rows = [], []
        for path in self.student:
            student = load_policy(path, env, trust=self.trust)
            record, parts = self._record(teacher, student, env)
            records.append({**record, "student_file": str(path)})
            rows.append(evaluation_row(student, record, who="student"))
            if not self.json:
                answer("\n\n".join([*([str(path)] if len(self.student) > 1 else []), *parts]) + "\n")
        record = records[0] if len(records) == 1 else _together(records)
        self._show(record)
        self._write(record)
        self.tracking.log(self.student[0], record, rows)
        return 0

    def _record(self, teacher: Any, student: Any, env: str) -> tuple[dict[str, Any], list[str]]:
        from policy_distill.comparison import fidelity_on_own_states
        from policy_distill.interfaces import Teacher
        from policy_distill.runtime import Student
        from policy_distill.statistics import json_number

        under = {}
        if self.perturb is not None:
            under = self._perturbed(teacher, student, env)
            found = under["none"]
        else:
            found = self._plain(teacher, student, env)
        record = comparison_record(found)
        if isinstance(teacher, Teacher) and isinstance(student, Student):
            fidelity = fidelity_on_own_states(teacher, student, env, self.seed)
            record |= {"agreement": json_number(fidelity.agreement), "kl": json_number(fidelity.kl)}
        if under:
            record["perturbed"] = {name: comparison_record(one) for name, one in under.items()}
        return record, tables(record)

    def _plain(self, teacher: Any, student: Any, env: str) -> Any:
        from policy_distill.comparison import compare_until_certain
        from policy_distill.evaluation import compare_policies
        from policy_distill.progress import Progress

        total = 3 * self.episodes
        if self.until_certain:
            total = self.max_episodes
        with Progress(total, description="episodes", enabled=not self.json) as bar:
            if self.until_certain:
                return compare_until_certain(
                    teacher,
                    student,
                    env,
                    self.episodes,
                    self.seed,
                    self.margin,
                    self.max_episodes,
                    on_batch=lambda done, _: bar.update(done, {}),
                    max_episode_steps=self.max_episode_steps,
                )
            return compare_policies(
                teacher,
                student,
                env,
                self.episodes,
                self.seed,
                margin=self.margin,
                on_episode=lambda done: bar.update(done, {}),
                max_episode_steps=self.max_episode_steps,
            )

    def _perturbed(self, teacher: Any, student: Any, env: str) -> dict[str, Any]:
        from policy_distill.perturb import parse_conditions
        from policy_distill.progress import Progress
        from policy_distill.robustness import compare_under

        perturb = self.perturb or ""
        n_conditions, n_done = len(parse_conditions(perturb)) + 1, iter(range(1_000_000))
        with Progress(n_conditions, description="conditions", enabled=not self.json) as bar:
            return compare_under(
                teacher,
                student,
                env,
                perturb,
                self.episodes,
                self.seed,
                margin=self.margin,
                on_condition=lambda _: bar.update(next(n_done), {}),
                max_episode_steps=self.max_episode_steps,
            )

    def _show(self, record: dict[str, Any]) -> None:
        """Print the JSON object, or what several students come to together."""
        if self.json:
            Output(True).show(record, [])
        elif "students" in record:
            total = record["aggregate"]
            rows = [("retention over students, IQM [95%]", interval_text(total, 3) if total else "undefined")]
            answer(table(rows))

    def _write(self, record: dict[str, Any]) -> None:
        if self.out is None:
            return
        from policy_distill.commands.comparison_files import write_comparison

        print(f"written to {write_comparison(self.out, self.student, record)}", file=sys.stderr)


def _together(records: list[dict[str, Any]]) -> dict[str, Any]:
    return {**{k: records[0][k] for k in ("env_id", "seed", "teacher")}, "students": records, **aggregated(records)}
