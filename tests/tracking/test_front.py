"""A run for every student on a compression's front, in one group, and the table in the winner's."""

import json
import logging
import os

import pytest

from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.tracking.base import BaseTracker, TrackerOptions
from policy_distill.tracking.fan_out import with_jsonl
from policy_distill.tracking.front import front_metrics, track_front
from policy_distill.tracking.settings import RunSettings
from policy_distill.tracking.student_row import front_table
from policy_distill.tracking.suite import track_suite
from policy_distill.tracking.table import Named, tracker_maker
from tests.run_folders import write_compression, write_run
from tests.wandb_reader import read_run


@pytest.fixture
def folder(tmp_path):
    return write_compression(tmp_path / "small")


def record_of(folder):
    return CompressionRecord.from_json(json.loads((folder / "compression.json").read_text()))


def identity_of(folder):
    return json.loads((folder / "config.json").read_text())


class Kept(BaseTracker):
    """Keeps what it was told."""

    def __init__(self):
        self.told = {}

    def log(self, metrics, step):
        self.told["log"] = (metrics, step)

    def summary(self, values):
        self.told["summary"] = values

    def artifact(self, path, kind, metadata):
        self.told["artifact"] = (path, kind, metadata)

    def close(self):
        self.told["closed"] = True


def kept_by(**options):
    """Return what makes trackers that keep what they are told, and those that were made."""
    made = []

    def start(out, config, asked):
        made.append((out, config, asked, dict(os.environ), Kept()))
        return made[-1][-1]

    return Named(start, TrackerOptions(**options)), made


def test_each_student_but_the_winner_has_a_run_in_the_group_of_the_folder(folder, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "ofthewinner")
    monkeypatch.setenv("WANDB_NAME", "thewinner")
    make, made = kept_by(tags=("x",))
    track_front(make, folder, identity_of(folder), record_of(folder))
    assert [out for out, *_ in made] == [folder / "students" / "linear", folder / "students" / "mlp:3"]
    for out, config, options, environment, tracker in made:
        assert config["student"] == out.name
        assert (options.group, options.tags, options.job_type) == ("small", ("x",), "distill")
        assert not {"WANDB_RUN_ID", "WANDB_NAME"} & set(environment)
        assert tracker.told["closed"]
        assert tracker.told["artifact"][:2] == (out / "student.safetensors", "student")
    assert os.environ["WANDB_RUN_ID"] == "ofthewinner"


def test_the_group_is_the_one_that_was_asked_for_or_the_environments(folder, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_GROUP", "theirs")
    for options, group in (({"group": "mine"}, "mine"), ({}, "theirs")):
        make, made = kept_by(**options)
        track_front(make, folder, identity_of(folder), record_of(folder))
        assert {asked.group for _, _, asked, *_ in made} == {group}


def test_an_untested_student_is_logged_without_a_proof(folder):
    record = record_of(folder)
    linear, winner, _ = record.front
    assert front_metrics(linear, record) == {
        "eval/selection_retention": 0.4,
        "model/student_params": 9.0,
        "model/student_bytes": 36.0,
        "model/student_macs": 7.0,
        "model/teacher_params": 5000.0,
        "model/compression": 5000 / 9,
    }
    proven = front_metrics(winner, record)
    assert proven["eval/retention_low"] == winner.retention.mean_low
    assert proven["eval/fall_rate_high"] == winner.falls.student.rate_high
    make, made = kept_by()
    track_front(make, folder, identity_of(folder), record)
    summary = made[0][-1].told["summary"]
    assert summary["verdict"] == "untested" and summary["student"] == {"n_params": 9, "n_bytes": 36, "macs": 7}
    assert "retention" not in summary


def test_the_rows_of_the_table_are_the_front(folder):
    rows = front_table(RunSettings.of(identity_of(folder)), record_of(folder))
    assert [(row.student, row.params, row.verdict) for row in rows] == [
        ("linear", 9, "untested"),
        ("mlp:2", 27, "non-inferior"),
        ("mlp:3", 39, "untested"),
    ]
    assert [row.retention is None for row in rows] == [True, False, True]
    assert [row.selection for row in rows] == [0.4, 0.99, 1.0]
    assert rows[1].falls.endswith("(95%)")


def test_nothing_is_tracked_where_nothing_was_asked_for_or_by_an_object(folder):
    for make in (tracker_maker("disabled"), Kept()):
        track_front(make, folder, identity_of(folder), record_of(folder))
    assert not list((folder / "students").rglob("wandb"))


def test_a_tracker_that_fails_costs_a_warning(folder, caplog):
    def start(out, config, asked):
        raise OSError("no room")

    with caplog.at_level(logging.WARNING):
        track_front(Named(start, TrackerOptions()), folder, identity_of(folder), record_of(folder))
    assert "the front is tracked up to linear (no room)" in caplog.text


def test_offline_runs_hold_the_front_and_the_winners_has_the_table(folder, monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    make, record = tracker_maker("offline"), record_of(folder)
    sinks = with_jsonl(make(folder, identity_of(folder)), folder / "metrics.jsonl")
    sinks.front(record)
    sinks.summary(json.loads((folder / "evaluation.json").read_text()))
    sinks.artifact(folder / "students" / "mlp:2" / "student.safetensors", "student", {})
    sinks.close()
    track_front(make, folder, identity_of(folder), record)
    winner = read_run(folder / "wandb")
    assert winner["config"]["student"] == "mlp:2"
    assert (winner["summary"]["winner"], winner["summary"]["proven"]) == ("mlp:2", True)
    sizes = [row["students/nrows"] for row in winner["history"] if "students/nrows" in row]
    assert sizes == [3], "one table, of the whole front"
    assert [artifact.name for artifact in winner["artifacts"] if artifact.type == "student"] == [
        "student-Lander-v3-mlp-2"
    ]
    other = read_run(folder / "students" / "mlp:3" / "wandb")
    assert (other["run"].run_group, other["config"]["student"]) == ("small", "mlp:3")
    assert other["summary"]["verdict"] == "untested"
    assert winner["run"].run_id != other["run"].run_id
    assert winner["run"].run_group == "small"
    assert not (folder / "students" / "mlp:2" / "wandb").exists()


def test_in_a_suite_the_student_of_a_compression_is_the_one_that_it_chose(tmp_path):
    folders = [write_compression(tmp_path / "suite" / "small"), write_run(tmp_path / "suite" / "one", student="mlp:8")]
    track_suite("offline", tmp_path / "suite", folders)
    tracked = read_run(tmp_path / "suite" / "wandb")
    assert tracked["summary"]["n_runs"] == 2
    names = {artifact.name for artifact in tracked["artifacts"] if artifact.type == "student"}
    assert names == {"student-Lander-v3-mlp-2"}
