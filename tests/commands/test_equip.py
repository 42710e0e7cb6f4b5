"""`equip` puts names, a rate and a monitor into a student's file."""

import json

import numpy as np
import pytest

from policy_distill import distill, load_student
from policy_distill.cli import main
from policy_distill.report.explain import words_for
from tests.doubles import cartpole_teacher

QUICK = {"timesteps": 256, "n_steps": 32, "n_envs": 2, "eval_episodes": 0, "n_epochs": 1}
OBS = np.array([0.01, 0.02, -0.03, 0.04], np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("equip") / "run"
    distill(cartpole_teacher(), "CartPole-v1", "mlp:8", out=out, **QUICK)
    return out


def test_a_file_gets_names_rate_and_monitor_and_acts_as_before(run, tmp_path, capsys):
    out = tmp_path / "equipped.safetensors"
    words = ["--observation-names", "p,v,a,w", "--action-names", "left,right", "--control-hz", "50", "--monitor"]
    assert main(["equip", str(run), *words, "--episodes", "150", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["observation_names"] == ["p", "v", "a", "w"] and said["monitor"]["held_out_episodes"] >= 99
    plain, student = load_student(run / "student.safetensors"), load_student(out)
    assert student.act({"w": 0.04, "a": -0.03, "v": 0.02, "p": 0.01}) == plain.act(OBS)
    assert student.name_action(student.act(OBS)) in ("left", "right")
    assert student.wiring.control_hz == 50.0 and student.novelty(OBS) > 0.0
    assert main(["info", str(out), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["control_hz"] == 50.0 and info["monitor"] == said["monitor"] and info["action_names"][1] == "right"
    # Rules are told by these names too.
    words = words_for(student)
    assert words.features == ["p", "v", "a", "w"] and words.actions == ("left", "right")
    # What is not given stays.
    again = tmp_path / "again.safetensors"
    assert main(["equip", str(out), "--control-hz", "20", "--out", str(again), "--json"]) == 0
    found = load_student(again)
    assert found.wiring.control_hz == 20.0 and found.wiring.actions == ("left", "right")
    assert found.novelty(OBS) == student.novelty(OBS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--observation-names", "a,b"], "expected 4 observation names"),
        (["--action-names", "a,b,c"], "expected 2 action names"),
        (["--action-names", "a,a"], "different"),
        (["--control-hz", "0"], "control rate above 0"),
        (["--monitor", "--episodes", "20"], "expected at least 150 episodes"),
        (["--monitor", "--env", "Pendulum-v1"], "Pendulum-v1"),
    ],
)
def test_what_does_not_fit_is_one_line_and_no_file(run, tmp_path, capsys, words, message):
    out = tmp_path / "new.safetensors"
    assert main(["equip", str(run), *words, "--out", str(out)]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1] and not out.exists()


def test_a_file_that_is_there_stays(run, tmp_path, capsys):
    out = tmp_path / "there"
    out.write_text("mine")
    assert main(["equip", str(run), "--out", str(out)]) == 2
    assert "add --overwrite" in capsys.readouterr().err and out.read_text() == "mine"
