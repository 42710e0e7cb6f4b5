"""`compare --contexts` and `distill --contexts`, from words to files."""

import json

import gymnasium
import pytest

from policy_distill.cli import main
from tests.run.finetuning.doubles import student_of

CONTEXTS = "grid: {g: [8.0, 10.0, 12.0]}\nseen: {g: [10.0, 12.0]}\n"


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("teacher", 0), ("student", 1)):
        student_of(gymnasium.make("Pendulum-v1"), seed=seed).save(tmp_path / f"{name}.safetensors")
    (tmp_path / "contexts.yaml").write_text(CONTEXTS)
    return ["teacher.safetensors", "student.safetensors", "--env", "Pendulum-v1", "--episodes", "3"]


def test_every_context_is_played_and_the_gap_is_measured(made, tmp_path, capfd):
    assert main(["compare", *made, "--contexts", "contexts.yaml", "--json", "--out", "found"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert json.loads((tmp_path / "found" / "comparison.json").read_text()) == found
    contexts = found["contexts"]["contexts"]
    assert [(one["values"], one["seen"]) for one in contexts] == [
        ({"g": 8.0}, False),
        ({"g": 10.0}, True),
        ({"g": 12.0}, True),
    ]
    # The one of Gymnasium's own gravity is the environment as it is, on the same episodes.
    assert contexts[1]["student"] == pytest.approx(found["student"]["mean"])
    assert contexts[0]["student"] != contexts[1]["student"]
    assert set(found["contexts"]) == {"contexts", "teacher", "student", "difference"}
    assert main(["compare", *made, "--contexts", "contexts.yaml"]) == 0
    assert "gap, student less teacher" in capfd.readouterr().out


def test_states_are_collected_under_what_is_seen(made, tmp_path):
    quick = ["--timesteps", "512", "--eval-episodes", "2", "--select-episodes", "2", "--track", "disabled"]
    words = ["distill", "--teacher", made[0], "--env", "Pendulum-v1", "--contexts", "contexts.yaml", "--out", "run"]
    assert main([*words, *quick]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["collect_perturb"] == "env:g=10.0,env:g=12.0"


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("contexts: {seen: [{q: 1}], held_out: [{g: 3}]}", [], "the environment refuses q=1"),
        ("grid: {g: [1]}", [], "expected a mapping from names"),
        ("contexts: {seen: [{max_episode_steps: 1}], held_out: [{g: 3}]}", [], "gymnasium.make uses itself"),
        (CONTEXTS, ["--perturb", "delay:1"], "expected one of --perturb, --contexts and --until-certain"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(made, tmp_path, text, more, words, capfd):
    (tmp_path / "contexts.yaml").write_text(text)
    assert main(["compare", *made, "--contexts", "contexts.yaml", *more]) == 2
    said = capfd.readouterr().err.strip().splitlines()
    assert words in said[-1]
    assert said[-1].startswith("policy-distill: ")
