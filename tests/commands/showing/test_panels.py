"""The help shows a command's options in panels, and the command that is made of them is the same."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from policy_distill.cli import _parse, main
from policy_distill.commands.showing.panels import PANEL_OF, PANELS, with_panels
from policy_distill.commands.table import COMMANDS, find_command, outline
from policy_distill.config import DistillConfig
from policy_distill.networks.table import KINDS, TREES


def help_of(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return capsys.readouterr().out


def panels_of(text):
    """Return the flags that each panel shows."""
    # The frames are lines where the output has a character for them, else blanks.
    parts = re.split(r"^[^\w\n]*([\w ]+) options[^\w\n]*$", text, flags=re.MULTILINE)
    return {
        title: set(re.findall(r"^\W{0,4}(--[\w-]+)", part, flags=re.MULTILINE))
        for title, part in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_the_options_of_distil_stand_in_seven_panels(capsys, monkeypatch):
    shown = panels_of(help_of("distill", capsys, monkeypatch))
    assert list(shown) == list(PANELS)
    for panel, flag in (
        ("teacher", "--vecnormalize"),
        ("environment", "--env-kwargs"),
        ("environment", "--gym-packages"),
        ("student", "--student"),
        ("training", "--learning-rate"),
        ("proof", "--eval-episodes"),
        ("tracking", "--track"),
        ("run folder", "--resume"),
    ):
        assert flag in shown[panel]


@pytest.mark.parametrize("command", ["train", "distill", "evaluate", "compare", "export", "bench"])
def test_every_command_that_makes_an_environment_takes_its_arguments_and_packages(command, capsys, monkeypatch):
    shown = panels_of(help_of(command, capsys, monkeypatch))["environment"]
    assert {"--env", "--env-kwargs", "--gym-packages"} <= shown


def test_the_help_of_the_student_names_every_kind(capsys, monkeypatch):
    text = " ".join(help_of("distill", capsys, monkeypatch).replace("│", " ").split())
    described = text.partition("--student STR")[2].partition("--activation")[0]
    assert all(kind in described for kind in (*KINDS, *TREES))


def test_every_setting_has_its_panel_and_its_help(capsys, monkeypatch):
    text = help_of("distill", capsys, monkeypatch)
    for field in dataclasses.fields(DistillConfig):
        assert PANEL_OF[field.name] in PANELS
        assert re.search(rf"--{field.name.replace('_', '-')}[ ,]", text)
    assert "Adam's step size at the start" in text


def test_a_command_is_made_of_its_panels(tmp_path):
    words = ["--teacher", "t.zip", "--out", "run", "--seed", "3", "--env-kwargs", "gravity:-5", "wind:True"]
    made = _parse(["distill", *words, "--observation-keys", "a", "b", "--trust", "--max-grad-norm", "2"])
    assert type(made) is find_command("distill")
    assert (made.teacher, made.out, made.trust) == ((Path("t.zip"),), Path("run"), True)
    assert made.env_kwargs == ("gravity:-5", "wind:True")
    assert made.config == DistillConfig(seed=3, observation_keys=("a", "b"), max_grad_norm=2.0)
    compared = _parse(["compare", "t.zip", "a.safetensors", "b.safetensors", "--tags", "x", "--n-envs", "1"])
    assert compared.student == (Path("a.safetensors"), Path("b.safetensors"))
    assert (compared.tracking.tags, compared.n_envs) == (("x",), 1)


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_those_of_the_command(name):
    command = find_command(name)
    required = {
        field.name: field.name for field in dataclasses.fields(command) if field.default is field.default_factory
    }
    form = with_panels(command)
    assert form.__doc__ == command.__doc__
    if not required:
        assert form().make() == command()


def test_a_setting_out_of_range_is_refused_in_one_line(capsys):
    assert main(["distill", "--teacher", "t.zip", "--out", "run", "--n-steps", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_a_list_of_commands_says_what_each_says_itself(name):
    command, shown = find_command(name), outline(name)
    assert (shown.__name__, shown.__doc__) == (command.__name__, inspect.getdoc(command))
