import dataclasses
import hashlib
import json
import logging
import math
import os
import subprocess
import sys
import threading
import time

import pytest
from stable_baselines3 import PPO

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.run.distill import distill
from policy_distill.system.records import load
from policy_distill.system.workers import forks
from policy_distill.system.workers.forks import may_fork
from policy_distill.tracking import wandb_run, wandb_start
from policy_distill.tracking.fan_out import FanOut, with_jsonl
from policy_distill.tracking.jsonl import JsonlTracker, read_metrics
from policy_distill.tracking.metrics import METRICS
from policy_distill.tracking.settings import RunSettings
from policy_distill.tracking.student_row import COLUMNS, student_row
from policy_distill.tracking.suite import Finished, across_runs, best, track_suite
from policy_distill.tracking.sync import offline_runs
from policy_distill.tracking.table import tracker_maker
from policy_distill.tracking.wandb_thread import RunThread
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher
from tests.run_folders import write_run
from tests.wandb_reader import read_run

OFFLINE = """
import json, sys
from pathlib import Path
from policy_distill.tracking.wandb_start import start
out = Path(sys.argv[1]); (out / "student.safetensors").write_bytes(b"12345678" * 100)
(out / "teacher.zip").write_bytes(b"teacher")
config = {"seed": 3, "env_id": "L-v3", "student": "mlp:8", "teacher": {"sha256": "ab" * 32}}
tracker = start("offline", out, config=config, tags=("x",), teacher=out / "teacher.zip")
for step in (10, 20, 30):
    tracker.log({"train/kl": 1 / step, "train/loss": 2.0}, step)
tracker.summary({"retention": {"iqm": 0.97}})
tracker.artifact(out / "student.safetensors", "student", {"n_params": 58})
assert tracker.url is None
tracker.close()
"""


@pytest.fixture(scope="module")
def offline_run(tmp_path_factory):
    """A run in a process without a key, a home, a terminal or a network."""
    out = tmp_path_factory.mktemp("runs") / "lander"
    out.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"HOME": str(out.parent / "home"), "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(out)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return out, done, read_run(out / "wandb")


def test_an_offline_run_holds_what_was_logged(offline_run):
    _, _, run = offline_run
    rows = [row for row in run["history"] if "train/kl" in row]
    assert [row["time/env_steps"] for row in rows] == [10, 20, 30]
    assert [row["train/kl"] for row in rows] == [0.1, 0.05, 1 / 30]
    assert run["config"]["seed"] == 3
    assert run["summary"]["retention"]["iqm"] == 0.97
    assert run["metrics"]["*"] == "time/env_steps"


def test_an_offline_run_is_named_as_its_users_expect(offline_run):
    _, _, run = offline_run
    assert (run["run"].project, run["run"].run_group, run["run"].job_type) == ("policy-distill", "lander", "distill")
    assert list(run["run"].tags) == ["x"]


def test_the_student_is_an_artifact_whose_bytes_lie_in_the_run_folder(offline_run):
    out, _, run = offline_run
    (artifact,) = [artifact for artifact in run["artifacts"] if artifact.type == "student"]
    metadata = json.loads(artifact.metadata)
    assert metadata == {"n_params": 58, "teacher": "teacher-L-v3-abababababab"}
    assert (artifact.name, sorted(artifact.aliases)) == ("student-L-v3-mlp-8", ["latest"])
    (teacher,) = [artifact for artifact in run["artifacts"] if artifact.type == "teacher"]
    assert teacher.name == metadata["teacher"]
    (entry,) = artifact.manifest.contents
    assert entry.path == "student.safetensors"
    assert str(entry.local_path).startswith(str(out.resolve()))
    assert (out / "wandb").exists()


def test_an_offline_run_prints_nothing_and_writes_nothing_at_home(offline_run):
    out, done, _ = offline_run
    assert done.stdout == ""
    left = [path for path in (out.parent / "home").rglob("*") if path.is_file()]
    assert not [path for path in left if "artifacts" in path.parts]


