"""`policy-distill compress`: the smallest student that is proven to keep enough."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.options.from_teacher import FromTeacher
from policy_distill.commands.showing.comparison_tables import proof_lines, teacher_lines
from policy_distill.commands.showing.output import Output, table
from policy_distill.config import RACE_STEPS, DistillConfig
from policy_distill.errors import one_line
from policy_distill.evaluation.parts.front_record import CompressionRecord, SizeRecord
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.exporters.layers_file import LAYERS
from policy_distill.report.front import HEADER, front_rows, standing_words
from policy_distill.system.answers import answer
from policy_distill.system.wording import compression_text, times
from policy_distill.system.workers.settings import WorkerSettings


@dataclass(frozen=True, kw_only=True)
class Compress(FromTeacher):
    """Find the smallest student that provably keeps a share of the teacher's gain over a random policy.

    Example: policy-distill compress --teacher LunarLander-v2.zip --env LunarLander-v3 --retention 0.95 --out runs/small

    Many students learn from one stream of labelled states; those that are larger than necessary are dropped on the way,
    and the smallest that seems to keep enough is proven on fresh episodes (docs/compress.md).
    """

    out: Path
    """Run folder: compression.json, the winner as student.safetensors with its evaluation.json, and the other students
    on the front in students/."""
    retention: float = 0.95
    """The bar: share of the teacher's gain over a random policy to keep, above 0 and below 1."""
    students: tuple[str, ...] = ()
    """Networks to try, such as linear mlp:2 mlp:8,8; by default a ladder of them, of convolutions for images."""
    minimize: str = "params"
    """What to make small: params, bytes, macs, flash (of the generated C) or latency (on this machine)."""
    budget: int | None = None
    """Most environment steps to collect, choose and fine-tune with; by default what --timesteps needs."""
    max_params: int | None = None
    """Most parameters of the student."""
    max_bytes: int | None = None
    """Most bytes of these parameters."""
    keep_std: bool = False
    """Keep log σ in the students, which acting by the mode does not need."""
    finetune: bool = False
    """Fine-tune students that just miss the bar by reward, before they are dropped."""
    staff: Annotated[WorkerSettings, tyro.conf.arg(name="")] = field(default_factory=partial(WorkerSettings, 0))
    config: Annotated[DistillConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: DistillConfig(timesteps=RACE_STEPS)
    )
    json: Annotated[bool, tyro.conf.arg(help="Print compression.json on stdout and nothing else.")] = False

    def make(self) -> int:
        """Compress and show the front."""
        from policy_distill.compression.compress import compress

        teacher, env = self.loaded()
        found = compress(
            teacher,
            env,
            self.retention,
            self.students or None,
            self.minimize,
            config=self.config,
            budget=self.budget,
            max_params=self.max_params,
            max_bytes=self.max_bytes,
            keep_std=self.keep_std,
            finetune=self.finetune,
            tracker=self.tracker(),
            out=self.out,
            resume=self.resume,
            overwrite=self.overwrite,
            progress=not self.json,
            say=None if self.json else _say,
            workers=self.staff,
        )
        Output(self.json).show(found.compression, [])
        if not self.json:
            answer(summary(found.record, found.result.record, self.out))
        return 0


def summary(record: CompressionRecord, proof: EvaluationRecord, out: Path) -> str:
    """Return the tables that end a compression: the front, the winner, what it took, and what to do with it."""
    best, teacher = record.best, record.teacher or SizeRecord()
    lines: list[tuple[Any, ...]] = [
        ("winner" if record.proven else "best student", f"{record.winner}: {standing_words(record)}"),
        *proof_lines(proof, proof.seed),
        *teacher_lines(proof),
        *([("what would help", record.advice)] if record.advice else []),
        ("smaller than the teacher", _smaller(teacher, best.n_params or 0, best.n_bytes or 0)),
        ("environment steps", _steps(record)),
        ("seconds", _seconds(record)),
    ]
    names = ("student.safetensors", "compression.json", "students", "evaluation.json", "report.html", "wandb")
    files = "\n".join(one_line(str(out / name)) for name in names if (out / name).exists())
    return "\n\n".join(
        [table(front_rows(record), HEADER), table(lines), files, f"as C: {export_command(out, record.winner)}"]
    )


def export_command(out: Path, winner: str | None = None) -> str:
    """Return the command line that writes the winner as C, in the few bits that it was proven in where it was."""
    words = ["export", str(out / "student.safetensors"), "--format", "c", "--out", str(out / "policy")]
    layers = out / "students" / (winner or "") / LAYERS
    words += ["--quantize", str(layers)] if layers.is_file() else []
    return one_line(shlex.join(["policy-distill", *words]))


def _smaller(teacher: SizeRecord, n_params: int, n_bytes: int) -> str:
    fewer = compression_text(teacher.n_params or 0, n_params)
    ratio = (teacher.n_bytes or 0) / max(n_bytes, 1)
    in_bytes = f"{times(ratio)} x in bytes" if ratio > 1.0 else "none in bytes"
    return f"{fewer}, {in_bytes} ({teacher.n_bytes or 0:,} to {n_bytes:,})"


def _seconds(record: CompressionRecord) -> str:
    shared = f"{record.cost_of_one or 0:.1f} of them collecting and labelling, which a single student takes too"
    return f"{record.wall_seconds or 0:.1f}, {shared}"


def _steps(record: CompressionRecord) -> str:
    of = record.env_steps_of or {}
    names = {"collect": "collected", "choose": "for choosing", "finetune": "for fine-tuning"}
    parts = (f"{of[name]:,} {words}" for name, words in names.items() if name in of)
    return f"{record.env_steps or 0:,}: {', '.join(parts)}"


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr)
