"""`policy-distill export`: a student in a form that runs elsewhere, checked as it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from policy_distill.commands.showing.output import Output, interval_text
from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.proof.records import RetentionRecord
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.system.records import load

if TYPE_CHECKING:
    from policy_distill.student.runtime import Student


@dataclass(frozen=True)
class Export:
    """Write a student as ONNX, C, a NumPy folder, TorchScript, a PPO zip or a web page, checked to act the same.

    For a student of several tasks, --task NAME writes one task; without it, --out is a folder with all of them.

    Example: policy-distill export student.safetensors --format onnx --out student.onnx
    """

    student: Annotated[Path, tyro.conf.Positional]
    """student.safetensors."""
    format: str
    """onnx, c, numpy, torchscript, sb3 or web; for a student of several tasks also student, the file of one task."""
    out: Path
    """The file, or for c and numpy the folder, to write."""
    task: str | None = None
    """The task to write, for a student of several tasks: its name, or the id of its environment."""
    quantize: str | None = None
    """int8: weights and activations in eight bits, for onnx and c; int8-trained: trained through the rounding first;
    int4, ternary: trained in the same way, with packed weights of four bits or three values after the first layer; or
    the path of a layers.safetensors that compress wrote, for the very layers that it proved."""
    env: str | None = None
    """Environment whose states the check uses, such as Pendulum-v1 or package:Id-v0; by default the one it
    was distilled in."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment's constructor, such as gravity:-5.0 enable_wind:True; values are Python literals.
    They override those that the policy was trained with."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register environments, imported first; the working folder is searched too."""
    states: int = 2048
    """How many states that the student visits are compared; hostile ones are added."""
    episodes: int = 100
    """Episodes that the return of an eight-bit artefact is measured on; 0 leaves it out."""
    seed: int = 0
    """Seed of the episodes that the states come from."""
    input_dtype: Literal["float32", "float64"] | None = None
    """Type of ONNX inputs whose space has float64; by default float32, unless that loses digits that matter."""
    float: bool = False
    """Inputs of float32 in ONNX, even where that loses digits: the same as --input-dtype float32."""
    opset: int | None = None
    """Version of ONNX's operators, 13 to 25, such as 15 for Unity's Sentis; by default 17, and a later one for packed
    weights."""
    overwrite: bool = False
    """Replace what is at --out."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Export and print."""
        from policy_distill.commands.options.one_task import places_of, write_alone
        from policy_distill.environments.names import working_folder_on_path
        from policy_distill.student.runtime import load_student

        if self.float and self.input_dtype == "float64":
            raise RequestError("expected --float or --input-dtype float64, found both; leave one out")
        working_folder_on_path()
        chosen = places_of(load_student(self.student, runtime="numpy"), self.task, self.out, self.format)
        if self.format == "student":
            records = {name: write_alone(one, path, overwrite=self.overwrite) for name, (one, path) in chosen.items()}
        else:
            records = {name: self._written(one, path) for name, (one, path) in chosen.items()}
        whole = records[""] if "" in records else {"tasks": records}
        Output(self.json).show(whole, [row for record in records.values() for row in _rows(record)])
        return 0

    def _written(self, student: Student, path: Path) -> dict[str, Any]:
        from policy_distill.environments.names import parse_kwargs, with_packages
        from policy_distill.exporters.export import export

        found = export(
            student,
            path,
            self.format,
            quantize=self.quantize,
            env=with_packages(self.env, self.gym_packages),
            env_kwargs=parse_kwargs(self.env_kwargs),
            n_states=self.states,
            episodes=self.episodes,
            seed=self.seed,
            overwrite=self.overwrite,
            input_dtype="float32" if self.float else self.input_dtype,
            opset=self.opset,
        )
        return found.to_json()


def _rows(record: dict[str, Any]) -> Any:
    yield ("written", record["path"])
    yield ("bytes", record["bytes"])
    if "parity" not in record:
        return
    parity = record["parity"]
    twin = "" if record["quantization"] is None else ", as the same arithmetic in NumPy"
    yield ("equal actions", f"{parity['agreement']:.2%} of {parity['n_visited'] + parity['n_hostile']:,} states{twin}")
    yield ("states", f"{parity['n_visited']:,} from {parity['states']}, {parity['n_hostile']} hostile")
    if parity["masked_agreement"] is not None:
        yield ("equal actions under action masks", f"{parity['masked_agreement']:.2%}")
    yield ("ties", parity["ties"])
    yield ("largest difference", f"{parity['max_difference']:.1e} of the action range")
    loss = record["quantization"]
    if loss is not None:
        yield ("agreement with the float student", f"{loss['agreement']:.2%}")
        yield ("bytes, int8 and float", f"{loss['bytes']:,} and {loss['float_bytes']:,}")
        if loss["return_kept"] is not None:
            kept = load(RetentionRecord, loss["return_kept"], "the return kept")
            yield ("return kept, mean", headline(EvaluationRecord(retention=kept)).text())
            yield ("return kept, IQM [95%]", interval_text(kept, 3))
        if loss["agreement"] < 0.99 and loss["method"] == "int8":
            yield ("next", "try --quantize int8-trained")
    for key in ("flash_bytes", "ram_bytes", "opset", "inputs", "input_dtypes", "cortex_m4"):
        if key in record:
            yield (key.replace("_", " "), str(record[key]) if not isinstance(record[key], int) else record[key])