ATTEMPT = """
import os, sys, time
from pathlib import Path
from policy_distill.tracking.wandb_start import start
from policy_distill.tracking.fan_out import with_jsonl
out, first, resume = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) or None
wandb = start("offline", out, config={"env_id": "L-v3", "student": "mlp:8"})
tracker = with_jsonl(wandb, out / "metrics.jsonl", resume)
for step in range(first, 70, 10):
    tracker.log({"train/kl": 1 / step, "train/loss": float("nan")}, step)
    if step == 40 and not resume:
        tracker.sync()
        os._exit(9)
tracker.log({"eval/retention": 0.9}, 60)
tracker.close()
"""


def test_the_group_shows_one_run_after_a_death_and_a_resume(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"HOME": str(tmp_path)}
    out = tmp_path / "run"
    out.mkdir()
    codes = [
        subprocess.run([sys.executable, "-c", ATTEMPT, out, *arguments], env=env, timeout=120, check=False).returncode
        for arguments in (("10", "0"), ("30", "20"), ("50", "40"))
    ]
    assert codes == [9, 0, 0]
    (uploaded,) = offline_runs(out)
    assert len(list(out.rglob("superseded-offline-run-*"))) == 2
    run = read_run(out / "wandb")
    steps = [row["time/env_steps"] for row in read_metrics(out / "metrics.jsonl")]
    assert steps == [10, 20, 30, 40, 50, 60, 60]
    assert [row["time/env_steps"] for row in run["history"]] == steps
    assert run["history"][0]["train/kl"] == 0.1
    assert uploaded.path.parent == out / "wandb"


class Failing:
    """A wandb module that fails at one call."""

    def __init__(self, at):
        self.at = at
        self.summary = self
        self.id, self.url = "x", None

    def _maybe(self, name):
        if self.at == f"hang at {name}":
            time.sleep(30)
        if name == self.at:
            raise RuntimeError(f"{name} is down")

    def Settings(self, **_):
        return None

    def init(self, **_):
        self._maybe("init")
        return self

    def define_metric(self, *_, **__): ...

    def log(self, _):
        self._maybe("log")

    def update(self, _):
        self._maybe("summary")

    def Artifact(self, *_, **__):
        self._maybe("artifact")
        return self

    def add_file(self, _): ...
    def log_artifact(self, _, aliases=()): ...

    def finish(self):
        self._maybe("finish")


