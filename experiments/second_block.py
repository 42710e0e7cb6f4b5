"""The students of RESULTS.md judged again, on episodes that neither their making nor their proof has used.

In: the cells of a suite, and where their teachers' files lie. Out: what each keeps on both blocks of episodes.
Intervals that cover their truth 95% of the time overlap almost always; ones that are too narrow do not.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from policy_distill import load_student, load_teacher
from policy_distill.environments.choice import env_of, for_policy
from policy_distill.errors import one_line
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.proof.spent import spent_by_student, spent_by_teacher
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds, SeedGroup, across_seeds
from policy_distill.report.suite_charts import Cell
from policy_distill.seeds import PROOF, Span, fresh_start


@dataclass(frozen=True)
class TwoBlocks:
    """What the students of one cell keep on two blocks of episodes."""

    cell: Cell
    first: SeedGroup
    """The proofs of the runs."""
    second: SeedGroup
    """The same students on fresh episodes, as many as the shortest proof has."""

    def kept(self) -> tuple[AcrossSeeds, AcrossSeeds]:
        """Return the mean retention on either block."""
        return across_seeds([self.first]), across_seeds([self.second])


def judged_again(found: list[Cell], teachers: tuple[Path, ...]) -> list[TwoBlocks]:
    """Judge the students of all cells whose teacher is found; the others are said on stderr."""
    zips = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path for folder in teachers for path in folder.rglob("*.zip")
    }
    done = []
    for cell in found:
        path = zips.get(teacher.sha256 or "") if (teacher := cell.runs[0].settings.teacher) else None
        first = [run.proof.paired_returns() for run in cell.runs]
        if path is None or None in first:
            why = f"expected its teacher {cell.teacher} in {', '.join(map(str, teachers))}, found no such file"
            why = "its proof has no episodes" if path else why
            print(one_line(f"{cell.env_id} {cell.student} is not judged again: {why}"), file=sys.stderr)
            continue
        proofs = tuple(filter(None, first))
        second = _second(cell, path, proofs)
        done.append(TwoBlocks(cell, SeedGroup(cell.env_id, proofs), SeedGroup(cell.env_id, second)))
    return done


def overlap(one: AcrossSeeds, other: AcrossSeeds) -> str:
    """Say whether two intervals, or ranges, have a value in common."""
    if "undefined" in (one.kind, other.kind) or "none" in (one.kind, other.kind):
        return ""
    return "yes" if one.low <= other.high and other.low <= one.high else "no"


def _second(cell: Cell, teacher_zip: Path, proofs: tuple[PairedReturns, ...]) -> tuple[PairedReturns, ...]:
    n_episodes = min(len(proof.student) for proof in proofs)
    spent: list[Span] = [(proof.first_seed, proof.first_seed + len(proof.student)) for proof in proofs]
    students = [load_student(run.path / "student.safetensors") for run in cell.runs]
    # As the students recorded it: with the package that registers it.
    env = env_of(students[0]) or cell.env_id
    teacher = load_teacher(teacher_zip, env=env)
    spent += [span for student in students for span in spent_by_student(student)]
    start = fresh_start(PROOF, n_episodes, [*spent, *spent_by_teacher(teacher)])
    judged = []
    for run, student in zip(cell.runs, students, strict=True):
        longest = (run.settings.config or {}).get("max_episode_steps")
        plan = ProofPlan(n_episodes, start, max_episode_steps=longest)
        again = compare_policies(teacher, student, for_policy(env, teacher, None, student), plan)
        judged.append(PairedReturns(again.student.returns, again.teacher.returns, again.random.returns, start))
    return tuple(judged)
