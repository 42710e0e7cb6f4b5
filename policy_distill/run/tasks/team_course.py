"""A run of several tasks from its first rollouts to its proofs, with what keeps, judges and logs it.

In: a team, and a place. Out: a `ManyResult`, and a run folder where one was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from policy_distill.environments.open import without_normalization
from policy_distill.evaluation.parts.tasks_record import SinglesRecord, tasks_record
from policy_distill.run.checkpoints.checkpoint import Keeper
from policy_distill.run.place import Place
from policy_distill.run.proof import prove, spent_seeds
from policy_distill.run.provenance import RunIdentity, provenance_of
from policy_distill.run.result import DistillResult, evaluation_record
from policy_distill.run.settle import measure_fresh, measured_in
from policy_distill.run.standpoint import Standpoint, kept_where_stopped
from policy_distill.run.tasks.many_result import ManyResult
from policy_distill.run.tasks.team import Task, Team
from policy_distill.run.tasks.team_selection import TeamSelection
from policy_distill.run.tasks.team_state import TeamState
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.tracking.fan_out import FanOut


class TeamCourse:
    """A run of several tasks with its folder, its selection and its checkpoints."""

    def __init__(
        self,
        team: Team,
        identities: Mapping[str, RunIdentity],
        identity: RunIdentity,
        place: Place,
        interrupts: Interrupts,
        scope: ExitStack,
        request: dict[str, Any],
    ) -> None:
        """Take up the folder, held within `scope`; `identities` are those of runs of one task each."""
        self.team, self.identities, self.identity, self.interrupts = team, identities, identity, interrupts
        self.folder = place.open(request, scope)
        self.selection = TeamSelection(team)
        checkpoints = self.folder.checkpoints if self.folder else None
        state = TeamState(team, self.selection)
        self.keeper = Keeper(checkpoints, state, identity.to_json(), interrupts=interrupts)

    @property
    def resumed_at(self) -> int:
        """The step after which metrics are logged: one that a stopped run owes is logged again."""
        return self.team.env_steps - bool(self.selection.owed)

    def iterate(self, tracker: FanOut, bar: Progress) -> None:
        """Run iterations until all data is collected: the algorithm."""
        team, selection = self.team, self.selection
        kept = partial(kept_where_stopped, self.keeper, tracker, self.interrupts)
        while not team.done or selection.owed:
            # A run that was stopped while its student was judged owes that judgement, and begins with it.
            metrics = selection.owed or {}
            if not selection.owed:
                before = team.streams[0].env_steps
                with kept(Standpoint(*team.streams)):
                    rollouts = team.collect()
                    labels = team.label(rollouts)
                share = next(iter(rollouts.values())).teacher_share
                metrics = {**team.learn(rollouts, labels), "rollout/teacher_share": share}
                selection.owed = metrics if selection.due(before) else None
            if selection.owed:
                with kept():
                    metrics = {**metrics, **selection.judge()}
                selection.owed = None
            tracker.log(metrics, team.env_steps)
            bar.update(team.env_steps, metrics)
            if self.keeper.due(stopping=self.interrupts.requested):
                tracker.sync()
                self.keeper.save()
            self.interrupts.stop_if_requested(f"at {team.env_steps} of {len(team.tasks) * team.config.timesteps} steps")

    def finish(self, bar: Progress, singles: Mapping[str, int], *, proven: bool = True) -> ManyResult:
        """Prove the best student in every task, and write it to the run folder with its records."""
        team = self.team
        chosen_by = self.selection.take_best()
        results = {name: self._finished(task, chosen_by[name], bar, proven=proven) for name, task in team.tasks.items()}
        student = team.student({name: one.student for name, one in results.items()})
        sizes = singles or {name: one.student.n_params for name, one in results.items()}
        record = tasks_record(
            {name: one.record for name, one in results.items()},
            n_params=student.n_params,
            n_bytes=student.n_bytes,
            singles=SinglesRecord.of(student.n_params, sizes, given=bool(singles)),
            seed=team.config.seed,
            wall_seconds=team.streams[0].watch.wall_seconds,
        )
        if self.folder:
            student.save(self.folder.student)
            self.folder.write_json("evaluation.json", record.to_json())
        return ManyResult(student, results, record, team.config, self.folder.path if self.folder else None)

    def _finished(self, task: Task, chosen_by: np.ndarray | None, bar: Progress, *, proven: bool) -> DistillResult:
        """Prove one task's student, as a run of that task alone would."""
        session, stream, config = task.session, task.stream, self.team.config
        identity = self.identities[task.name]
        # The student as it is chosen and not another one: nothing is learnt from here on.
        comparison = None
        if proven:
            comparison = prove(stream, task.learner.student, task.env, None, bar, self.interrupts)
        spent = spent_seeds(config, comparison, config.select_episodes) if comparison else []
        kept = {**comparison.retention.to_json(), "falls": comparison.retention.falls_json()} if comparison else None
        provenance = provenance_of(identity, stream.teacher, stream.env_steps)
        provenance = replace(provenance, spent_seeds=spent, env_statistics=stream.envs.statistics or None)
        student = task.learner.student(provenance.to_json(), kept)
        with measured_in(stream, without_normalization(task.env)) as measured:
            fidelity = measure_fresh(session, measured)
        record = evaluation_record(
            stream.teacher,
            student,
            comparison,
            fidelity,
            env_id=identity.env_id,
            config=config,
            selection_returns=chosen_by,
            env_steps=stream.env_steps,
            env_restarts=stream.restarts.n,
            wall_seconds=stream.watch.wall_seconds,
        )
        seconds = {**stream.watch.seconds, **(comparison.seconds if comparison else {})}
        return DistillResult(student, comparison, record, config, seconds, None)