@pytest.mark.parametrize(
    "at", ["init", "log", "summary", "artifact", "finish", "hang at init", "hang at log", "hang at finish"]
)
def test_a_wandb_that_fails_or_hangs_costs_one_warning_and_no_metric(tmp_path, monkeypatch, caplog, at):
    monkeypatch.setitem(sys.modules, "wandb", Failing(at))
    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 0.2)
    monkeypatch.setattr(wandb_run, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(wandb_start, "INIT_SECONDS", 1)
    with caplog.at_level(logging.WARNING, "policy_distill"):
        tracker = with_jsonl(tracker_maker("offline")(tmp_path, {}), tmp_path / "metrics.jsonl")
        for step in range(5):
            tracker.log({"train/kl": 0.5}, step)
        tracker.summary({"a": 1})
        tracker.artifact(tmp_path / "metrics.jsonl", "student", {})
        tracker.close()
    assert len(caplog.records) == 1
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 5


def test_a_missing_wandb_costs_one_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert tracker_maker("offline")(tmp_path, {}) is None
    assert "not installed" in caplog.text


def test_online_without_a_key_goes_offline(monkeypatch, caplog, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    assert wandb_start.resolve_mode("online") == "offline"
    assert "no key" in caplog.text


def test_online_without_an_answer_goes_offline_within_a_bound(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(wandb_start, "INIT_SECONDS", 1)
    assert wandb_start._patience("online") == 12
    # A machine that is busy may take longer than users shall wait: what is asked here is what comes then.
    monkeypatch.setattr(wandb_start, "_patience", lambda mode: 120)
    tracker = tracker_maker("online")(tmp_path, {})
    assert tracker is not None
    tracker.log({"train/kl": 0.25}, 7)
    tracker.close()
    assert "could not start online" in caplog.text
    assert [row["train/kl"] for row in read_run(tmp_path / "wandb")["history"]] == [0.25]


def test_the_environment_decides_where_nothing_else_does(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_start.resolve_mode("offline") == "disabled"


def test_no_environment_variable_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", Failing("none"))
    before = dict(os.environ)
    tracker = tracker_maker("offline")(tmp_path, {})
    tracker.artifact(tmp_path / "x", "student", {})
    tracker.close()
    assert dict(os.environ) == before


def test_every_line_is_strict_json(tmp_path):
    tracker = JsonlTracker(tmp_path / "metrics.jsonl")
    tracker.log({"train/kl": math.nan, "train/loss": math.inf, "eval/retention": 0.5}, 3)
    text = (tmp_path / "metrics.jsonl").read_text()
    tracker.close()
    row = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert row == {"time/env_steps": 3, "train/kl": None, "train/loss": None, "eval/retention": 0.5}


def test_resuming_drops_later_steps_and_a_broken_last_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tracker = JsonlTracker(path)
    for step in (10, 20, 30):
        tracker.log({"train/kl": 1.0}, step)
    tracker.close()
    with path.open("a") as file:
        file.write('{"time/env_steps": 4')
    assert len(read_metrics(path)) == 3
    resumed = JsonlTracker(path, resume_step=20)
    resumed.log({"train/kl": 2.0}, 30)
    resumed.close()
    assert [(row["time/env_steps"], row["train/kl"]) for row in read_metrics(path)] == [(10, 1.0), (20, 1.0), (30, 2.0)]


def test_a_misspelt_metric_is_an_error(tmp_path):
    tracker = JsonlTracker(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="'train/k1' is not a metric"):
        tracker.log({"train/k1": 1.0}, 0)
    tracker.close()


def test_disabled_means_no_wandb_at_all(tmp_path):
    assert tracker_maker("disabled") is None
    assert isinstance(with_jsonl(None, None), FanOut)


def test_the_names_are_those_that_dashboards_know():
    assert len(METRICS) == 29
    assert all(name.count("/") == 1 for name in METRICS)


def test_a_teachers_training_lands_in_the_same_dashboard(tmp_path, capfd):
    out = tmp_path / "teachers" / "teacher.zip"
    arguments = ["train", "--env", "CartPole-v1", "--timesteps", "4096", "--n-envs", "2", "--net-arch", "8", "--json"]
    assert main([*arguments, "--out", str(out), "--track", "offline", "--tags", "t"]) == 0
    assert json.loads(capfd.readouterr().out)["env_steps"] == 4096
    rows = read_metrics(out.with_name("metrics.jsonl"))
    assert len(rows) > 10
    assert rows[-1]["rollout/teacher_return"] > rows[0]["time/env_steps"] / 1e6
    run = read_run(out.parent / "wandb")
    assert (run["run"].job_type, run["run"].run_group) == ("train", "teachers")
    logged = [row for row in run["history"] if "rollout/teacher_return" in row]
    assert [row["time/env_steps"] for row in logged] == [row["time/env_steps"] for row in rows]
    (artifact,) = [artifact for artifact in run["artifacts"] if artifact.type == "teacher"]
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert json.loads(artifact.metadata)["sha256"] == digest
    assert artifact.name == f"teacher-CartPole-v1-{digest[:12]}", "the name under which a distillation uses it"


def test_a_distillation_logs_every_metric_and_histograms_where_asked_for(tmp_path):
    out = tmp_path / "run"
    tracker = tracker_maker("offline", group="suite", gradients=True)
    settings = {"timesteps": 512, "n_steps": 16, "eval_episodes": 4, "select_episodes": 2, "out": out}
    distill(cartpole_teacher(), "CartPole-v1", "mlp:4", tracker=tracker, **settings)
    run = read_run(out / "wandb")
    seen = {name for row in run["history"] for name in row}
    assert set(METRICS) - seen == {"rollout/teacher_return"}, "what a distillation does not measure"
    assert any(name.startswith("gradients/") for name in seen)
    steps = [row["time/env_steps"] for row in run["history"] if "train/kl" in row]
    assert steps == [128, 256, 384, 512]
    assert run["summary"]["retention"]["n_episodes"] == 4
    assert "episodes" not in run["summary"]


def test_trackio_takes_the_metrics_where_it_is_asked_to(tmp_path):
    code = """if True:
        import sys
        from pathlib import Path
        from policy_distill.tracking.fan_out import with_jsonl
        from policy_distill.tracking.table import tracker_maker
        out = Path(sys.argv[1]); out.mkdir()
        both = with_jsonl(tracker_maker("trackio", project="p", group="g")(out, {"seed": 1}), out / "metrics.jsonl")
        for step in (10, 20):
            both.log({"train/kl": 1 / step}, step)
        both.close()
        from trackio.sqlite_storage import SQLiteStorage
        print([(row["step"], row["train/kl"]) for row in SQLiteStorage.get_logs("p", "run")])
    """
    env = {**os.environ, "TRACKIO_DIR": str(tmp_path / "db"), "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "run")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[(10, 0.1), (20, 0.05)]"


TRACKIO_ATTEMPT = """
import os, sys, time
from pathlib import Path
from policy_distill.tracking.fan_out import with_jsonl
from policy_distill.tracking.table import tracker_maker
from trackio.sqlite_storage import SQLiteStorage
out, first, resume = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) or None
out.mkdir(exist_ok=True, parents=True)
make = tracker_maker("trackio", project="p", group="g", job_type=sys.argv[4])
both = with_jsonl(make(out, {"seed": 1}), out / "metrics.jsonl", resume)
for step in range(first, 70, 10):
    both.log({"train/kl": 1 / step, "train/loss": float("nan")}, step)
    if step == 40 and not resume:
        while len(SQLiteStorage.get_logs("p", "run")) < 4:
            time.sleep(0.05)
        os._exit(9)
both.log({"eval/retention": 0.9}, 60)
both.close()
"""

TRACKIO_RUNS = """
import json
import trackio
from trackio.sqlite_storage import SQLiteStorage
runs = [SQLiteStorage.get_logs("p", run.name, run_id=run.id) for run in trackio.Api().runs("p")]
print(json.dumps([[(row["step"], row.get("train/kl"), row.get("eval/retention")) for row in rows] for rows in runs]))
"""


def trackio_attempts(tmp_path, *attempts):
    """Make attempts at runs in processes of their own; return their exit statuses, and trackio's runs."""
    env = {**os.environ, "TRACKIO_DIR": str(tmp_path / "db"), "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}

    def run(code, *arguments):
        command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    done = [run(TRACKIO_ATTEMPT, *attempt) for attempt in attempts]
    assert [attempt.stdout for attempt in done] == [""] * len(done), "its own words are no output of ours"
    return [attempt.returncode for attempt in done], json.loads(run(TRACKIO_RUNS).stdout)


def test_trackio_shows_one_run_after_a_death_and_two_resumes(tmp_path):
    one, other = tmp_path / "a" / "run", tmp_path / "b" / "run"
    codes, runs = trackio_attempts(
        tmp_path, (other, 50, 0, "distill"), (one, 10, 0, "distill"), (one, 30, 20, "distill"), (one, 50, 40, "distill")
    )
    assert codes == [0, 9, 0, 0]
    expected = [[step, 1 / step, None] for step in range(10, 70, 10)] + [[60, None, 0.9]]
    # The other folder's run bears the same name, and is left alone.
    assert sorted(runs, key=len) == [[*expected[4:]], expected]
    assert [row["time/env_steps"] for row in read_metrics(one / "metrics.jsonl")] == [10, 20, 30, 40, 50, 60, 60]


def test_trackio_keeps_every_training_of_a_teacher(tmp_path):
    codes, runs = trackio_attempts(tmp_path, (tmp_path / "run", 50, 0, "train"), (tmp_path / "run", 60, 0, "train"))
    assert codes == [0, 0]
    assert sorted(map(len, runs)) == [2, 3]


def test_a_missing_trackio_costs_one_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert tracker_maker("trackio")(tmp_path, {}) is None
    assert "not installed" in caplog.text


def test_a_video_lies_in_the_run_folder_as_a_video(tmp_path):
    (tmp_path / "video.mp4").write_bytes(b"moving pictures")
    tracker = tracker_maker("offline")(tmp_path, {})
    tracker.artifact(tmp_path / "video.mp4", "video", {})
    tracker.close()
    (row,) = [row for row in read_run(tmp_path / "wandb")["history"] if "video/path" in row]
    (copy,) = (tmp_path / "wandb").rglob(row["video/path"].rpartition("/")[2])
    assert copy.read_bytes() == b"moving pictures"


def test_the_project_that_the_environment_names_is_respected(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "from-outside")
    tracker_maker("offline")(tmp_path, {}).close()
    run = read_run(tmp_path / "wandb")["run"]
    assert run.project == "from-outside"


def test_a_suite_is_one_run_with_the_table_of_its_students(tmp_path):
    folders = [write_run(tmp_path / "suite" / f"s{seed}", seed=seed) for seed in range(3)]
    (tmp_path / "suite" / "empty").mkdir()
    track_suite("offline", tmp_path / "suite", [*folders, tmp_path / "suite" / "empty"])
    run = read_run(tmp_path / "suite" / "wandb")
    assert (run["run"].job_type, run["run"].run_group) == ("evaluate", "suite")
    (row,) = [row for row in run["history"] if "students/nrows" in row]
    assert row["students/nrows"] == 3
    assert run["summary"]["n_runs"] == 3
    assert (run["summary"]["retention"]["n_runs"], run["summary"]["retention"]["kind"]) == (3, "range")
    assert run["summary"]["retention"]["mean"] == pytest.approx(0.98, abs=0.002)
    track_suite("disabled", tmp_path / "other", folders)
    assert not (tmp_path / "other").exists()


def judged(folder, seed, student="mlp:8", chosen=None, **retention):
    """Write a run whose selection kept the share `chosen`, and change what its proof says."""
    write_run(folder, student=student, seed=seed)
    record = json.loads((folder / "evaluation.json").read_text())
    record["selection"] = None if chosen is None else {"return": 100.0, "retention": chosen}
    record["retention"] |= retention
    (folder / "evaluation.json").write_text(json.dumps(record))
    (folder / "student.safetensors").write_bytes(f"{student} {seed}".encode())
    return folder


def test_of_a_suites_training_seeds_the_best_by_its_selection_has_the_alias(tmp_path):
    suite = tmp_path / "suite"
    chosen = {("mlp:8", 0): 0.95, ("mlp:8", 1): 0.99, ("mlp:8", 2): 0.8, ("mlp:4", 0): 0.7}
    # The proof, on other episodes, would have put the third of them first.
    folders = [
        judged(suite / f"{student}-{seed}", seed, student, figure, mean=0.9 + seed / 10, iqm=1.0 + seed / 10)
        for (student, seed), figure in chosen.items()
    ]
    for folder in folders:
        tracker = tracker_maker("offline")(folder, json.loads((folder / "config.json").read_text()))
        tracker.artifact(folder / "student.safetensors", "student", {})
        tracker.close()
    unproved = write_run(suite / "unproved", student="linear:1")
    (unproved / "evaluation.json").write_text('{"retention": null}')
    track_suite("offline", suite, [*folders, unproved])
    logged = [artifact for folder in folders for artifact in read_run(folder / "wandb")["artifacts"]]
    given = [a for a in read_run(suite / "wandb")["artifacts"] if a.type == "student"]
    assert [list(artifact.aliases) for artifact in logged] == [["latest"]] * 4
    # W&B adds the other one itself.
    assert [sorted(artifact.aliases) for artifact in given] == [["best", "latest"]] * 2
    # The same name and digest: W&B adds the alias to that version.
    assert {(a.name, a.digest) for a in given} == {(logged[i].name, logged[i].digest) for i in (1, 3)}
    assert all("verdict" in json.loads(a.metadata)["retention"] for a in given)


def finished(folder):
    config, evaluation = (json.loads((folder / name).read_text()) for name in ("config.json", "evaluation.json"))
    return Finished(folder, load(RunSettings, config, "config.json"), EvaluationRecord.from_json(evaluation))


def test_a_worse_student_of_a_useless_teacher_is_never_the_best(tmp_path):
    undefined = {"outcome": "undefined", "margin": 0.05, "alpha": 0.05, "n_episodes": 60, "n_looks": 1}
    flipped = judged(tmp_path / "0", 0, chosen=2.0, iqm=2.006, mean=1.9, ci95=[1.9, 2.1], verdict=undefined)
    assert best([finished(flipped)]) == []
    sound = judged(tmp_path / "1", 1, chosen=0.9)
    assert [run.path for run in best([finished(flipped), finished(sound)])] == [sound]


def test_a_suites_mean_leaves_out_what_is_undefined_and_keeps_the_other_seeds(tmp_path):
    undefined = {"outcome": "undefined", "margin": 0.05, "alpha": 0.05, "n_episodes": 60, "n_looks": 1}
    runs = [finished(judged(tmp_path / str(seed), seed)) for seed in range(2)]
    useless = finished(judged(tmp_path / "2", 2, verdict=undefined))
    assert across_runs([*runs, useless]) == across_runs(runs)
    assert across_runs([useless]) is None
    one = finished(judged(tmp_path / "3", 3))
    broken = dataclasses.replace(one, evaluation=dataclasses.replace(one.evaluation, episodes=None))
    assert across_runs([*runs, broken]) == across_runs(runs)


def test_a_run_that_cannot_be_read_is_named_and_costs_a_suite_nothing_else(tmp_path, caplog):
    folders = [write_run(tmp_path / "suite" / f"s{seed}", seed=seed) for seed in range(2)]
    (folders[1] / "evaluation.json").write_text('{"episodes": {"student": [null]}}')
    track_suite("offline", tmp_path / "suite", folders)
    assert read_run(tmp_path / "suite" / "wandb")["summary"]["n_runs"] == 1
    assert "evaluation.json, episodes, student: expected a list of numbers, found a list" in caplog.text


def test_where_no_selection_was_kept_the_verdict_decides_before_the_numbers_and_never_the_iqm(tmp_path):
    falls = {"outcome": "inferior", "margin": 0.05, "alpha": 0.05, "n_episodes": 60, "n_looks": 1}
    falling = judged(tmp_path / "0", 0, iqm=1.2, ci95=[1.1, 1.3], mean=0.8, verdict=falls)
    holding = judged(tmp_path / "1", 1, iqm=0.99, ci95=[0.97, 1.0], mean=0.98)
    assert [run.path for run in best([finished(falling), finished(holding)])] == [holding]


def test_of_equal_seeds_the_first_has_the_alias_whatever_their_proofs_say(tmp_path):
    runs = [finished(judged(tmp_path / str(seed), seed, chosen=1.0, mean=0.9 + seed / 10)) for seed in range(2)]
    assert best(runs) == runs[:1]


def test_a_row_of_the_table_of_students_has_the_mean_its_bound_the_verdict_and_the_falls():
    verdict = {"outcome": "undecided", "margin": 0.05, "alpha": 0.05}
    record = {
        "student": {"n_params": 10, "n_bytes": 40, "mean": 470.0},
        "compression": {"params": 5.0},
        "retention": {"mean": 0.97, "mean_low": 0.92, "iqm": 1.0, "ci95": [1.0, 1.0], "verdict": verdict},
        "falls": {"student": {"n": 3, "n_episodes": 100, "rate": 0.03, "rate_high": 0.0757}},
        "selection": {"return": 480.0, "retention": 0.99},
    }
    settings = RunSettings(env_id="CartPole-v1", student="mlp:1", config={"seed": 4})
    row = student_row(settings, EvaluationRecord.from_json(record))
    line = "3 of 100 episodes lost more than half of the gain; fewer than 7.6% do (95%)"
    expected = ("CartPole-v1", "mlp:1", 4, 10, 40, 5.0, 0.97, 0.92, "undecided", line, 0.99, 1.0, 470.0)
    assert dict(zip(COLUMNS, row, strict=True)) == dict(zip(COLUMNS, expected, strict=True))


def test_a_tracker_of_ones_own_needs_no_more_than_log(tmp_path):
    class Log:
        rows = 0

        def log(self, metrics, step):
            self.rows += 1

    log = Log()
    sinks = with_jsonl(log, tmp_path / "metrics.jsonl")
    sinks.log({"train/loss": 1.0}, 1)
    sinks.summary({})
    sinks.artifact(tmp_path, "student", {})
    sinks.close()
    assert log.rows == 1


BESIDE = """
import os, sys
from pathlib import Path
import wandb
from policy_distill import distill
from tests.doubles import Corridor, corridor_teacher
out = Path(sys.argv[1])
if sys.argv[2] == "named":
    os.environ["WANDB_RUN_ID"] = "ofuser"
own = wandb.init(project="own", mode="offline", dir=str(out), settings=wandb.Settings(silent=True))
own.log({"before": 1})
settings = dict(timesteps=64, n_envs=2, n_steps=16, eval_episodes=2, select_episodes=0)
distill(corridor_teacher(), Corridor, "linear", out=out / "run", track="offline", **settings)
assert wandb.run is own, "the program's own run is still the one that is open"
wandb.log({"after": 2})
own.finish()
"""


@pytest.mark.parametrize("own", ["unnamed", "named"])
def test_a_run_of_the_program_around_a_distillation_is_neither_taken_nor_finished(tmp_path, own):
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", BESIDE, str(tmp_path), own],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    mine, theirs = read_run(tmp_path / "run" / "wandb"), read_run(tmp_path / "wandb")
    assert [sorted(set(row) & {"before", "after"}) for row in theirs["history"]] == [["before"], ["after"]]
    assert not any(name.startswith("train/") for row in theirs["history"] for name in row)
    assert [row for row in mine["history"] if "train/kl" in row]
    assert mine["run"].run_id != theirs["run"].run_id
    assert mine["summary"]["compression"]["params"] == pytest.approx(1000 / 6)


def test_a_run_is_tracked_by_name_with_a_project_a_group_and_tags(tmp_path, monkeypatch):
    settings = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 2, "select_episodes": 0}
    monkeypatch.setenv("WANDB_RUN_GROUP", "from-outside")
    monkeypatch.setenv("WANDB_TAGS", "one,two")
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "a", track="offline", **settings)
    named = {"mode": "offline", "project": "walkers", "group": "ablation", "tags": "three"}
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "b", track=named, **settings)
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "c", track="disabled", **settings)
    first, second = (read_run(tmp_path / name / "wandb")["run"] for name in "ab")
    assert (first.project, first.run_group, list(first.tags)) == ("policy-distill", "from-outside", ["one", "two"])
    assert (second.project, second.run_group, list(second.tags)) == ("walkers", "ablation", ["three"])
    assert not (tmp_path / "c" / "wandb").exists()


def test_a_teacher_handed_over_by_its_path_is_an_artifact_of_the_run(tmp_path):
    PPO("MlpPolicy", Corridor(), n_steps=8, batch_size=8, device="cpu").save(tmp_path / "teacher.zip")
    settings = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 0, "select_episodes": 0}
    distill(tmp_path / "teacher.zip", Corridor, "linear", out=tmp_path / "run", track="offline", **settings)
    kinds = {artifact.type for artifact in read_run(tmp_path / "run" / "wandb")["artifacts"]}
    assert kinds >= {"student", "teacher"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"track": "offlin"}, "by one of offline, online, trackio, disabled, found 'offlin'"),
        ({"track": {"projekt": "x"}}, "any of project, group, tags in track, found projekt"),
        ({"track": "offline", "out": None}, "expected a run folder to track into"),
        ({"track": "offline", "tracker": lambda out, config: None}, "found both"),
    ],
)
def test_tracking_that_cannot_be_is_refused_before_the_run(tmp_path, options, message):
    with pytest.raises(RequestError, match=message):
        distill(corridor_teacher(), Corridor, "linear", **{"out": tmp_path / "run", **options})
    assert not (tmp_path / "run").exists()


