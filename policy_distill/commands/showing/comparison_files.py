"""Where a comparison is written: `comparison.json`, and in the student's run folder what its page shows.

In: records as they are printed. Out: files. A run folder's `perturbed.json` is part of its `report.html`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from policy_distill.errors import RequestError
from policy_distill.evaluation.records import ComparedRecord, ComparisonRecord, StudentsRecord
from policy_distill.report.write import try_report
from policy_distill.student.file import write_atomically
from policy_distill.system.records import dump

COMPARISON = "comparison.json"
PERTURBED = "perturbed.json"
CONTEXTS = "contexts.json"


def check_place(out: Path, students: Sequence[Path], *, names: Sequence[str], overwrite: bool) -> None:
    """Check, before anything is measured, that a comparison of `students` may be written to `out`.

    `names` are those of the files that it writes into the run folder, beside its own.

    Raises:
        RequestError: for a file in its place, or a folder in use that is not the student's own, without `overwrite`.
    """
    if out.exists() and not out.is_dir():
        raise RequestError(f"expected a folder for --out, found a file at {out}; choose another")
    if overwrite or not out.is_dir():
        return
    if not _is_own(out, students):
        used = sorted(out.iterdir())[:1]
    else:
        used = [out / name for name in (COMPARISON, *names) if (out / name).exists()]
    if used:
        raise RequestError(
            f"expected an empty --out, or the student's run folder without an earlier comparison, found {used[0]}; "
            "add --overwrite, or choose another"
        )


def write_comparison(out: Path, students: Sequence[Path], record: ComparedRecord | StudentsRecord) -> Path:
    """Write a comparison as `comparison.json` and return its path; the run folder's page gets its perturbations."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / COMPARISON
    write_atomically(path, (json.dumps(record.to_json(), indent=2, allow_nan=False) + "\n").encode())
    if isinstance(record, ComparedRecord) and _is_own(out, students):
        if record.perturbed is not None:
            add_perturbed(out, record.perturbed)
        if record.contexts is not None:
            write_atomically(out / CONTEXTS, (json.dumps(dump(record.contexts), indent=2) + "\n").encode())
            try_report(out)
    return path


def add_perturbed(run_folder: Path, records: Mapping[str, ComparisonRecord]) -> None:
    """Write the comparisons under perturbations into a run folder, and its page anew."""
    values = {name: dump(one) for name, one in records.items()}
    write_atomically(run_folder / PERTURBED, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode())
    try_report(run_folder)


def _is_own(out: Path, students: Sequence[Path]) -> bool:
    """Say whether `out` is the run folder of the only student."""
    (student, *others) = students
    own = student.resolve().parent == out.resolve() and student.name == "student.safetensors"
    return own and not others and (out / "config.json").is_file()
