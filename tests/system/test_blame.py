import json
import subprocess
import sys
import sysconfig

import gymnasium
import pytest
import torch

from policy_distill.cli import guarded, main
from policy_distill.compression.compress import compress
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError, RunFault
from policy_distill.evaluation.compare import compare
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.losses.table import LOSSES
from policy_distill.run.distill import distill
from policy_distill.student.runtime import Student
from policy_distill.system.blame import HOME, _is_foreign, blamed, culprit, described, owner_of
from policy_distill.training.learners import LEARNERS
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec
from policy_distill.training.trees.learner import TreeLearner
from tests.doubles import Corridor, corridor_teacher

QUICK = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 0}


class Broken(Corridor):
    """Cannot be made."""

    def __init__(self, how="raises", **arguments):
        super().__init__()
        if how == "leaves":
            sys.exit("no display")
        raise ZeroDivisionError("the motor is missing")


@pytest.fixture
def broken_id():
    gymnasium.register("Broken-v0", Broken)
    yield "Broken-v0"
    del gymnasium.registry["Broken-v0"]


def named():
    return Broken()


CALLS = {
    "evaluate": lambda env: evaluate(corridor_teacher(), env, 2),
    "compare": lambda env: compare(corridor_teacher(), corridor_teacher(), env, 2),
    "perturb": lambda env: compare(corridor_teacher(), corridor_teacher(), env, 2, perturb="sticky:0.1"),
    "distill": lambda env: distill(corridor_teacher(), env, "linear", **QUICK),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("env", ["id", "callable"])
def test_a_constructor_that_raises_is_named_with_its_place(call, env, broken_id, capsys):
    environment = broken_id if env == "id" else named
    assert guarded(lambda: CALLS[call](environment)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ZeroDivisionError: the motor is missing (test_blame.py:" in said
    assert "in __init__)" in said
    assert "report it" not in said


def test_a_constructor_that_leaves_the_process_is_named_too():
    with pytest.raises(RequestError, match=r"environment of <lambda> cannot be made: it called sys\.exit"):
        open_environments(lambda: Broken("leaves"), 1)


def test_the_command_line_says_it_in_one_line_and_shows_all_where_it_is_asked(broken_id, tmp_path, capfd, monkeypatch):
    env = Corridor()
    spec = StudentSpec.like(corridor_teacher(), "linear", "tanh", None, env.observation_space)
    student = Student.of(StudentPolicy(spec, torch.Generator()).to_record({"env_id": "X-v0", "env_wrappers": []}))
    path = student.save(tmp_path / "student.safetensors")
    assert main(["evaluate", str(path), "--env", broken_id]) == 2
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.setenv("POLICY_DISTILL_TRACEBACK", "1")
    assert main(["evaluate", str(path), "--env", broken_id]) == 2
    assert "Traceback" in capfd.readouterr().err


class Tracker:
    def log(self, metrics, step):
        raise KeyError("no such chart")


class Policy:
    observation_space = action_space = None

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return {}["key"], state


RUNS = {
    "a tracker": lambda: distill(corridor_teacher(), Corridor, "linear", tracker=Tracker(), **QUICK),
    "a policy": lambda: evaluate(Policy(), Corridor, 2),
}


@pytest.mark.parametrize("run", RUNS)
def test_other_peoples_code_that_fails_in_a_run_is_blamed_in_one_line(run, capsys):
    assert guarded(RUNS[run]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "code that the run called failed: KeyError" in said
    assert "test_blame.py" in said


def test_what_this_package_does_wrong_is_said_to_be_its_own(capsys):
    with pytest.raises(TypeError) as wrong:
        open_environments(Corridor, "two")
    assert culprit(wrong.value) is None
    assert guarded(lambda: open_environments(Corridor, "two")) == 1
    assert "this is a fault of policy-distill; please report it" in capsys.readouterr().err


def test_action_masks_that_fail_inside_are_not_said_to_be_missing():
    class Masked(Corridor):
        def action_masks(self):
            return self.not_there

    envs = open_environments(Masked, 1)
    envs.reset(0, 0)
    with pytest.raises(RunFault, match="AttributeError: 'Masked' object has no attribute 'not_there'"):
        envs.action_masks()
    with pytest.raises(RequestError, match="expected a method action_masks"):
        open_environments(Corridor, 1).action_masks()


def test_errors_of_this_package_pass_and_others_become_requests():
    for error in (RequestError("one"), RunFault("two")):
        with pytest.raises(type(error), match=str(error)), blamed("x", "y"):
            raise error
    with pytest.raises(RequestError, match=r"x: OSError: three \(test_blame.py:\d+, in test_.*\); y"), blamed("x", "y"):
        raise OSError("three")
    assert described(ValueError("never raised")) == "ValueError: never raised"


@pytest.mark.parametrize(
    ("path", "foreign"),
    [
        (f"{HOME}/loop.py", False),
        ("/home/me/my_env.py", True),
        ("/v/lib/python3.11/site-packages/highway_env/env.py", True),
        ("/v/lib/python3.11/site-packages/torch/nn/modules.py", False),
        ("<frozen importlib>", False),
        (f"{sysconfig.get_path('stdlib')}/json/decoder.py", False),
    ],
)
def test_whose_code_it_is_follows_from_where_it_lies(path, foreign):
    assert _is_foreign(path) is foreign


LOUD = """
import ctypes, sys
import gymnasium, numpy as np
class Loud(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def __init__(self):
        print("argv[0]=")
        ctypes.CDLL(None).puts(b"version = 4.1 Metal - 88")
        ctypes.CDLL(None).fflush(None)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        print("reset")
        return np.zeros(2, np.float32), {}
    def step(self, action):
        sys.__stdout__.write("step")
        return np.zeros(2, np.float32), 1.0, True, False, {}
gymnasium.register("Loud-v0", Loud)
from policy_distill.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def student(tmp_path):
    spec = StudentSpec.like(corridor_teacher(), "linear", "tanh", None, Corridor().observation_space)
    made = Student.of(StudentPolicy(spec, torch.Generator()).to_record({"env_id": "Loud-v0", "env_wrappers": []}))
    return made.save(tmp_path / "student.safetensors")


def test_what_environments_print_leaves_stdout_to_the_answer(student):
    command = [sys.executable, "-c", LOUD, "evaluate", str(student), "--env", "Loud-v0", "--episodes", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_episodes"] == 2
    assert done.stdout.count("\n") == 1
    for said in ("argv[0]=", "version = 4.1", "reset", "step"):
        assert said in done.stderr


def test_help_goes_to_stdout_and_a_reader_that_leaves_is_no_fault(student):
    help_text = subprocess.run([sys.executable, "-m", "policy_distill", "--help"], capture_output=True, text=True)
    assert help_text.returncode == 0
    assert "evaluate" in help_text.stdout
    command = f'"{sys.executable}" -m policy_distill info "{student}" --json | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.strip() == "0"
    assert "Traceback" not in done.stderr


class Wears:
    """A loss that fails after a while."""

    left = 3

    def __call__(self, batch, outputs):
        self.left -= 1
        if self.left < 0:
            raise LookupError("the table ends")
        return outputs.family.kl(batch.teacher_params, outputs.params)


class Refuses(TreeLearner):
    """A learner that cannot learn."""

    def learn(self, buffer, moment):
        return {"train/loss": buffer["size"]}


FAILING = {
    "a loss": (r"code of tests raised LookupError: the table ends \(test_blame.py:\d+, in __call__\)", "mlp:2"),
    "a learner": (r"code of tests raised TypeError: 'Buffer' object .*\(test_blame.py:\d+, in learn\)", "tree:2"),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_loss_or_a_learner_that_fails_while_it_learns_is_named_in_one_line(what, monkeypatch, capsys):
    said, student = FAILING[what]
    if what == "a loss":
        monkeypatch.setitem(LOSSES, "wears", Wears)
    else:
        monkeypatch.setitem(LEARNERS, "tree", Refuses)
    settings = {**QUICK, "loss": "wears" if what == "a loss" else "auto"}
    with pytest.raises(RunFault, match=rf"^the student cannot learn: {said}; fix it, or choose another") as fault:
        distill(corridor_teacher(), Corridor, student, **settings)
    assert isinstance(fault.value.__cause__, (LookupError, TypeError))
    assert guarded(lambda: distill(corridor_teacher(), Corridor, student, **settings)) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_loss_that_fails_ends_a_race_in_one_line_too(monkeypatch):
    monkeypatch.setitem(LOSSES, "wears", Wears)
    with pytest.raises(RunFault, match=r"^the student cannot learn: code of tests raised LookupError"):
        compress(
            corridor_teacher(), Corridor, students=["mlp:2", "tree:2"], loss="wears", **{**QUICK, "eval_episodes": 4}
        )


def test_what_fails_in_this_package_alone_stays_as_it_is():
    with pytest.raises(TypeError) as wrong:
        open_environments(Corridor, "two")
    assert owner_of(wrong.value) == "tests"
    wrong.value.__traceback__ = wrong.value.__traceback__.tb_next
    assert owner_of(wrong.value) is None
