"""Something else than a file where one is expected: every command says so in one line, and does not wait for it."""

import os
import shutil

import pytest

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.student.runtime import Student, load_student
from policy_distill.teachers.load import load_teacher
from tests.doubles import cartpole_teacher
from tests.training.test_policy import make_policy

SIZE = 6 * 2**30


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    from stable_baselines3 import PPO

    folder = tmp_path_factory.mktemp("files")
    Student.of(make_policy(cartpole_teacher()).to_record({"env_id": "CartPole-v1"})).save(
        folder / "student.safetensors"
    )
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu", policy_kwargs={"net_arch": [4]}).save(
        folder / "agent.zip"
    )
    return folder


def sparse(start):
    def make(path):
        with path.open("wb") as file:
            file.write(start)
            file.truncate(SIZE)

    return make


PLACES = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "an empty device": lambda path: path.symlink_to("/dev/null"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("/nothing/here"),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
    "six gigabytes of blanks": sparse(b""),
    "six gigabytes under a student's header": sparse(b"\x02" + bytes(7) + b"{}"),
    "six gigabytes under a zip's header": sparse(b"PK\x03\x04"),
}
NAMES = {"student": "student.safetensors", "teacher": "agent.zip", "statistics": "vecnormalize.pkl"}
COMMANDS = [
    ("student", ["info", "{}"]),
    ("student", ["evaluate", "{}", "--env", "CartPole-v1"]),
    ("student", ["export", "{}", "--format", "numpy", "--out", "{}.out"]),
    ("student", ["bench", "{}"]),
    ("teacher", ["info", "{}"]),
    ("teacher", ["distill", "--teacher", "{}", "--env", "CartPole-v1", "--out", "{}.out"]),
    ("statistics", ["evaluate", "AGENT", "--env", "CartPole-v1", "--vecnormalize", "{}"]),
    ("statistics", ["evaluate", "AGENT", "--env", "CartPole-v1", "--trust", "--vecnormalize", "{}"]),
]


def refused(capfd, words):
    status = main([str(word) for word in words])
    said = capfd.readouterr()
    assert (status, said.out) == (2, ""), said.err
    assert len(said.err.splitlines()) == 1 and "Traceback" not in said.err, said.err


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("kind", "words"), COMMANDS, ids=lambda value: " ".join(value[:1]) if len(value) < 9 else value
)
def test_what_is_no_plain_file_is_refused(tmp_path, files, capfd, kind, words, place):
    path = tmp_path / NAMES[kind]
    PLACES[place](path)
    refused(capfd, [word.replace("AGENT", str(files / "agent.zip")).format(path) for word in words])


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000 + "a", "a\nb/c"], ids=["long", "very long", "line end"])
@pytest.mark.parametrize(
    ("kind", "words"), COMMANDS, ids=lambda value: " ".join(value[:1]) if len(value) < 9 else value
)
def test_a_name_that_no_file_can_have_is_refused(tmp_path, files, capfd, kind, words, name):
    path = tmp_path / f"{name}.safetensors"
    refused(capfd, [word.replace("AGENT", str(files / "agent.zip")).format(path) for word in words])


@pytest.mark.parametrize("place", ["a folder", "a pipe", "a link to nothing", "six gigabytes of blanks"])
@pytest.mark.parametrize("name", ["vecnormalize.pkl", "config.yml"])
def test_what_lies_beside_a_zip_is_not_passed_over(tmp_path, files, capfd, place, name):
    shutil.copy(files / "agent.zip", tmp_path)
    PLACES[place](tmp_path / name)
    refused(capfd, ["info", tmp_path / "agent.zip"])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "evaluation.json"])
def test_a_report_says_what_is_no_file(tmp_path, capfd, place, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"env_id": "X-v0"}')
    if name == "config.json":
        (tmp_path / "run" / name).unlink()
    PLACES[place](tmp_path / "run" / name)
    # What is not there yet is left out; a run without its settings is none.
    missing = place.startswith("a link") and name != "config.json"
    assert main(["report", str(tmp_path / "run")]) == (0 if missing else 2)
    said = capfd.readouterr().err
    assert "Traceback" not in said and (missing or len(said.splitlines()) == 1)


def test_trusted_statistics_that_cannot_be_unpickled_are_refused_in_one_line(tmp_path, files, capfd):
    (tmp_path / "v.pkl").write_bytes(b"\x80\x04K\x01Q.")
    words = ["evaluate", files / "agent.zip", "--env", "CartPole-v1", "--trust", "--vecnormalize", tmp_path / "v.pkl"]
    refused(capfd, words)


@pytest.mark.parametrize("name", ["a\0b", "a\0b.zip"])
def test_a_name_with_a_null_is_refused(tmp_path, name):
    with pytest.raises(RequestError):
        load_student(tmp_path / name)
    with pytest.raises(RequestError):
        load_teacher(tmp_path / name)
