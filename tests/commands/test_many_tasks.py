"""`distill --tasks` and the commands of its student, from the file to the table; every wrong request in one line."""

import json
import signal

import pytest
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from stable_baselines3 import PPO

from policy_distill.cli import main
from policy_distill.run.tasks import team_course
from tests.kill import contents

QUICK = [
    *("--timesteps", "256", "--n-envs", "4", "--n-steps", "32", "--n-epochs", "1", "--eval-episodes", "3"),
    *("--select-episodes", "2", "--n-eval-envs", "3", "--track", "disabled"),
]
TASKS = """
tasks:
- {path: cartpole.zip, env: CartPole-v1}
- {teacher: acrobot.zip, env: Acrobot-v1, name: swing}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"n_steps": 16, "batch_size": 16, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}
    for name, env in (("cartpole", "CartPole-v1"), ("acrobot", "Acrobot-v1")):
        PPO("MlpPolicy", env, **settings).save(tmp_path / f"{name}.zip")
    (tmp_path / "tasks.yaml").write_text(TASKS)
    return tmp_path


def test_the_tasks_of_a_file_become_one_student_that_is_resumed_and_exported(here, capfd):
    words = ["distill", "--tasks", "tasks.yaml", "--student", "mlp:8,8", *QUICK, "--out", "run"]
    assert main([*words, "--json", "--max-episode-steps", "100"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found == json.loads((here / "run" / "evaluation.json").read_text())
    assert list(found["tasks"]) == ["cartpole", "swing"]
    assert main([*words, "--resume", "--max-episode-steps", "100"]) == 0
    out = capfd.readouterr().out
    assert "kept, geometric mean [95%]" in out and "swing" in out and "of the same layers" in out
    assert "distill --tasks tasks.yaml" in (here / "run" / "report.html").read_text()
    student = "run/student.safetensors"
    assert main(["evaluate", "run", "--task", "swing", "--episodes", "1", "--max-episode-steps", "10", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["env_id"] == "Acrobot-v1"
    compare = [
        "compare",
        "acrobot.zip",
        student,
        "--task",
        "Acrobot-v1",
        "--episodes",
        "2",
        "--max-episode-steps",
        "10",
    ]
    assert main([*compare, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["env_id"] == "Acrobot-v1"
    assert main(["export", student, "--format", "onnx", "--out", "all", "--states", "16", "--json"]) == 0
    assert list(json.loads(capfd.readouterr().out)["tasks"]) == ["cartpole", "swing"]
    assert sorted(path.name for path in (here / "all").iterdir()) == ["cartpole.onnx", "swing.onnx"]
    bench = ["bench", "run", "--rounds", "1", "--cold-starts", "0", "--json"]
    assert main([*bench, "--task", "swing"]) == 0
    timed = json.loads(capfd.readouterr().out)
    assert (timed["student"], timed["task"], timed["input_shape"]) == ("run", "swing", [6])
    for words, said in (
        (bench, "expected one task, found a student of 2: cartpole, swing"),
        ([*bench, "--task", "walk"], "expected a task among cartpole, swing, found 'walk'"),
        (["evaluate", "run"], "expected one task, found a student of 2: cartpole, swing"),
        (["compare", "acrobot.zip", student], "expected one task, found a student of 2: cartpole, swing"),
        (["evaluate", "run", "--task", "walk"], "expected a task among cartpole, swing, found 'walk'"),
        (["evaluate", "acrobot.zip", "--task", "swing"], "expected a student for --task, found a teacher"),
        (["export", student, "--format", "onnx", "--out", "tasks.yaml"], "expected a folder for all tasks"),
        (["export", student, "--format", "student", "--task", "swing", "--out", student], "exists; choose another"),
    ):
        assert main(words) == 2, words
        assert said in capfd.readouterr().err


class Interrupted:
    """Has this process asked to stop at a call of a function, as ctrl-c does, and then lets it go on."""

    def __init__(self, function):
        self.function, self.n_calls, self.at = function, 0, None

    def __call__(self, *arguments, **options):
        self.n_calls += 1
        if self.n_calls == self.at:
            signal.raise_signal(signal.SIGINT)
        return self.function(*arguments, **options)


def test_a_run_that_was_interrupted_while_it_collected_and_while_it_proved_ends_in_the_same_student(
    here, capfd, monkeypatch
):
    # A shell lets what it starts in the background ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    steps, proofs = Interrupted(AcrobotEnv.step), Interrupted(team_course.prove)
    monkeypatch.setattr(AcrobotEnv, "step", lambda *arguments: steps(*arguments))
    monkeypatch.setattr(team_course, "prove", proofs)
    words = ["distill", "--tasks", "tasks.yaml", "--student", "mlp:8,8", *QUICK, "--max-episode-steps", "60", "--out"]
    try:
        assert main([*words, "whole"]) == 0
        assert proofs.n_calls == 2
        # In the second of two rollouts of the second task; then while that task is proven, and the first one is.
        steps.n_calls, steps.at = 0, 128 + 20
        assert main([*words, "cut"]) == 130
        assert "stopped at 128 of 256 steps; the checkpoint is written; go on with: " in capfd.readouterr().err
        proofs.n_calls, proofs.at = 0, 2
        assert main([*words, "cut", "--resume"]) == 130
        assert "stopped while episodes were run; the checkpoint is written; go on with: " in capfd.readouterr().err
        assert not (here / "cut" / "student.safetensors").exists()
        assert main([*words, "cut", "--resume"]) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    whole, cut = (contents(here / name) for name in ("whole", "cut"))
    for one in (whole, cut):
        for task in one["evaluation"]["tasks"].values():
            del task["wall_seconds"]
    assert cut == whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tasks: 3", "expected a list of two or more under tasks"),
        ("[1]", "expected a mapping with tasks:"),
        ("teachers: []", "found the unknown key 'teachers'; expected tasks"),
        ("tasks: [1, 2]", "task 1: expected a mapping such as"),
        ("tasks: [{env: CartPole-v1}]", "task 1: expected path (or teacher)"),
        (
            "tasks: [{path: cartpole.zip, environment: x}]",
            "task 1: found the unknown key 'environment'; expected teacher",
        ),
        ("tasks: [{path: nowhere.zip}]", "found nothing at nowhere.zip"),
        ("tasks: [{path: '*.zip'}]", "expected one agent, found 2 at *.zip"),
        ("tasks: [{path: cartpole.zip, combine: 3}]", "combine: expected a text such as mixture or best"),
        ("tasks: [{path: cartpole.zip, combine: best}, {path: acrobot.zip}]", "expected several teachers to combine"),
        ("tasks: [{path: cartpole.zip, single: 3}]", "single: expected the path of a student"),
        ("tasks: [{path: cartpole.zip, env: CartPole-v1}]", "expected from 2 to 100 tasks"),
        (
            "tasks: [{path: cartpole.zip, env: CartPole-v1, name: a}, {path: acrobot.zip, env: Acrobot-v1, name: a}]",
            "expected a name for each task, found a twice",
        ),
        ("tasks: [{path: cartpole.zip", "is not YAML"),
    ],
)
def test_a_file_that_is_not_as_expected_is_refused_in_one_line(here, capfd, text, words):
    (here / "tasks.yaml").write_text(text)
    assert main(["distill", "--tasks", "tasks.yaml", "--student", "mlp:8,8", *QUICK, "--out", "run"]) == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("policy-distill: ")]
    assert len(said) == 1 and words in said[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tasks", "tasks.yaml", "--teacher", "cartpole.zip"], "expected --teacher for each task in tasks.yaml"),
        (["--tasks", "tasks.yaml", "--combine", "mean"], "expected --combine for each task in tasks.yaml"),
        (["--tasks", "tasks.yaml", "--env", "CartPole-v1"], "expected --env for each task in tasks.yaml"),
        (["--tasks", "tasks.yaml", "--workers", "2"], "neither --log-gradients nor --workers"),
        (["--tasks", "tasks.yaml", "--task-blind"], "expected one observation_space in all tasks"),
        (["--teacher", "cartpole.zip", "--task-blind"], "expected --tasks beside --task-blind"),
        ([], "expected an agent's file after --teacher, found none"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_one_line(here, capfd, options, words):
    assert main(["distill", *options, "--student", "mlp:8,8", *QUICK, "--out", "run"]) == 2
    assert words in capfd.readouterr().err
