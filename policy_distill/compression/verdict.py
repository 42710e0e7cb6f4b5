"""The end of a compression: finalists, their proof, the winner and its record.

In: a race that has collected all its data. Out: a `CompressionResult`, and the files of the run folder.
"""

from __future__ import annotations

from dataclasses import replace

from policy_distill.compression.border import Border, Finalist
from policy_distill.compression.few_bits import FewBits, in_few_bits
from policy_distill.compression.front import (
    CompressionResult,
    Point,
    front_of,
    left_behind,
    points_of,
    save_front,
)
from policy_distill.compression.limits import Limits
from policy_distill.compression.sequence import FixedSequence, chain
from policy_distill.compression.tuned import BorderTuning
from policy_distill.compression.work import Work
from policy_distill.errors import RunFault
from policy_distill.evaluation.compare import fidelity_on_own_states
from policy_distill.evaluation.paired import Comparison
from policy_distill.evaluation.parts.front_record import CompressionRecord, SizeRecord
from policy_distill.evaluation.proof.records import SelectionRecord
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.evaluation.statistics import json_number
from policy_distill.exporters.layers_file import LAYERS
from policy_distill.run.handover import track_result
from policy_distill.run.proof import each_teacher, proof_plan
from policy_distill.run.provenance import provenance_of
from policy_distill.run.result import DistillResult, evaluation_record
from policy_distill.seeds import selection_start
from policy_distill.student.runtime import Student
from policy_distill.system.progress import Progress
from policy_distill.tracking.fan_out import FanOut

HELP = {
    "inferior": "give it more --timesteps, wider --students, or a lower --retention",
    "undecided": "give the proof more --eval-episodes or a --worst-loss, or wider --students",
    "undefined": "the teacher does not clearly beat a random policy here, so there is no share of its gain to keep; "
    "see that it is the environment that it was trained in, or give the proof more --eval-episodes",
}
"""What would help where the winner is not proven."""


def finish(work: Work, limits: Limits, bar: Progress, sinks: FanOut) -> CompressionResult:
    """Search the border, prove what was chosen, and write the files."""
    stream = work.race.stream
    tuning = BorderTuning(work) if limits.finetune else None
    finalists = Border(work.race, work.say, tuning).search()
    if not finalists:
        raise RunFault("every student diverged; lower --learning-rate")
    if limits.minimize == "bytes":
        finalists += in_few_bits(finalists, stream, work.race.judge, limits.bar, work.say)
        finalists.sort(key=lambda one: (one.candidate.cost, one.candidate.n_params))
    plan = replace(proof_plan(stream), margin=1 - limits.bar, n_sampled=0)
    assert work.reference is not None, "nothing is compressed without a proof"
    limit = stream.config.env_timeout
    tests = FixedSequence(stream.teacher, work.env, plan, work.reference, stream.restarts, limit)
    order = chain(finalists, limits.bar)
    with stream.watch.timed("evaluate"), bar.phase("proof", len(order) + 1) as advance:
        # The race is over: what stands above the bar is of then.
        bar.draw(lambda: None)

        def on_test(finalist: Finalist, found: Comparison) -> None:
            advance(len(tests.found))
            _say(work, finalist, found)

        passed = tests.run(order, on_test)
        winner, comparison = _winner(work, tests, order, passed)
    return _Files(work, limits, finalists, tests, bar).write(winner, comparison, sinks)


def _winner(
    work: Work, tests: FixedSequence, order: list[Finalist], passed: Finalist | None
) -> tuple[Finalist, Comparison]:
    """Return the smallest that passed and passes once more; where none does, the largest, as it was tested last.

    Who fails once more is not proven, whatever it showed before.
    """
    upwards = order[: order.index(passed) + 1][::-1] if passed else []
    for finalist in upwards:
        found = tests.again(finalist)
        _say(work, finalist, found, "once more: ")
        if found.retention.verdict.outcome == "non-inferior":
            return finalist, found
    return order[0], tests.found[order[0].candidate.spec]


def _chosen(winner: Finalist) -> SelectionRecord:
    """Return what the winner kept where it was chosen, as of any run."""
    return SelectionRecord(None, json_number(winner.kept.share), winner.kept.n_episodes)


def _sized(found: EvaluationRecord, winner: Finalist) -> EvaluationRecord:
    """Return an evaluation with the bytes of what was proven: with few bits, they are not those of the float file."""
    assert found.student is not None and found.teacher is not None and found.compression is not None
    n_bytes = winner.candidate.n_bytes
    ratios = replace(found.compression, bytes=(found.teacher.n_bytes or 0) / max(n_bytes, 1))
    return replace(found, student=replace(found.student, n_bytes=n_bytes), compression=ratios)


