"""`policy-distill export`: a student in a form that runs elsewhere, checked as it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.output import Output


@dataclass(frozen=True)
class Export:
    """Write a student as ONNX, C, a NumPy folder, TorchScript or a PPO zip, and check that it acts the same.

    Example: policy-distill export student.safetensors --format onnx --out student.onnx
    """

    student: Annotated[Path, tyro.conf.Positional]
    """student.safetensors."""
    format: str
    """onnx, c, numpy, torchscript or sb3."""
    out: Path
    """The file, or for c and numpy the folder, to write."""
    env: str | None = None
    """Environment whose states the check uses; by itself the one that the student was distilled in."""
    states: int = 2048
    """States that the student visits, which its actions are compared on; hostile ones come on top."""
    seed: int = 0
    """Seed of the episodes that the states come from."""
    overwrite: bool = False
    """Replace what is at --out."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Export and print."""
        from policy_distill.exporters.export import export
        from policy_distill.runtime import load_student

        student = load_student(self.student, runtime="numpy")
        found = export(
            student,
            self.out,
            self.format,
            env=self.env,
            n_states=self.states,
            seed=self.seed,
            overwrite=self.overwrite,
        )
        record = found.to_json()
        Output(self.json).show(record, list(_rows(record)))
        return 0


def _rows(record: dict[str, Any]) -> Any:
    parity = record["parity"]
    yield ("written", record["path"])
    yield ("bytes", record["bytes"])
    yield ("equal actions", f"{parity['agreement']:.2%} of {parity['n_visited'] + parity['n_hostile']:,} states")
    yield ("states", f"{parity['n_visited']:,} from {parity['states']}, {parity['n_hostile']} hostile")
    yield ("ties", parity["ties"])
    yield ("largest difference", f"{parity['max_difference']:.1e} of the action range")
    for key in ("flash_bytes", "ram_bytes", "opset", "inputs", "cortex_m4"):
        if key in record:
            yield (key.replace("_", " "), str(record[key]) if not isinstance(record[key], int) else record[key])
