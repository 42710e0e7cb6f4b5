import json
import os
import shutil
import subprocess
import sys

import pytest

from policy_distill.cli import main
from policy_distill.tracking.jsonl import read_metrics
from tests.wandb_reader import read_run
from tests.wandb_server import WandbServer

ONLINE = """
import json, logging, sys
from pathlib import Path
from policy_distill.tracking import wandb_run, wandb_start
from policy_distill.tracking.jsonl import JsonlTracker
from policy_distill.tracking.fan_out import with_jsonl
logging.basicConfig(format="%(levelname)s: %(message)s")
wandb_start.INIT_SECONDS, wandb_run.FINISH_SECONDS = 8, 4
out = Path(sys.argv[1]); out.mkdir(exist_ok=True)
(out / "student.safetensors").write_bytes(b"12345678" * 100); (out / "teacher.zip").write_bytes(b"teacher" * 100)
config = {"env_id": "Lander-v3", "student": "mlp:8", "teacher": {"algorithm": "ppo", "sha256": "ab" * 32}}
config["config"] = {"seed": 3}
tracker = wandb_start.start("online", out, config=config, teacher=out / "teacher.zip", tags=("x",), gradients=True)
both = with_jsonl(tracker, out / "metrics.jsonl")
print("url", tracker.url, flush=True)
for step in range(1, 7):
    both.log({"train/kl": 1 / step}, 10 * step)
    both.histograms({"gradients/layer": __import__("numpy").arange(8.0)}, 10 * step)
    if step == 3:
        print("middle", flush=True); sys.stdin.readline()
sizes = {"n_params": 58, "n_bytes": 232, "mean": 200.0}
kept = {"mean": 0.96, "mean_low": 0.91, "iqm": 0.97, "verdict": {"outcome": "undecided"}}
both.summary({"student": sizes, "teacher": {"n_params": 5000}, "retention": kept, "compression": {"params": 86.0},
              "selection": {"return": 190.0, "retention": 0.95}, "episodes": {"student": [1.0] * 9}})
both.artifact(out / "student.safetensors", "student", {"n_params": 58, "n_bytes": 232, "retention": {"iqm": 0.97}})
both.close()
print("closed", flush=True)
"""


def run_online(server, out, in_the_middle=lambda: None):
    """Run the script against the stand-in; what happens in the middle is up to the test. It must end by itself."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": server.url, "HOME": str(out.parent)}
    command = [sys.executable, "-c", ONLINE, str(out)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=env, text=True, **pipes)
    said = []
    for line in process.stdout:
        said.append(line)
        if line == "middle\n":
            in_the_middle()
            process.stdin.write("\n")
            process.stdin.flush()
            break
    rest, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert len(read_metrics(out / "metrics.jsonl")) == 6, "the record is complete whatever W&B does"
    return "".join(said) + rest, err


@pytest.fixture
def server():
    server = WandbServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def accepted(tmp_path_factory):
    server, out = WandbServer(), tmp_path_factory.mktemp("online") / "suite"
    said, err = run_online(server, out)
    server.stop()
    return server, out, said, err


def test_a_run_arrives_whole(accepted):
    server, _, said, err = accepted
    assert "WARNING" not in err
    ((name, run),) = server.runs.items()
    assert f"url {server.url}/someone/policy-distill/runs/{name}" in said
    assert (run["project"], run["groupName"], run["jobType"], run["tags"]) == (
        "policy-distill",
        "suite",
        "distill",
        ["x"],
    )
    rows = [row for row in server.history[name] if "train/kl" in row]
    assert [(row["time/env_steps"], row["train/kl"]) for row in rows] == [(10 * n, 1 / n) for n in range(1, 7)]
    assert server.summary[name]["retention"]["iqm"] == 0.97
    assert "episodes" not in server.summary[name]
    assert json.loads(run["config"])["env_id"]["value"] == "Lander-v3"


def test_histograms_table_and_pareto_chart_arrive(accepted):
    server, _, _, _ = accepted
    ((name, run),) = server.runs.items()
    rows = server.history[name]
    histograms = [row["gradients/layer"] for row in rows if "gradients/layer" in row]
    assert len(histograms) == 6
    assert sum(histograms[0]["values"]) == 8
    (table,) = [row["students"] for row in rows if "students" in row]
    content = json.loads(server.files[f"{name}/{table['path']}"])
    assert dict(zip(content["columns"], content["data"][0], strict=True)) == {
        "env_id": "Lander-v3",
        "student": "mlp:8",
        "seed": 3,
        "params": 58,
        "bytes": 232,
        "compression": 86.0,
        "retention": 0.96,
        "low": 0.91,
        "verdict": "undecided",
        "falls": None,
        "selection": 0.95,
        "iqm": 0.97,
        "return": 200.0,
    }
    assert "pareto" in run["config"], "the chart is described in the run's configuration"


def test_teacher_and_student_are_artifacts_with_lineage(accepted):
    server, _, _, _ = accepted
    kinds = {artifact["artifactTypeName"]: (i, artifact) for i, artifact in enumerate(server.artifacts, start=1)}
    (name,) = server.runs
    number, teacher = kinds["teacher"]
    assert [use["input"]["artifactID"] for use in server.used] == [f"a{number}"]
    assert server.used[0]["input"]["runName"] == name
    assert json.loads(teacher["metadata"])["n_params"] == 5000
    _, student = kinds["student"]
    assert student["runName"] == name
    metadata = json.loads(student["metadata"])
    assert (metadata["n_params"], metadata["n_bytes"], metadata["retention"]["iqm"]) == (58, 232, 0.97)
    assert metadata["teacher"] == teacher["artifactCollectionName"]
    assert {alias["alias"] for alias in student["aliases"]} == {"latest"}
    assert server.files["artifact/student.safetensors"] == b"12345678" * 100
    assert server.files["artifact/teacher.zip"] == b"teacher" * 100


def test_a_resumed_run_goes_on_under_its_id(accepted, server):
    first, out, _, _ = accepted
    run_online(server, out)
    assert list(server.runs) == list(first.runs)
    assert server.resumed == list(first.runs)


RESUMED = """
import sys, time
from pathlib import Path
from policy_distill.tracking import wandb_run, wandb_start
from policy_distill.tracking.fan_out import with_jsonl
wandb_start.INIT_SECONDS, wandb_run.FINISH_SECONDS = 8, 4
out, first, last, resume = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) or None
out.mkdir(exist_ok=True)
tracker = wandb_start.start(sys.argv[5], out, config={"env_id": "L-v3", "student": "mlp:8"})
both = with_jsonl(tracker, out / "metrics.jsonl", resume)
for step in range(first, last + 1, 10):
    both.log({"train/kl": 1 / step}, step)
