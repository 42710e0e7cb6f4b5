"""`policy-distill compress`: what it prints, where, and with which exit status."""

import json

import pytest
import torch
from stable_baselines3 import PPO

from policy_distill.cli import _parse, main
from policy_distill.commands.compress import Compress, export_command, summary
from policy_distill.commands.distill import Distill
from policy_distill.config import DistillConfig
from policy_distill.report.read_run import read_run
from policy_distill.system.interrupts import Interrupted
from tests.run_folders import write_compression

SMALL = [
    *("--timesteps", "512", "--n-steps", "32", "--eval-episodes", "5", "--max-episode-steps", "30"),
    *("--students", "linear", "mlp:1", "--track", "disabled"),
]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The command for a teacher that learnt nothing, without --out."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.zip"
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu", policy_kwargs={"net_arch": [8]})
    # Always to the left: less than a random policy, whatever the weights of the others are.
    model.policy.action_net.weight.data.zero_()
    model.policy.action_net.bias.data.copy_(torch.tensor([1.0, 0.0]))
    model.save(path)
    return ["compress", "--teacher", str(path), "--env", "CartPole-v1", *SMALL]


@pytest.fixture(scope="module")
def run(words, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main([*words, "--out", str(out)]) == 0
    return out


def test_json_is_the_record_alone_and_a_finished_run_can_be_resumed(words, run, capfd):
    assert main([*words, "--out", str(run), "--resume", "--json"]) == 0
    said = capfd.readouterr()
    assert said.out.count("\n") == 1
    assert json.loads(said.out) == json.loads((run / "compression.json").read_text())
    assert "parameters keep" not in said.err


def test_without_a_terminal_there_are_plain_lines_and_then_the_front(words, tmp_path, capfd):
    out = tmp_path / "run"
    assert main([*words, "--out", str(out)]) == 0
    said = capfd.readouterr()
    lines = said.err.splitlines()
    assert any("parameters, and the teacher gains nothing" in line for line in lines)
    assert not set("━┃\x1b") & set(said.err)
    for shown in ("student", "MACs", "smaller than the teacher", "for choosing", export_command(out)):
        assert shown in said.out
    # A teacher that learnt nothing has no gain to keep, and few episodes would not tell: no claim, and what would help.
    record = json.loads((out / "compression.json").read_text())
    assert not record["proven"]
    assert "best student" in said.out and record["advice"] in said.out
    assert "winner" not in said.out
    assert main([*words, "--out", str(out)]) == 2
    assert "add --resume or --overwrite" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--minimize", "weight"], "expected --minimize among params, bytes, macs, flash, latency, found 'weight'"),
        (["--max-params", "1"], "raise the limits, or name others with --students"),
        (["--retention", "2"], "retention"),
        (["--resume", "--overwrite"], "found both"),
        (["--track", "lime"], "expected to track by one of"),
    ],
)
def test_a_wrong_request_is_one_line_and_2(words, tmp_path, capfd, options, said):
    assert main([*words, "--out", str(tmp_path / "run"), *options]) == 2
    err = capfd.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("kept", [True, False])
def test_an_interruption_is_130_and_says_how_to_go_on(words, tmp_path, monkeypatch, capfd, kept):
    def interrupted(*arguments, **options):
        raise Interrupted("stopped at 64 of 512 steps; the checkpoint is written", saved=kept)

    monkeypatch.setattr("policy_distill.compression.compress.compress", interrupted)
    monkeypatch.setattr("sys.argv", ["policy-distill", *words, "--out", str(tmp_path / "run"), "--overwrite"])
    assert main() == 130
    said = capfd.readouterr().err
    assert ("--resume" in said) == kept
    assert "--overwrite" not in said


def test_the_command_is_made_of_its_words():
    made = _parse(
        [
            *(
                "compress",
                "--teacher",
                "t.zip",
                "--out",
                "run",
                "--retention",
                "0.9",
                "--students",
                "linear",
                "mlp:8,8",
            ),
            *(
                "--minimize",
                "macs",
                "--budget",
                "9000",
                "--max-bytes",
                "64",
                "--keep-std",
                "--seed",
                "3",
                "--tags",
                "a",
            ),
        ]
    )
    assert isinstance(made, Compress)
    assert (made.retention, made.students, made.minimize) == (0.9, ("linear", "mlp:8,8"), "macs")
    assert (made.budget, made.max_params, made.max_bytes, made.keep_std) == (9000, None, 64, True)
    assert (made.config, made.tags) == (DistillConfig(seed=3), ("a",))


def test_the_help_teaches_with_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["compress", "--help"])
    text = capsys.readouterr().out
    assert "policy-distill compress --teacher LunarLander-v2.zip" in text
    assert "--retention" in text and "--wrapper" in text


def test_what_both_commands_ask_for_is_said_once():
    shared = set(Distill.__annotations__) & set(Compress.__annotations__)
    assert shared == {"json", "staff"}, "each prints an object of its own, and takes on workers when it pays"


def test_the_end_names_the_winner_what_it_is_smaller_by_and_what_is_next(tmp_path):
    run = read_run(write_compression(tmp_path / "run"))
    text = summary(run.compression, run.evaluation, run.path)
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert "winner" in rows["winner"]
    assert "mlp:2: proven to keep 95.0% of the teacher's gain" in rows["winner"]
    assert "proven (winner)" in rows["mlp:2"]
    assert "untested" in rows["mlp:3"] and "no proof" in rows["mlp:3"]
    assert "185 x in parameters (5,000 to 27), 185 x in bytes (20,000 to 108)" in text
    assert "50,000: 30,000 collected, 20,000 for choosing" in text
    assert text.endswith(export_command(run.path))
    assert _parse(export_command(run.path).split()[1:]).format == "c"


def test_an_unproven_end_claims_nothing(tmp_path):
    run = read_run(write_compression(tmp_path / "run", proven=False))
    text = summary(run.compression, run.evaluation, run.path)
    assert "mlp:2: not proven to keep 95.0% of the teacher's gain (undecided)" in text
    assert "give the proof more --eval-episodes" in text
    assert "(winner)" not in text
