import json
import os
import shutil
import subprocess
import sys

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from policy_distill.cli import main
from policy_distill.errors import RunFault
from policy_distill.tracking.offline_file import read_chunks, write_chunks
from policy_distill.tracking.sync import offline_runs, sync
from policy_distill.tracking.table import tracker_maker
from tests.wandb_reader import read_run
from tests.wandb_server import WandbServer


@pytest.fixture
def moved_run(tmp_path, monkeypatch):
    """An offline run, made in one place, then moved to another."""
    made, moved = tmp_path / "made" / "run", tmp_path / "elsewhere" / "run"
    made.mkdir(parents=True)
    (made / "student.safetensors").write_bytes(b"student" * 100)
    (made / "teacher.zip").write_bytes(b"teacher" * 100)
    config = {"env_id": "L-v3", "student": "mlp:8", "teacher": {"sha256": "ab" * 32}}
    monkeypatch.setenv("WANDB_ENTITY", "a-team")
    tracker = tracker_maker("offline", teacher=made / "teacher.zip")(made, config)
    monkeypatch.delenv("WANDB_ENTITY")
    for step in range(1, 400):
        tracker.log({"train/kl": 1 / step, "train/loss": 1.0}, step)
    tracker.summary({"retention": {"iqm": 0.5}})
    tracker.artifact(made / "student.safetensors", "student", {"n_params": 58})
    tracker.close()
    moved.parent.mkdir()
    shutil.move(made, moved)
    shutil.rmtree(tmp_path / "made")
    return moved


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = WandbServer()
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield server
    server.stop()


def test_a_moved_folder_uploads_whole_with_artifacts_and_lineage(moved_run, server, capfd):
    assert main(["sync", str(moved_run), "--json"]) == 0
    (uploaded,) = json.loads(capfd.readouterr().out)["runs"]
    assert uploaded["state"] == "uploaded"
    ((name, run),) = server.runs.items()
    assert (run["project"], run["groupName"], run["entity"]) == ("policy-distill", "run", "a-team")
    assert len([row for row in server.history[name] if "train/kl" in row]) == 399
    assert server.files["artifact/student.safetensors"] == b"student" * 100
    assert server.files["artifact/teacher.zip"] == b"teacher" * 100
    kinds = [artifact["artifactTypeName"] for artifact in server.artifacts]
    teacher = f"a{kinds.index('teacher') + 1}"
    assert [use["input"]["artifactID"] for use in server.used] == [teacher]
    assert main(["sync", str(moved_run)]) == 0
    assert "uploaded before" in capfd.readouterr().out
    assert len(server.artifacts) == 2


def test_the_folder_says_how_to_upload_itself(moved_run, capfd, monkeypatch, tmp_path):
    assert "policy-distill sync" in (moved_run / "wandb" / "UPLOAD.txt").read_text()
    assert main(["sync", str(moved_run), "--dry-run"]) == 0
    assert "to upload" in capfd.readouterr().out
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["sync", str(moved_run)]) == 2
    assert "wandb login" in capfd.readouterr().err


def test_a_server_that_refuses_is_said(moved_run, server):
    server.status = 403
    (run,) = offline_runs(moved_run)
    with pytest.raises(RunFault, match="could not upload"):
        sync(run)


def test_records_survive_being_written_again(moved_run):
    before = read_run(moved_run / "wandb")
    (run,) = offline_runs(moved_run)
    data = run.file.read_bytes()
    assert data[7:] == write_chunks(read_chunks(data))
    assert len(data) > 2 * 32 * 1024, "more than two blocks, or nothing was tried"
    long = [bytes([i]) * n for i, n in enumerate((0, 1, 32_761, 32_754, 100_000, 5))]
    assert list(read_chunks(bytes(7) + write_chunks(long))) == long
    assert len(before["history"]) == 399


def test_wandbs_own_reader_takes_what_was_written(moved_run):
    (run,) = offline_runs(moved_run)
    records = []
    for chunk in read_chunks(run.file.read_bytes()):
        record = Record()
        record.ParseFromString(chunk)
        records.append(record.SerializeToString())
    run.file.write_bytes(run.file.read_bytes()[:7] + write_chunks(records))
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run.file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train/kl" in done.stdout


def test_a_folder_without_offline_runs_is_refused(tmp_path, capfd):
    assert main(["sync", str(tmp_path)]) == 2
    assert "--track offline" in capfd.readouterr().err