if last == 60:
    both.log({"eval/retention": 0.9}, step)
both.close()
"""


@pytest.fixture
def attempt(server, tmp_path, monkeypatch):
    """Return what makes one attempt at the run in `tmp_path / "run"`, in a process of its own."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    for name, value in {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": server.url, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    def run(first, last, resume, mode="online"):
        words = (tmp_path / "run", str(first), str(last), str(resume), mode)
        subprocess.run([sys.executable, "-c", RESUMED, *words], check=True, timeout=120)

    return run


def test_a_resumed_run_is_told_nothing_twice(server, tmp_path, attempt):
    # The first attempt ends at 40, the last checkpoint was that of 20; the third says a proof again.
    for first, last, resume in ((10, 40, 0), (30, 60, 20), (60, 60, 50)):
        attempt(first, last, resume)
    (name,) = server.runs
    steps = [row["time/env_steps"] for row in server.history[name]]
    assert steps == [10, 20, 30, 40, 50, 60, 60]
    assert [row["time/env_steps"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")] == steps


def test_a_resumed_run_is_told_what_was_lost_on_the_way_before_it_was_killed(server, attempt):
    attempt(10, 40, 0)
    (name,) = server.runs
    # What had not been sent yet when the process was killed, though the checkpoint of 40 was written.
    del server.history[name][2:]
    server.summary[name] = {"time/env_steps": 20, "train/kl": 1 / 20}
    attempt(50, 60, 40)
    assert list(server.runs) == [name]
    assert [row["time/env_steps"] for row in server.history[name]] == [10, 20, 30, 40, 50, 60, 60]


@pytest.mark.parametrize("modes", [("offline", "offline"), ("online", "offline"), ("offline", "online")])
def test_a_run_that_the_server_knows_stays_one_run_however_it_is_resumed(server, tmp_path, attempt, modes, capfd):
    before, after = modes
    attempt(10, 40, 0, before)
    if before == "offline":
        assert main(["sync", str(tmp_path / "run")]) == 0
    (name,) = server.runs
    assert len(server.history[name]) == 4
    # Twice, the first time without an upload: what the server knows is remembered.
    attempt(30, 50, 20, after)
    attempt(40, 60, 30, after)
    if after == "offline":
        assert main(["sync", str(tmp_path / "run"), "--json"]) == 0
        assert [run["state"] for run in json.loads(capfd.readouterr().out.splitlines()[-1])["runs"]] == ["uploaded"]
        assert server.offsets.count(0) == 2, "the upload begins at the first line"
    assert list(server.runs) == [name]
    rows = server.history[name]
    assert [row["time/env_steps"] for row in rows] == [10, 20, 30, 40, 50, 60, 60]
    assert [row.get("train/kl") for row in rows] == [*(1 / step for step in range(10, 70, 10)), None]
    assert server.summary[name]["eval/retention"] == 0.9


def test_copies_of_a_folder_whose_run_was_never_uploaded_are_runs_of_their_own(server, tmp_path, attempt, capfd):
    attempt(10, 40, 0, "offline")
    shutil.copytree(tmp_path / "run", tmp_path / "copy" / "run")
    attempt(30, 60, 20, "offline")
    assert main(["sync", str(tmp_path / "run")]) == main(["sync", str(tmp_path / "copy")]) == 0
    assert sorted(len(rows) for rows in server.history.values()) == [4, 7]


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_costs_a_warning_and_the_run_is_offline(server, tmp_path, status):
    server.status = status
    said, err = run_online(server, tmp_path / "run")
    assert "url None" in said
    assert err.count("WARNING: ") == 1
    assert "could not start online" in err
    run = read_run(tmp_path / "run" / "wandb")
    assert [row["time/env_steps"] for row in run["history"] if "train/kl" in row] == [10, 20, 30, 40, 50, 60]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["refuses", "dies"])
def test_a_server_that_changes_in_the_middle_costs_a_warning_and_a_bounded_wait(server, tmp_path, end):
    def in_the_middle():
        if end == "dies":
            server.stop()
        else:
            server.status = 403

    said, err = run_online(server, tmp_path / "run", in_the_middle)
    assert "closed" in said
    assert err.count("WARNING: ") == 1
    assert "metrics.jsonl is complete" in err
