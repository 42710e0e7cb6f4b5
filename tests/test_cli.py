import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import policy_distill
from policy_distill.cli import main
from policy_distill.evaluation.proof.kept import retention
from policy_distill.run.distill import distill
from policy_distill.student.runtime import Student
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import Corridor, cartpole_teacher
from tests.wandb_reader import read_run

SMALL = ["--timesteps", "1024", "--n-steps", "64", "--eval-episodes", "5", "--student", "mlp:4"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.zip"
    PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu", policy_kwargs={"net_arch": [8]}).save(path)
    return path


@pytest.fixture(scope="module")
def run_folder(teacher, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["distill", "--teacher", str(teacher), "--env", "CartPole-v1", "--out", str(out), *SMALL]) == 0
    return out


def json_of(capfd):
    out = capfd.readouterr().out
    assert out.count("\n") == 1, "one object on one line and nothing else"
    return json.loads(out)


def test_distilling_writes_the_run_folder_and_shows_a_table(teacher, tmp_path, capfd):
    out = tmp_path / "run"
    assert main(["distill", "--teacher", str(teacher), "--env", "CartPole-v1", "--out", str(out), *SMALL]) == 0
    text = capfd.readouterr().out
    for shown in ("teacher", "student", "random", "retention, mean", "compression", "seconds labelling", str(out)):
        assert shown in text
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "metrics.jsonl", "student.safetensors", "evaluation.json", "checkpoint", "wandb"} <= names


def test_json_prints_the_evaluation_and_nothing_else(teacher, tmp_path, capfd):
    arguments = ["distill", "--teacher", str(teacher), "--env", "CartPole-v1", "--out", str(tmp_path / "run"), *SMALL]
    assert main([*arguments, "--json", "--track", "disabled"]) == 0
    assert json_of(capfd) == json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert not (tmp_path / "run" / "wandb").exists()


def test_students_and_teachers_are_evaluated_and_compared(teacher, run_folder, capfd):
    student = str(run_folder / "student.safetensors")
    for policy in (student, str(teacher)):
        assert main(["evaluate", policy, "--env", "CartPole-v1", "--episodes", "4", "--seed", "3", "--json"]) == 0
        record = json_of(capfd)
        assert record["n_episodes"] == len(record["returns"]) == 4
        assert record["mean"] == pytest.approx(np.mean(record["returns"]))
        assert len(record["ci95"]) == 2
    assert main(["compare", str(teacher), student, "--env", "CartPole-v1", "--episodes", "4", "--json"]) == 0
    record = json_of(capfd)
    assert {"teacher", "student", "random", "retention"} <= set(record)
    assert main(["compare", str(teacher), student, "--env", "CartPole-v1", "--episodes", "4"]) == 0
    assert "retention" in capfd.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_evaluations_are_tracked_where_asked_for_and_leave_no_trace_otherwise(
    teacher, run_folder, tmp_path, monkeypatch, capfd, command
):
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in run_folder.iterdir() if path.is_file()}
    student = str(run_folder / "student.safetensors")
    policies = [student] if command == "evaluate" else [str(teacher), student]
    words = [command, *policies, "--env", "CartPole-v1", "--episodes", "3", "--json"]
    assert main(words) == 0
    assert list(tmp_path.iterdir()) == []
    capfd.readouterr()
    assert main([*words, "--track", "offline", "--tags", "x"]) == 0
    record = json_of(capfd)
    (folder,) = (tmp_path / "evaluations").iterdir()
    run = read_run(folder / "wandb")
    assert (run["run"].job_type, run["run"].run_group, list(run["run"].tags)) == ("evaluate", "run", ["x"])
    (row,) = read_metrics(folder / "metrics.jsonl")
    expected = record["mean"] if command == "evaluate" else record["student"]["mean"]
    assert row["eval/student_return"] == run["history"][0]["eval/student_return"] == expected
    assert row["time/env_steps"] == run["history"][0]["time/env_steps"] == 1024
    assert ("eval/random_return" in row) == (command == "compare")
    assert run["summary"].keys() >= {"env_id", "n_episodes"}
    assert {path.name: path.read_bytes() for path in run_folder.iterdir() if path.is_file()} == before


