"""What commands share that make students of a teacher in a run folder: its options, its loading, its interruption."""

from __future__ import annotations

import shlex
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from policy_distill.commands.options.tracking_options import TrackName
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.system.interrupts import Interrupted, terminated_like_interrupted

if TYPE_CHECKING:
    from policy_distill.tracking.table import Named


@dataclass(frozen=True, kw_only=True)
class FromTeacher(ABC):
    """A command with a teacher, an environment and a run folder."""

    teacher: tuple[Path, ...]
    """Stable-Baselines3 zip, or a folder with one; what belongs to it is found too (docs/teachers.md). A student
    (student.safetensors, or its run folder) may teach too, and several agents together as one (--combine)."""
    combine: str | None = None
    """How several teachers label a state together (docs/several_teachers.md). mixture: the mean of their probabilities,
    for one discrete choice; mean: the mean of their parameters. best: the teacher that expects the highest return
    labels the state, by the teachers' critics where they are comparable, else by each teacher's measured return;
    best:MODULE:FUNCTION: by the measured return in each context, an integer that the function returns.
    dispatch:MODULE:FUNCTION: a function of a batch of raw observations returns the index of the teacher that labels, in
    the order of --teacher; dispatch:KEY: a key of the observation holds that index. Use dispatch for experts that each
    know a part of the task: their mean is worse than either. By default mixture for one discrete choice, mean
    otherwise."""
    out: Path
    """Run folder: config.json, metrics.jsonl, student.safetensors, evaluation.json."""
    env: str | None = None
    """Gymnasium id of the environment, such as Pendulum-v1 or package:Id-v0; by default the one that the teacher was
    trained in."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment's constructor, such as gravity:-5.0 enable_wind:True; values are Python literals.
    They override those that the policy was trained with."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register environments, imported first; the working folder is searched too."""
    vecnormalize: Path | None = None
    """Observation statistics of the teacher, where they are not next to its zip; none for a teacher without any."""
    wrapper: tuple[str, ...] = ()
    """Environment wrappers of a teacher, such as FrameStack:n_stack=4; those in the Zoo's config.yml are found
    automatically; none applies no wrapper."""
    temperature: float | None = None
    """Temperature of softmax(Q / T) for DQN and QR-DQN teachers; by default scaled to the gap between actions."""
    algo: str = "auto"
    """The teacher's algorithm; auto finds it in the file. A .cleanrl_model does not hold it: use cleanrl-ppo,
    cleanrl-dqn, cleanrl-sac, cleanrl-td3 or cleanrl-ddpg, after the script that wrote it."""
    trust: bool = False
    """Load the teacher with SB3's own loading, which runs code from the file."""
    track: TrackName = "offline"
    """Weights & Biases: offline needs no account; online goes offline without a key. trackio is a dashboard on this
    machine (extra trackio). NAME is a tracker of an installed package. metrics.jsonl is always there."""
    project: str | None = None
    """W&B project; by default WANDB_PROJECT, or policy-distill."""
    group: str | None = None
    """W&B group; by default the name of the run folder."""
    tags: tuple[str, ...] = ()
    """W&B tags."""
    resume: bool = False
    """Continue from the checkpoint in --out."""
    overwrite: bool = False
    """Replace the run in --out."""
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(default_factory=DistillConfig)

    def run(self) -> int:
        """Make the students; where that is interrupted, say how to go on."""
        # From the first moment on: what follows is a second of imports, and a teacher to load.
        with terminated_like_interrupted():
            try:
                return self.make()
            except KeyboardInterrupt as interrupt:
                going_on = f"; go on with: {resume_command()}" if self._kept(interrupt) else ""
                print(f"{str(interrupt) or 'interrupted'}{going_on}", file=sys.stderr)
                return 130

    @abstractmethod
    def make(self) -> int:
        """Do what the command is for, and return its exit status."""

    def _kept(self, interrupt: KeyboardInterrupt) -> bool:
        """Say whether an interrupted run can be gone on with."""
        if isinstance(interrupt, Interrupted):
            return interrupt.saved
        from policy_distill.run.folder import RunFolder

        # Stopped at once: a checkpoint may be of the run that was to be replaced.
        return not self.overwrite and RunFolder(self.out).resumable

    def loaded(self) -> tuple[Any, Any]:
        """Return the teacher and its environment, with notices of what comes with them.

        Raises:
            RequestError: for a teacher, an environment or a tracker that there is not.
        """
        from policy_distill.commands.options.policies import find_env, say_applied
        from policy_distill.teachers.files.agent_file import find_agent
        from policy_distill.teachers.kinds.student import StudentTeacher
        from policy_distill.tracking.table import check_track

        check_track(self.track)
        teacher = self.load()
        named = {"env_kwargs": self.env_kwargs, "gym_packages": self.gym_packages}
        first = teacher.members[0] if teacher.members else teacher
        # A student's file says where it was distilled. Experts may come from worlds that differ: none of them is taken.
        of_student = isinstance(first, StudentTeacher) and dict(first.env_kwargs) == dict(teacher.env_kwargs)
        known = first.student if of_student else teacher
        env = find_env(self.env, find_agent(self.teacher[0]), known, **named)
        say_applied(teacher)
        return teacher, env

    def load(self) -> Any:
        """Return the teacher.

        Raises:
            RequestError: where there is none, or it cannot be read.
        """
        from policy_distill.environments.names import parse_kwargs
        from policy_distill.teachers.load import load_teacher

        if not self.teacher:
            raise RequestError("expected an agent's file after --teacher, found none")
        return load_teacher(
            self.teacher[0] if len(self.teacher) == 1 else self.teacher,
            env=self._known_env(),
            algo=self.algo,
            vecnormalize=self.vecnormalize,
            trust=self.trust,
            wrappers=self.wrapper or None,
            temperature=self.temperature,
            env_kwargs=parse_kwargs(self.env_kwargs),
            combine=self.combine,
        )

    def _known_env(self) -> Any:
        """Return the environment, for a file that does not say its actions; None elsewhere: it is found later."""
        from policy_distill.environments.names import parse_kwargs, with_kwargs, with_packages, working_folder_on_path
        from policy_distill.teachers.algorithm_names import kind_asked

        if not kind_asked(self.algo) or self.env is None:
            return None
        working_folder_on_path()
        return with_kwargs(with_packages(self.env, self.gym_packages), parse_kwargs(self.env_kwargs))

    def tracker(
        self, *, gradients: bool = False, job_type: str = "distill", student: Path | None = None
    ) -> Named | None:
        """Return what makes the tracker, with histograms of the `gradients` where they are asked for.

        `student` is the file that a run begins with, where it begins with one.
        """
        from policy_distill.teachers.files.agent_file import find_agent
        from policy_distill.tracking.table import tracker_maker

        # The artifact that a run uses is one file.
        used = find_agent(self.teacher[0]) if len(self.teacher) == 1 else None
        return tracker_maker(
            self.track,
            project=self.project,
            group=self.group,
            job_type=job_type,
            tags=self.tags,
            teacher=used,
            student=student,
            gradients=gradients,
        )


def resume_command() -> str:
    """Return the command line that goes on from the checkpoint."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--overwrite"]
    return shlex.join(["policy-distill", *arguments, *(() if "--resume" in arguments else ("--resume",))])