def test_a_trackio_run_of_the_program_around_a_distillation_goes_on(tmp_path):
    code = """if True:
        import sys
        from pathlib import Path
        import trackio
        from policy_distill import distill
        from tests.doubles import Corridor, corridor_teacher
        trackio.init(project="own", name="mine")
        trackio.log({"before": 1})
        settings = dict(timesteps=64, n_envs=2, n_steps=16, eval_episodes=2, select_episodes=0)
        distill(corridor_teacher(), Corridor, "linear", out=Path(sys.argv[1]), track="trackio", **settings)
        trackio.log({"after": 2})
        trackio.finish()
        from trackio.sqlite_storage import SQLiteStorage
        print([set(row) & {"before", "after", "train/kl"} for row in SQLiteStorage.get_logs("own", "mine")])
    """
    env = {**os.environ, "TRACKIO_DIR": str(tmp_path / "db"), "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "run")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[{'before'}, {'after'}]"


def test_an_offline_run_starts_with_what_is_logged_and_not_before(tmp_path):
    code = (
        "import sys; from pathlib import Path; from policy_distill.tracking.table import tracker_maker\n"
        "tracker = tracker_maker('offline')(Path(sys.argv[1]), {})\n"
        "assert 'wandb' not in sys.modules\n"
        "tracker.log({'train/kl': 0.5}, 1)\n"
        "tracker.sync()\n"
        "assert 'wandb' in sys.modules and list(Path(sys.argv[1]).rglob('policy_distill.json'))\n"
        "tracker.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    assert [row["train/kl"] for row in read_run(tmp_path / "wandb")["history"]] == [0.5]


def starting(begin, begun):
    """Return the thread of a run that is being started by `begin`, once that has begun."""
    thread = RunThread(begin)
    thread.submit("log", lambda: None)
    assert begun.wait(10)
    return thread


def fork():
    """Return a process that ends with 0 where it may be forked in turn."""
    child = os.fork()
    if child == 0:
        os._exit(0 if may_fork() else 1)
    return child


def test_a_process_is_not_forked_while_wandb_starts():
    begun, forked, seen = threading.Event(), threading.Event(), []

    def starts():
        begun.set()
        # What is raised here is a warning, so it is looked at below.
        seen.extend([may_fork(), forked.wait(0.2)])

    thread = starting(starts, begun)
    child = fork()
    forked.set()
    thread.close(lambda: None, 10)
    assert os.waitpid(child, 0)[1] == 0
    assert seen == [False, False]
    assert may_fork()


def test_a_start_that_hangs_does_not_keep_a_process_from_being_forked(monkeypatch):
    monkeypatch.setattr(forks, "LONGEST", 0.05)
    begun, over = threading.Event(), threading.Event()

    def hangs():
        begun.set()
        over.wait(10)

    thread = starting(hangs, begun)
    assert os.waitpid(fork(), 0)[1] == 0
    over.set()
    thread.close(lambda: None, 10)
    assert may_fork()
