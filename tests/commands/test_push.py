"""A proven student is pushed to a hub with its proof, and comes back from there; whatever fails leaves nothing."""

import json
import shutil
import sys

import numpy as np
import pytest
import yaml

from policy_distill import distill, load_student, load_teacher
from policy_distill.cli import main
from policy_distill.report.hub.package import read_package
from tests.hub_server import hub_in_use

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
REPO = "me/cartpole-student"


@pytest.fixture(scope="module")
def run(tmp_path_factory, zoo):
    """A run with a proof."""
    out = tmp_path_factory.mktemp("push") / "run"
    teacher = load_teacher(zoo / "qrdqn-CartPole-v1")
    distill(teacher, "CartPole-v1", "mlp:8", timesteps=8_000, out=out, track="disabled")
    return out


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_in_use(monkeypatch, tmp_path / "cache") as hub:
        hub.token = "secret"
        monkeypatch.setenv("MY_TOKEN", "secret")
        yield hub


def push(*arguments):
    return main(["push", *map(str, arguments), "--token-env", "MY_TOKEN"])


def test_a_run_is_pushed_with_all_that_a_reader_wants_and_comes_back(hub, run, capsys):
    assert push(run, REPO, "--onnx", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    names = ["README.md", "config.json", "evaluation.json", "replay.mp4", "report.html", "student.onnx"]
    assert sorted(hub.repositories[REPO].files) == said["files"] == [*names, "student.safetensors"]
    assert said["commit"] == hub.repositories[REPO].commit
    found, sent = load_student(f"hf://{REPO}"), load_student(run / "student.safetensors")
    assert all(np.array_equal(found.tensors[name], tensor) for name, tensor in sent.tensors.items())


def test_the_card_says_what_was_proven_in_the_words_of_the_hub_and_for_people(hub, run):
    assert push(run, REPO, "--no-video", "--licence", "apache-2.0") == 0
    card = hub.repositories[REPO].files["README.md"].decode()
    _, settings, page = card.split("---\n", 2)
    settings = yaml.safe_load(settings)
    assert settings["library_name"] == "policy-distill" and settings["license"] == "apache-2.0"
    record = json.loads((run / "evaluation.json").read_text())
    metrics = {one["type"]: one["value"] for one in settings["model-index"][0]["results"][0]["metrics"]}
    student = record["student"]
    assert metrics["mean_reward"] == f"{student['mean']:.2f} +/- {student['std']:.2f}"
    assert metrics["retention"].startswith(f"{record['retention']['mean']:.3f}, at least")
    assert f'load_student("hf://{REPO}")' in page and "non-inferior" in page and "µs" in page


def test_the_base_model_is_the_repository_of_the_teacher(hub, tmp_path, zoo, monkeypatch):
    from tests.hub_server import Repository

    zipped = (zoo / "qrdqn-CartPole-v1" / "CartPole-v1.zip").read_bytes()
    hub.repositories["sb3/qrdqn-CartPole-v1"] = Repository({"qrdqn-CartPole-v1.zip": zipped})
    run = tmp_path / "run"
    distill("hf://sb3/qrdqn-CartPole-v1", "CartPole-v1", "linear", timesteps=1_024, eval_episodes=0, out=run)
    assert push(run, REPO, "--no-video", "--unproven") == 0
    card = hub.repositories[REPO].files["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["base_model"] == "sb3/qrdqn-CartPole-v1"
    assert "not proven" in card


def test_what_has_no_proof_is_refused_unless_that_is_asked_for(hub, run, tmp_path, capsys):
    distill(
        load_student(run / "student.safetensors"),
        "CartPole-v1",
        "linear",
        timesteps=512,
        eval_episodes=0,
        out=tmp_path / "un",
    )
    assert push(tmp_path / "un", REPO) == 2
    assert "--unproven" in capsys.readouterr().err
    assert not hub.repositories


def test_a_record_beside_a_student_that_is_of_another_one_does_not_go_along(run, tmp_path):
    shutil.copy(run / "student.safetensors", tmp_path)
    record = json.loads((run / "evaluation.json").read_text())
    record["retention"]["mean"] = 2.0
    (tmp_path / "evaluation.json").write_text(json.dumps(record))
    package = read_package(tmp_path / "student.safetensors")
    assert package.beside == () and package.record.retention.mean != 2.0
    assert package.verdict.outcome == "non-inferior"


@pytest.mark.parametrize(("status", "code"), [(500, 1), (403, 2), (429, 1)])
def test_a_refusal_is_one_line_and_nothing_is_uploaded(hub, run, capsys, status, code):
    hub.status = status
    assert push(run, REPO, "--no-video") == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not hub.repositories and not hub.stored


def test_a_hub_that_takes_no_large_file_leaves_no_half_of_a_commit(hub, run, capsys):
    hub.full = True
    assert push(run, REPO, "--no-video") == 1
    assert "hf://me/cartpole-student" in capsys.readouterr().err
    assert hub.repositories[REPO].files == {}


def test_a_wrong_token_is_refused_and_never_shown(hub, run, capsys, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "hf_wrong")
    assert push(run, REPO, "--no-video") == 2
    said = capsys.readouterr().err
    assert "HF_TOKEN" in said and "hf_wrong" not in said


@pytest.mark.parametrize("repo", ["alone", "a/b/c", "hf://a/b", "a/b@main", "../x"])
def test_a_name_that_is_no_repository_is_refused(hub, run, capsys, repo):
    for more in ([], ["--dry-run"]):
        assert push(run, repo, "--no-video", *more) == 2
        assert "expected" in capsys.readouterr().err
    assert not hub.requests


def test_without_the_hub_s_library_push_names_the_extra_in_one_line(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert push(run, REPO, "--no-video") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].endswith("pip install 'policy-distill[hub]'") and len(said) == 1


def test_a_dry_run_shows_the_card_and_asks_the_hub_nothing(hub, run, capsys):
    assert push(run, REPO, "--no-video", "--dry-run") == 0
    said = capsys.readouterr().out.splitlines()
    assert "library_name: policy-distill" in said, "the card has its lines"
    assert said[0].startswith("would be uploaded  README.md")
    assert not hub.requests
