"""`policy-distill push`: a proven student, its card and its files to the Hugging Face hub."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from policy_distill.commands.showing.output import Output

if TYPE_CHECKING:
    from policy_distill.report.hub.package import Package


@dataclass(frozen=True)
class Push:
    """Upload a proven student to the Hugging Face hub: its file, its proof, a card, a report and a video.

    Example: policy-distill push runs/lander user/ppo-LunarLander-v3-student
    """

    student: Annotated[Path, tyro.conf.Positional]
    """Run folder, or student.safetensors."""
    repo: Annotated[str, tyro.conf.Positional]
    """Repository, user/name; created if it does not exist."""
    private: bool = False
    """Make a new repository private."""
    token_env: str = "HF_TOKEN"
    """Environment variable with your token; where it is not set, that of `hf auth login` is used."""
    licence: str = "mit"
    """Licence on the card."""
    onnx: bool = False
    """Upload student.onnx too, checked against the student as `export` does."""
    video: bool = True
    """Upload replay.mp4: the run's video, or one that is made now; left out where the environment cannot be drawn."""
    unproven: bool = False
    """Upload a student without a proof, or with another verdict than non-inferior; its card says so."""
    env: str | None = None
    """Environment of the video, such as pkg:Id-v0; by default the one that the student was made in."""
    dry_run: bool = False
    """Print the card and what would be uploaded, and upload nothing."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Gather, write the card, and upload."""
        from policy_distill.report.hub.card import model_card
        from policy_distill.report.hub.package import read_package
        from policy_distill.run.result import latency_us
        from policy_distill.system.hub.push import push_files, repository

        # A name that is none is said before a video is made.
        repository(self.repo)
        package = read_package(self.student)
        if not self.unproven:
            package.check_proven()
        with tempfile.TemporaryDirectory() as made:
            files = self._files(package, Path(made))
            names = sorted([*files, "README.md"])
            latency = latency_us(package.student)
            card = model_card(package, self.repo, licence=self.licence, files=names, latency_us=latency)
            record: dict[str, Any] = {"repo": self.repo, "files": names}
            if self.dry_run:
                shown = Output(self.json)
                shown.show(record | {"card": card}, [("would be uploaded", ", ".join(names))], text=f"\n{card}")
                return 0
            message = f"Upload {package.student.metadata['architecture']['spec']} for {package.record.env_id}"
            token = os.environ.get(self.token_env) or None
            content: dict[str, bytes | Path] = {**files, "README.md": card.encode()}
            address = push_files(self.repo, content, message, private=self.private, token=token)
        record |= {"commit": address.revision, "address": f"hf://{self.repo}"}
        Output(self.json).show(record, [(key, _words(value)) for key, value in record.items()])
        return 0

    def _files(self, package: Package, made: Path) -> dict[str, Path]:
        """Return what is uploaded beside the card, by its name; what has to be made for that is written to `made`."""
        files = {"student.safetensors": package.file} | {path.name: path for path in package.beside}
        if self.onnx:
            from policy_distill.exporters.export import export

            export(package.student, made / "student.onnx", "onnx", env=self.env)
            files["student.onnx"] = made / "student.onnx"
        if self.video and (film := self._film(package, made / "replay.mp4")):
            files["replay.mp4"] = film
        return files

    def _film(self, package: Package, path: Path) -> Path | None:
        """Return the run's video, or one that is made at `path`; None, with a warning, where none can be."""
        from policy_distill.commands.options.policies import find_env
        from policy_distill.report.video import try_video

        known = package.file.parent / "video.mp4"
        if package.beside and known.is_file():
            return known
        return try_video([package.student], find_env(self.env, package.file, package.student), path)


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