def test_files_are_described(teacher, run_folder, capfd):
    assert main(["info", str(run_folder / "student.safetensors"), "--json"]) == 0
    record = json_of(capfd)
    assert (record["kind"], record["network"], record["n_params"]) == ("student", "mlp:4", 4 * 4 + 4 + 4 * 2 + 2)
    assert record["algorithm"] == "ppo"
    assert main(["info", str(teacher), "--json"]) == 0
    record = json_of(capfd)
    assert (record["kind"], record["algorithm"], record["n_params"]) == ("teacher", "ppo", 4 * 8 + 8 + 8 * 2 + 2)
    assert main(["info", str(teacher)]) == 0
    assert "policy_class" in capfd.readouterr().out


def test_a_teacher_is_trained(tmp_path, capfd):
    arguments = ["train", "--env", "CartPole-v1", "--timesteps", "2048", "--n-envs", "1", "--net-arch", "8,8"]
    assert main([*arguments, "--out", str(tmp_path / "t.zip"), "--normalize", "--json"]) == 0
    assert json_of(capfd)["env_steps"] == 2048
    assert (tmp_path / "vecnormalize.pkl").exists()
    assert main([*arguments, "--out", str(tmp_path / "t.zip")]) == 2
    assert "--overwrite" in capfd.readouterr().err


@pytest.fixture
def files(tmp_path, teacher):
    whole = teacher.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "foreign.zip").write_text("not a zip")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes").write_text("mine")
    VecNormalize(DummyVecEnv([Corridor])).save(str(tmp_path / "other.pkl"))
    return tmp_path


