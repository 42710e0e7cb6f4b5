"""`policy-distill compare`: what a student keeps of its teacher."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from policy_distill.commands.options.several import Several
from policy_distill.commands.options.tracking_options import Tracking
from policy_distill.commands.showing.comparison_tables import aggregated, tables
from policy_distill.commands.showing.output import Output, table
from policy_distill.evaluation.records import ComparedRecord, FidelityRecord, StudentsRecord
from policy_distill.system.answers import answer
from policy_distill.system.workers.settings import WorkerSettings

if TYPE_CHECKING:
    from policy_distill.evaluation.paired import Comparison


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
    several: Annotated[Several, tyro.conf.arg(name="")] = field(default_factory=Several)
    task: str | None = None
    """The task to compare in, for students of several tasks: its name, or the id of its environment."""
    env: str | None = None
    """Gymnasium id of the environment, such as Pendulum-v1 or package:Id-v0; by default the student's own."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of its constructor, such as gravity:-5.0 enable_wind:True; they override those of the policy."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register environments, imported first; the working folder is searched too."""
    n_envs: int = 16
    """Environments stepped side by side, which changes no episode; 1 where only one instance may exist."""
    episodes: int = 100
    """Episodes of each, run to their ends; with --until-certain, of each batch."""
    max_episode_steps: int = 0
    """Steps after which an episode is stopped, and counts with its return so far; 0 for the environment's registered
    limit, or 27,000 without one."""
    seed: int | None = None
    """Episode i starts from reset(seed=SEED + i), for teacher, student and random policy; by default from a block of
    seeds that neither the teacher's training nor the student's own proof has used."""
    margin: float = 0.05
    """Share of the teacher's gain over random that a non-inferior student may lose, by the mean return."""
    worst_loss: float | None = None
    """The most that one episode may lose, in units of the teacher's gain over random. Verdict and lower bound rest on
    it; by default a tenth more than the worst random episode loses."""
    until_certain: bool = False
    """Run batches until the verdict is clear or --max-episodes are run; verdict and bound hold at every stop."""
    max_episodes: int = 1000
    """Episodes at most with --until-certain."""
    stochastic: bool = False
    """Teacher and student act by sampling; by default they act by the modes of their distributions."""
    sampled_teacher: bool = True
    """Also run the teacher by sampling, on at most 100 of the episodes, and say if that is better than its mode.
    Skipped for teachers without a distribution (DQN, TD3, ...)."""
    perturb: str | None = None
    """Conditions to compare under too, such as obs-noise:0.1,sticky:0.25,delay:1,action-noise:0.1,env:gravity=-12.
    obs-noise: Gaussian, in units of each component's spread over 20 episodes of the teacher and 20 of a random policy.
    action-noise: Gaussian, in units of half the action range; for discrete actions, the chance that an action is
    replaced by another one, each equally likely. sticky: the chance that the last executed action is executed again.
    delay: steps by which observations are late. + joins several into one condition, the first nearest to the
    environment; each draws noise of its own."""
    contexts: Path | None = None
    """A YAML file of contexts, constructor arguments and perturbations, some seen in training and some held out: each
    is compared, and the gap between both groups measured (docs/generalisation.md)."""
    out: Path | None = None
    """Folder for comparison.json, what --json prints; in the student's own run folder, report.html shows perturbations
    and contexts too."""
    overwrite: bool = False
    """Replace an earlier comparison in --out."""
    vecnormalize: Path | None = None
    """Observation statistics of the teacher, where they are not next to its zip; none for a teacher without any."""
    trust: bool = False
    """Load zips with SB3's own loading, which runs code from the file."""
    wrapper: tuple[str, ...] = ()
    """Environment wrappers of a teacher, such as FrameStack:n_stack=4; those in the Zoo's config.yml are found
    automatically; none applies no wrapper."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False
    staff: Annotated[WorkerSettings, tyro.conf.arg(name="")] = field(default_factory=partial(WorkerSettings, 0))
    tracking: Annotated[Tracking, tyro.conf.arg(name="")] = field(default_factory=Tracking)

    def run(self) -> int:
        """Compare and print."""
        from policy_distill.commands.options.policies import load_named, say_applied
        from policy_distill.commands.showing.comparison_files import check_place
        from policy_distill.errors import RequestError
        from policy_distill.evaluation.proof.spent import choose_seed
        from policy_distill.tracking.evaluation import comparison_row

        self.tracking.check()
        if not self.student:
            raise RequestError("expected a student file after the teacher, found none")
        if sum((self.perturb is not None, self.until_certain, self.contexts is not None)) > 1:
            raise RequestError("expected one of --perturb, --contexts and --until-certain, found more; choose one")
        if self.out is not None:
            names = [*(["perturbed.json"] if self.perturb else []), *(["contexts.json"] if self.contexts else [])]
            check_place(self.out, self.student, names=names, overwrite=self.overwrite)
        given: dict[str, Any] = {"vecnormalize": self.vecnormalize, "wrappers": self.wrapper or None}
        teacher = self.several.load(self.teacher, self.env_kwargs, trust=self.trust, **given)
        students = [load_named(path, self.env_kwargs, trust=self.trust, task=self.task) for path in self.student]
        env = self._env(teacher, students)
        teacher = self.several.measured(teacher, env, self.n_envs)
        say_applied(teacher)
        seed = choose_seed(self.seed, self.max_episodes if self.until_certain else self.episodes, teacher, *students)
        records, rows, found = [], [], []
        for path, student in zip(self.student, students, strict=True):
            comparison, record = self._compared(path, teacher, student, env, seed)
            found.append(comparison)
            records.append(record)
            rows.append(comparison_row(student, record.comparison))
            if not self.json:
                answer("\n\n".join([*([str(path)] if len(self.student) > 1 else []), *tables(record)]) + "\n")
        together = StudentsRecord(tuple(records), aggregated(found)) if len(found) > 1 else None
        self._show(together or records[0])
        self._write(together or records[0])
        self.tracking.log(self.student[0], (together or records[0]).to_json(), rows)
        return 0

    def _env(self, teacher: Any, students: list[Any]) -> Any:
        """Return the environment: by itself that of the first student that recorded one, else the teacher's."""
        from policy_distill.commands.options.policies import find_env
        from policy_distill.environments.choice import other_than_recorded, recorded_in

        known = [pair for pair in zip(self.student, students, strict=True) if recorded_in(pair[1]) is not None]
        path, policy = known[0] if known else (self.teacher, teacher)
        env = find_env(self.env, path, policy, env_kwargs=self.env_kwargs, gym_packages=self.gym_packages)
        for _, other in known:
            if said := other_than_recorded(env, other):
                print(said, file=sys.stderr)
        return env

    def _compared(
        self, path: Path, teacher: Any, student: Any, env: Any, seed: int
    ) -> tuple[Comparison, ComparedRecord]:
        """Compare one student, by itself or under perturbations too; return the comparison and what is said of it."""
        from policy_distill.commands.comparing import in_contexts, plainly, under_perturbations
        from policy_distill.evaluation.compare import fidelity_on_own_states
        from policy_distill.evaluation.on_workers import played_by
        from policy_distill.evaluation.statistics import json_number
        from policy_distill.student.runtime import Student
        from policy_distill.teachers.base import BaseTeacher

        with played_by(self.staff):
            under = {} if self.perturb is None else under_perturbations(self, teacher, student, env, seed)
            contexts = None
            if self.contexts is not None:
                everywhere = in_contexts(self, teacher, student, env, seed)
                found, contexts = everywhere.plain, everywhere.record
            else:
                found = under["none"] if under else plainly(self, teacher, student, env, seed)
        fidelity = None
        if isinstance(teacher, BaseTeacher) and isinstance(student, Student):
            own = fidelity_on_own_states(teacher, student, env, self.seed or 0, self.n_envs)
            fidelity = FidelityRecord(json_number(own.agreement), json_number(own.kl))
        records = {name: one.record() for name, one in under.items()} or None
        deterministic = not self.stochastic
        return found, ComparedRecord(found.record(), deterministic, fidelity, records, contexts, str(path))

    def _show(self, record: ComparedRecord | StudentsRecord) -> None:
        """Print the JSON object, or what several students come to together."""
        if self.json:
            Output(True).show(record.to_json(), [])
        elif isinstance(record, StudentsRecord):
            total = record.aggregate
            iqm = "undefined" if math.isnan(total.iqm) else f"{total.iqm:.3f}"
            answer(table([("retention over students, mean [95%]", total.text()), ("IQM", iqm)]))

    def _write(self, record: ComparedRecord | StudentsRecord) -> None:
        if self.out is None:
            return
        from policy_distill.commands.showing.comparison_files import write_comparison

        print(f"written to {write_comparison(self.out, self.student, record)}", file=sys.stderr)
