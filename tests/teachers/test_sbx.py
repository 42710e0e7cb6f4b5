"""Agents of SBX, whose weights are arrays of JAX, are read without JAX and without running anything."""

import base64
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from policy_distill import distill, load_teacher
from policy_distill.errors import RequestError

AGENTS = sorted((Path(__file__).parent / "sbx").glob("*.zip"))


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_an_agent_of_sbx_acts_as_sbx_says(path):
    known = np.load(path.with_suffix(".npz"))
    teacher = load_teacher(path, env=path.stem.partition("-")[2])
    actions, _ = teacher.predict(known["obs"], deterministic=True)
    assert np.allclose(actions, known["actions"], atol=1e-5)
    assert teacher.provenance["algorithm"] == path.stem.partition("-")[0]


def test_a_student_is_distilled_from_an_agent_of_sbx(tmp_path):
    path = next(path for path in AGENTS if path.stem == "sac-Pendulum-v1")
    result = distill(path, "Pendulum-v1", "mlp:8", timesteps=2_048, eval_episodes=0, out=tmp_path / "run")
    assert result.record.fidelity.kl < 1.0
    assert result.student.origin.algorithm == "sac"


def _changed(path, tmp_path, change):
    """Write a copy of an agent whose `data` is changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["data"])
    change(data)
    members["data"] = json.dumps(data).encode()
    with zipfile.ZipFile(tmp_path / "agent.zip", "w") as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return tmp_path / "agent.zip"


def _pickled(code):
    return base64.b64encode(code).decode()


def test_what_no_agent_of_sbx_names_stops_the_reading(tmp_path):
    def hostile(data):
        data["clip_range"] = {":type:": "x", ":serialized:": _pickled(b"cos\nsystem\n(S'true'\ntR.")}

    with pytest.raises(RequestError, match=r"os\.system"):
        load_teacher(_changed(AGENTS[0], tmp_path, hostile))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data["policy"].update({":serialized:": _pickled(b"N.")}), "holds no policy"),
        (lambda data: data["policy"].update({":serialized:": _pickled(b"csbx.x\nY\n)\x81}b.")}), "no parameters"),
        (lambda data: data.pop("policy_class"), "expected one of ppo"),
        (lambda data: data["policy_class"].update({":serialized:": _pickled(b"csbx.crossq.x\nY\n.")}), "SBX's crossq"),
    ],
)
def test_a_damaged_or_an_unknown_agent_of_sbx_is_refused_in_one_line(tmp_path, change, words):
    with pytest.raises(RequestError, match=words) as caught:
        load_teacher(_changed(AGENTS[1], tmp_path, change))
    assert "\n" not in str(caught.value)


def test_an_activation_that_torch_has_in_another_form_is_refused(tmp_path):
    def other(data):
        for entry in ("actor", "policy", "vf"):
            data[entry] = json.loads(json.dumps(data[entry]).replace("activation_fn = tanh", "activation_fn = gelu"))

    path = next(path for path in AGENTS if path.stem == "ppo-CartPole-v1")
    with pytest.raises(RequestError, match="found gelu"):
        load_teacher(_changed(path, tmp_path, other))


def test_an_agent_without_its_critic_is_refused(monkeypatch):
    from policy_distill.teachers.files import sbx

    reference, convert = sbx.KINDS["ppo"]
    without = (reference, lambda known, place: convert({**known, "vf_state": None}, place))
    monkeypatch.setitem(sbx.KINDS, "ppo", without)
    with pytest.raises(RequestError, match="no parameters"):
        load_teacher(next(path for path in AGENTS if path.stem == "ppo-CartPole-v1"))