def _say(work: Work, finalist: Finalist, found: Comparison, words: str = "") -> None:
    kept = found.retention
    if kept.verdict.outcome == "undefined":
        work.say(f"{words}{finalist.candidate.spec}: the teacher's returns are not clearly above random's")
        return
    work.say(
        f"{words}{finalist.candidate.spec} keeps {kept.mean:.3f}, at least {kept.mean_low:.3f} (95%), in "
        f"{kept.n_episodes} episodes: {kept.verdict.outcome}"
    )


class _Files:
    """Writes down what was found."""

    def __init__(
        self, work: Work, limits: Limits, finalists: list[Finalist], tests: FixedSequence, bar: Progress
    ) -> None:
        self._work, self._limits, self._finalists, self._tests = work, limits, finalists, tests
        self._stream = work.race.stream

    def write(self, winner: Finalist, comparison: Comparison, sinks: FanOut) -> CompressionResult:
        """Write student, evaluation and front, and return all of it."""
        stream, folder = self._stream, self._work.folder
        points = points_of(self._finalists, self._tests.found)
        on_front = front_of(points, winner.candidate.spec)
        beaten = [point for point in points if all(point is not one for one in on_front)]
        front = [self._described(point) for point in on_front]
        student = self._named(winner, comparison)
        evaluation = replace(_sized(self._evaluation(student, comparison), winner), selection=_chosen(winner))
        evaluation = replace(evaluation, teachers=each_teacher(stream, comparison, self._work.env))
        record = self._record(winner, comparison, front, beaten)
        out = folder.path if folder else None
        if folder:
            student.save(folder.student)
            folder.write_json("evaluation.json", evaluation.to_json())
            folder.write_json("compression.json", record.to_json())
            save_front(folder.path, front)
        result = DistillResult(student, comparison, evaluation, stream.config, dict(stream.watch.seconds), out)
        sinks.front(record)
        track_result(result, sinks)
        return CompressionResult(student, front, result, record)

    def _evaluation(self, student: Student, comparison: Comparison) -> EvaluationRecord:
        stream = self._stream
        return evaluation_record(
            stream.teacher,
            student,
            comparison,
            fidelity_on_own_states(
                stream.teacher, student, self._work.env, stream.config.seed, restarts=stream.restarts
            ),
            env_id=self._work.identity.env_id,
            config=stream.config,
            selection_returns=None,
            env_steps=stream.env_steps,
            env_restarts=stream.restarts.n,
            wall_seconds=stream.watch.wall_seconds,
        )

    def _record(
        self, winner: Finalist, comparison: Comparison, front: list[Point], beaten: list[Point]
    ) -> CompressionRecord:
        race, stream, judge = self._work.race, self._stream, self._work.race.judge
        verdict, seconds = comparison.retention.verdict.outcome, dict(stream.watch.seconds)
        proven = verdict == "non-inferior"
        steps = {"collect": stream.env_steps, "choose": judge.env_steps}
        steps |= {"finetune": judge.tuning_steps} if self._limits.finetune else {}
        return CompressionRecord(
            bar=self._limits.bar,
            minimize=self._limits.minimize,
            winner=winner.candidate.spec,
            proven=proven,
            verdict=verdict,
            advice=None if proven else HELP[verdict],
            front=tuple(point.record() for point in front),
            beaten=tuple(point.record() for point in beaten),
            dropped=left_behind(race, [*front, *beaten]),
            teacher=SizeRecord(stream.teacher.n_params, stream.teacher.n_bytes),
            env_steps=sum(steps.values()),
            env_steps_of=steps,
            seconds=seconds,
            wall_seconds=stream.watch.wall_seconds,
            cost_of_one=seconds["collect"] + seconds["label"],
        )

    def _described(self, point: Point) -> Point:
        finalist = replace(point.finalist, student=self._named(point.finalist, point.comparison))
        return Point(finalist, point.comparison)

    def _named(self, finalist: Finalist, comparison: Comparison | None) -> Student:
        """Return a finalist's student with its origin and its proof in its record."""
        stream, student, tuned = self._stream, finalist.student, finalist.tuned
        provenance = provenance_of(self._work.identity, stream.teacher, stream.env_steps)
        chosen = selection_start(stream.config.seed)
        n_chosen = max(self._work.race.judge.n_most, proof_plan(stream).n_scale)
        spent = [[chosen, chosen + n_chosen], *([list(tuned.spent)] if tuned else []), *self._tests.spent]
        provenance = replace(provenance, spent_seeds=spent, env_statistics=stream.envs.statistics or None)
        if tuned:
            provenance = replace(provenance, others={**(provenance.others or {}), "finetuning": tuned.to_json()})
        kept = {**comparison.retention.to_json(), "falls": comparison.retention.falls_json()} if comparison else None
        if isinstance(student, FewBits):
            # What is kept is kept by the layers beside it; the float student of this file was not tested.
            origin = replace(provenance, few_bits={"method": student.method, "layers": LAYERS}).to_json()
            return student.from_elsewhere(origin)
        return Student.of(student.record.said_of(provenance.to_json(), kept))
