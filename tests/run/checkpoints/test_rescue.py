import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from policy_distill.errors import RequestError, RunFault
from policy_distill.run.distill import distill
from policy_distill.student import file as student_file
from policy_distill.student.runtime import load_student
from tests.doubles import Corridor, corridor_teacher

QUICK = {"timesteps": 1024, "n_envs": 4, "n_steps": 32, "eval_episodes": 4, "select_episodes": 4}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working folder of its own, where students are kept."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


class After:
    """A tracker that does something once a step is reached."""

    def __init__(self, step, call):
        self.step, self.call = step, call

    def log(self, metrics, step):
        if step >= self.step and self.call is not None:
            call, self.call = self.call, None
            call()

    def summary(self, values): ...
    def artifact(self, path, kind, metadata): ...
    def close(self): ...


def fill(monkeypatch, folder):
    """Let every further write below `folder` fail as on a full disk."""
    plain = os.fsync

    def full(descriptor):
        if str(folder) in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    monkeypatch.setattr(student_file.os, "fsync", full)


def test_a_full_disk_is_named_and_the_student_is_kept(tmp_path, elsewhere, monkeypatch):
    out = tmp_path / "run"
    tracker = After(512, lambda: fill(monkeypatch, out))
    with pytest.raises(
        RunFault, match=r"No space left on device.*kept at .*run-rescued\.safetensors.*--resume"
    ) as fault:
        distill(corridor_teacher(), Corridor, "linear", out=out, tracker=tracker, checkpoint_every=128, **QUICK)
    kept = elsewhere / "run-rescued.safetensors"
    assert str(kept) in str(fault.value)
    student = load_student(kept)
    assert student.metadata["provenance"]["env_steps"] == 512
    assert student.act([0.0, 1.0]) == 1
    monkeypatch.undo()
    assert (
        distill(corridor_teacher(), Corridor, "linear", out=out, resume=True, checkpoint_every=128, **QUICK).out == out
    )


def test_a_deleted_run_folder_is_named_and_the_student_is_kept(tmp_path, elsewhere):
    out = tmp_path / "run"
    (elsewhere / "run-rescued.safetensors").write_text("of a run before")
    tracker = After(256, lambda: shutil.rmtree(out))
    with pytest.raises(RunFault, match=r"deleted during the run.*kept at .*run-rescued-1\.safetensors"):
        distill(corridor_teacher(), Corridor, "linear", out=out, tracker=tracker, **QUICK)
    assert load_student(elsewhere / "run-rescued-1.safetensors").n_params > 0
    assert (elsewhere / "run-rescued.safetensors").read_text() == "of a run before"


def test_a_folder_that_cannot_be_written_is_refused_before_there_is_a_student(tmp_path, elsewhere, monkeypatch):
    fill(monkeypatch, tmp_path / "run")
    with pytest.raises(RequestError, match=r"No space left on device.*choose another --out"):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", **QUICK)
    assert not list(elsewhere.iterdir())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RequestError, match="cannot be written"):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "other", **QUICK)


def test_the_next_place_is_tried_where_the_first_is_full_too(tmp_path, elsewhere, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "run")

    def fill_both():
        plain = os.fsync

        def full(descriptor):
            if "temporary" not in os.readlink(f"/proc/self/fd/{descriptor}"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            plain(descriptor)

        monkeypatch.setattr(student_file.os, "fsync", full)

    with pytest.raises(RunFault, match=r"kept at .*temporary/run-rescued\.safetensors"):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", tracker=After(256, fill_both), **QUICK)
    assert load_student(tmp_path / "temporary" / "run-rescued.safetensors").n_params > 0
    assert not list(elsewhere.iterdir()), "half a file was left behind"


def test_the_best_student_is_kept_and_not_the_last(tmp_path, elsewhere, monkeypatch):
    from policy_distill.run.judging.selection import Selection

    best = {}
    plain = Selection.judge

    def judge(self):
        value = plain(self)
        best.setdefault("weights", {name: array.numpy().copy() for name, array in self.best.weights.items()})
        # Nothing later is better than the first.
        self.best.returns[:] = 1e9
        return value

    monkeypatch.setattr(Selection, "judge", judge)
    with pytest.raises(RunFault, match="kept at"):
        distill(
            corridor_teacher(),
            Corridor,
            "linear",
            out=tmp_path / "run",
            tracker=After(1024, lambda: fill(monkeypatch, tmp_path / "run")),
            **QUICK,
        )
    kept = load_student(elsewhere / "run-rescued.safetensors").tensors
    assert all((kept[name] == array).all() for name, array in best["weights"].items())


def test_an_error_of_something_else_is_left_as_it_is(tmp_path):
    def broken():
        raise OSError(errno.EIO, "the microscope is unplugged")

    with pytest.raises(OSError, match="microscope"):
        distill(corridor_teacher(), Corridor, "linear", tracker=After(256, broken), **QUICK)