WRONG = {
    "missing teacher": (["--teacher", "{files}/none.zip"], "found nothing at"),
    "foreign teacher": (["--teacher", "{files}/foreign.zip"], "not a zip"),
    "truncated teacher": (["--teacher", "{files}/cut.zip"], "truncated"),
    "unknown environment": (["--env", "CartPole-v7"], "CartPole-v1"),
    "an environment that does not fit": (["--env", "Pendulum-v1"], "found Box(3,)"),
    "unknown student": (["--student", "resnet:18"], "mlp:32,32"),
    "a cnn without images": (["--student", "cnn:8"], "use mlp"),
    "zero steps": (["--timesteps", "0"], "timesteps must be at least 1"),
    "negative environments": (["--n-envs", "-2"], "n_envs must be at least 1"),
    "negative episodes": (["--eval-episodes", "-1"], "eval_episodes must be at least 0"),
    "unknown loss": (["--loss", "reverse"], "did you mean reverse_kl"),
    "a folder in use": (["--out", "{files}/used"], "--resume or --overwrite"),
    "statistics of another shape": (["--vecnormalize", "{files}/other.pkl"], "expected (4,)"),
    "missing statistics": (["--vecnormalize", "{files}/none.pkl"], "found nothing"),
    "nothing to resume": (["--resume"], "expected a checkpoint"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_ends_with_2_and_one_line(files, teacher, capfd, case):
    changes, message = WRONG[case]
    arguments = {"--teacher": str(teacher), "--env": "CartPole-v1", "--out": str(files / "run"), "--track": "disabled"}
    changes = [change.format(files=files) for change in changes]
    flags = [changes.pop()] if len(changes) % 2 else []
    arguments |= dict(zip(changes[::2], changes[1::2], strict=True))
    status = main(["distill", *(word for pair in arguments.items() for word in pair), *flags])
    captured = capfd.readouterr()
    assert status == 2
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (files / "run").exists()


@pytest.mark.parametrize("words", ["distill --foo", "evaluate a.zip --env X --episodes many", "dance"])
def test_a_command_line_that_cannot_be_parsed_ends_with_2(words, capfd):
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    assert stop.value.code == 2
    said = capfd.readouterr().err
    assert said.startswith("policy-distill: ")
    assert said.count("\n") == 1
    assert "--help" in said


def test_a_misspelt_option_is_answered_with_the_nearest(capfd):
    with pytest.raises(SystemExit):
        main("distill --teacher a.zip --out run --timestep 10".split())
    assert "--timesteps" in capfd.readouterr().err
    with pytest.raises(SystemExit):
        main("train --out teacher.zip".split())
    assert "expected --env" in capfd.readouterr().err
    # Its place may be taken by --tasks.
    assert main("distill --out run".split()) == 2
    assert "after --teacher" in capfd.readouterr().err
    with pytest.raises(SystemExit):
        main(["info"])
    assert "expected PATH" in capfd.readouterr().err


def test_a_word_that_is_no_command_is_said_alone_whatever_follows(capfd):
    with pytest.raises(SystemExit) as stop:
        main("comparee --teacher a.zip --env CartPole-v1".split())
    assert stop.value.code == 2
    said = capfd.readouterr().err
    assert "found 'comparee'; perhaps compare" in said
    assert "--teacher" not in said


def test_a_terminal_without_the_letters_of_a_table_is_no_fault(teacher):
    words = ["evaluate", str(teacher), "--env", "CartPole-v1", "--episodes", "2"]
    command = [sys.executable, "-m", "policy_distill", *words]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"return, mean ? std" in done.stdout


def test_what_a_student_file_holds_begins_with_its_proof(tmp_path, capfd):
    full, none = np.full(96, 500.0), np.full(96, 20.0)
    settings = {"timesteps": 512, "n_steps": 64, "eval_episodes": 0}
    made = distill(cartpole_teacher(), "CartPole-v1", "mlp:4", **settings).student
    kept = retention(full, full, none)
    proven = {**kept.to_json(), "falls": kept.falls_json()}
    Student.of(made.record.said_of(made.provenance, proven)).save(tmp_path / "student.safetensors")
    assert main(["info", str(tmp_path / "student.safetensors")]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "1.000, at least 0.961 (95%)" in lines[0]
    assert "0 of 96 episodes lost more than half of the gain; fewer than 3.1% do (95%)" in lines[1]
    assert "non-inferior: as good as the teacher up to 5% of its gain, 24.00 of the return" in lines[3]
    strange = {"verdict": "yes", "mean": 1.0}
    Student.of(made.record.said_of(made.provenance, strange)).save(tmp_path / "other.safetensors")
    assert main(["info", str(tmp_path / "other.safetensors")]) == 0


def test_a_run_folder_stands_for_its_student(run_folder, capfd):
    assert main(["info", str(run_folder), "--json"]) == 0
    assert json_of(capfd)["kind"] == "student"
    assert main(["evaluate", str(run_folder), "--episodes", "2", "--json"]) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out)["n_episodes"] == 2
    assert "VecNormalize" not in captured.err, "the student measured its own statistics"


def test_the_version_is_said(capfd):
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"policy-distill {policy_distill.__version__}\n"


@pytest.mark.parametrize("command", ["train", "distill", "evaluate", "compare", "info", "report", "sync", "dashboard"])
def test_help_teaches_with_an_example(command, capfd):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"Example: policy-distill {command}" in capfd.readouterr().out


def test_help_imports_neither_torch_nor_sb3():
    code = "import sys, policy_distill.cli; sys.exit(bool({'torch', 'stable_baselines3', 'wandb'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


BROKEN = """
import gymnasium, numpy, sys
from gymnasium.envs.classic_control import CartPoleEnv
from policy_distill.cli import main

class Broken(CartPoleEnv):
    def step(self, action):
        obs, *rest = super().step(action)
        return (obs * numpy.nan, *rest)

gymnasium.register("Broken-v0", Broken)
sys.exit(main(sys.argv[1:]))
"""
"""The command line, in a world whose observations are no numbers from the first step on."""


def test_a_nan_in_an_observation_ends_with_1_and_says_where(teacher, run_folder, tmp_path, capfd):
    import gymnasium
    from gymnasium.envs.classic_control import CartPoleEnv

    class Broken(CartPoleEnv):
        def step(self, action):
            obs, *rest = super().step(action)
            return (obs * np.nan, *rest)

    gymnasium.register("Broken-v0", Broken)
    arguments = ["--teacher", str(teacher), "--env", "Broken-v0", "--out", str(tmp_path / "run"), "--track", "disabled"]
    assert main(["distill", *arguments]) == 1
    assert "environment 0 at step 1 of the rollout" in capfd.readouterr().err
    gymnasium.registry.pop("Broken-v0")
    evaluated, compared = ["evaluate", str(teacher)], ["compare", str(teacher), str(run_folder / "student.safetensors")]
    # A comparison takes the first block of seeds that the student's own proof has not used.
    for words, seed in ((evaluated, 0), (compared, 2_000_000)):
        # In a process of its own, where no thread that another test left behind writes to stderr.
        done = subprocess.run(
            [sys.executable, "-c", BROKEN, *words, "--env", "Broken-v0", "--json"], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        *notes, error = done.stderr.splitlines()
        assert error.startswith("policy-distill: ")
        assert all("distilled in CartPole-v1" in note for note in notes), notes
        assert f"Broken-v0 failed: environment 0 at step 1 of its episode, seed {seed}: " in done.stderr
        assert "--env-restarts" not in done.stderr


@pytest.fixture
def heeds_interrupts():
    """SIGINT as Python has it: a shell lets what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_run_begins_ends_with_130_and_the_way_to_go_on(
    teacher, run_folder, tmp_path, number, monkeypatch, capfd, heeds_interrupts
):
    monkeypatch.setattr("policy_distill.teachers.load.load_teacher", lambda *_, **__: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    arguments = ["distill", "--teacher", str(teacher), "--env", "CartPole-v1", "--track", "disabled"]
    for out, options, kept in (
        (run_folder, ["--resume"], True),
        (tmp_path / "new", [], False),
        (run_folder, ["--overwrite"], False),
    ):
        assert main([*arguments, "--out", str(out), *options]) == 130
        said = capfd.readouterr().err
        assert said.startswith("interrupted")
        assert ("go on with: policy-distill" in said) == kept
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_with_130_and_the_resume_command_works(teacher, tmp_path, number):
    out = tmp_path / "run"
    command = [
        "-m",
        "policy_distill.cli",
        "distill",
        "--teacher",
        str(teacher),
        "--env",
        "CartPole-v1",
        "--out",
        str(out),
    ]
    options = ["--timesteps", "400000", "--eval-episodes", "2", "--track", "disabled"]
    process = subprocess.Popen([sys.executable, *command, *options], stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if (out / "metrics.jsonl").exists() and read_metrics(out / "metrics.jsonl"):
            break
        time.sleep(0.1)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err
    steps = read_metrics(out / "metrics.jsonl")[-1]["time/env_steps"]
    assert steps < 400_000
    # The same settings, resumed and interrupted again, go on from where the first one stopped.
    process = subprocess.Popen([sys.executable, *command, *options, "--resume"], stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if read_metrics(out / "metrics.jsonl")[-1]["time/env_steps"] > steps:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    all_steps = [row["time/env_steps"] for row in read_metrics(out / "metrics.jsonl")]
    assert all_steps == sorted(set(all_steps))
    assert all_steps[:2] == [1024, 2048]


def test_without_an_environment_the_teachers_own_is_taken_and_said(teacher, run_folder, zoo, capfd):
    assert main(["evaluate", str(run_folder / "student.safetensors"), "--episodes", "2", "--json"]) == 0
    captured = capfd.readouterr()
    assert "environment: CartPole-v1" in captured.err
    assert json.loads(captured.out)["env_id"] == "CartPole-v1"
    agent = str(zoo / "trpo-Swimmer-v3" / "Swimmer-v3.zip")
    assert main(["evaluate", agent, "--episodes", "1", "--json"]) == 0
    captured = capfd.readouterr()
    assert "environment: Swimmer-v4 (instead of Swimmer-v3" in captured.err
    assert main(["evaluate", str(teacher), "--episodes", "2"]) == 2
    assert "--env" in capfd.readouterr().err


def test_a_path_that_is_no_text_is_printed_all_the_same(teacher, tmp_path, capfd):
    out = tmp_path / b"\xff\xfe".decode("utf8", "surrogateescape")
    words = ["--env", "CartPole-v1", "--timesteps", "64", "--eval-episodes", "2", "--track", "disabled"]
    assert main(["distill", "--teacher", str(teacher), *words, "--out", str(out)]) == 0
    assert (out / "student.safetensors").exists()
