"""Artefacts of students that remember: they act as the student does, along whole episodes."""

import ctypes
import importlib.util
import subprocess

import numpy as np
import onnx
import pytest

from policy_distill.errors import RequestError, RunFault
from policy_distill.exporters import sequential
from policy_distill.exporters.c import load_compiled
from policy_distill.exporters.export import export
from policy_distill.exporters.parity import compare_actions, reference_for
from policy_distill.exporters.table import FORMATS
from policy_distill.student.runtime import Student
from tests.students import MEMORY_KINDS, make_student, name_of, sample_observations

GRU = ("vector", "discrete", "gru:16", "tanh")
POINTER = ctypes.c_void_p
ABLE = [name for name, one in FORMATS.items() if one.memory]


@pytest.mark.parametrize("kind", MEMORY_KINDS, ids=name_of)
@pytest.mark.parametrize("format", ABLE)
def test_an_artefact_acts_as_its_student_along_whole_episodes(kind, format, tmp_path):
    result = export(make_student(kind), tmp_path / "artefact", format, n_states=150)
    assert result.parity.passed and result.parity.n_visited == 150


@pytest.mark.parametrize("format", ["onnx", "c"])
def test_action_masks_rule_out_what_a_student_that_remembers_would_choose(format, tmp_path):
    student = make_student(GRU)
    masked = Student(student.tensors, {**student.metadata, "takes_action_masks": True})
    assert export(masked, tmp_path / "artefact", format, n_states=100).parity.masked_agreement == 1.0


def test_an_artefact_that_forgets_is_found_out(tmp_path, monkeypatch):
    def forgetful(step, n_remembered, obs, action_masks, episode_starts):
        return sequential.act_along(step, n_remembered, obs, action_masks, np.ones(len(obs), bool))

    monkeypatch.setattr("policy_distill.exporters.onnx.act_along", forgetful)
    with pytest.raises(RunFault, match="acts differently"):
        export(make_student(GRU), tmp_path / "student.onnx", "onnx", n_states=200)
    assert not (tmp_path / "student.onnx").exists()


def test_the_states_are_in_order_and_the_hostile_ones_begin_episodes():
    student = make_student(GRU)
    reference, source = reference_for(student, None, 130, 0)
    assert source == "sampled" and np.flatnonzero(reference.starts[:130]).tolist() == [0, 64, 128]
    assert reference.starts[130:].all()
    shifted = np.roll(reference.actions, 1)
    assert not compare_actions(student.record, reference, shifted, source).passed


def test_onnx_names_what_is_remembered_before_and_after(tmp_path):
    export(make_student(GRU), tmp_path / "student.onnx", "onnx", n_states=50)
    graph = onnx.load(tmp_path / "student.onnx").graph
    assert [one.name for one in graph.input] == ["obs", "h_in"]
    assert [one.name for one in graph.output] == ["action", "logits", "h_out"]


def test_c_remembers_without_allocating_and_forgets_when_it_is_reset(tmp_path):
    student, obs = make_student(GRU), sample_observations(GRU, 40)
    export(student, tmp_path / "policy", "c", n_states=50)
    source = (tmp_path / "policy" / "policy.c").read_text()
    assert "alloc" not in source and "static float memory[21]" in source
    library, action = load_compiled(tmp_path / "policy"), np.zeros(1, np.int32)
    for _ in range(2):
        library.policy_reset()
        student.reset()
        for one in obs:
            library.policy_act(one.ctypes.data_as(POINTER), action.ctypes.data_as(POINTER))
            assert action[0] == student.act(one)


def test_the_self_test_in_c_runs_episodes_and_notices_a_policy_that_forgets(tmp_path):
    export(make_student(("vector", "gaussian", "gru:16", "tanh")), tmp_path / "policy", "c", n_states=100)
    folder, source = tmp_path / "policy", (tmp_path / "policy" / "policy.c")

    def run():
        files = [str(folder / name) for name in ("policy.c", "policy_test.c")]
        subprocess.run(["cc", "-std=c99", *files, "-o", str(folder / "t")], check=True)
        return subprocess.run([str(folder / "t")], capture_output=True, check=False).returncode

    assert run() == 0
    source.write_text(
        source.read_text().replace("gru_step(b, (memory + 5), 16);", "gru_step(b, (memory + 5), 16); policy_reset();")
    )
    assert run() != 0


def test_the_numpy_folder_remembers_and_resets(tmp_path):
    student, obs = make_student(GRU), sample_observations(GRU, 20)
    export(student, tmp_path / "policy", "numpy", n_states=50)
    spec = importlib.util.spec_from_file_location("remembering_policy", tmp_path / "policy" / "policy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    policy = module.Policy()
    for _ in range(2):
        policy.reset()
        student.reset()
        assert [policy.act(one) for one in obs] == [student.act(one) for one in obs]


@pytest.mark.parametrize(
    ("format", "options", "words"),
    [
        ("sb3", {}, "expected a format for a student with a memory"),
        ("onnx", {"quantize": "int8"}, "without a memory for few bits, found gru:16"),
        ("c", {"quantize": "int4"}, "without a memory for few bits, found gru:16"),
    ],
)
def test_what_has_no_form_for_a_memory_says_so_in_one_line(format, options, words, tmp_path):
    with pytest.raises(RequestError, match=words) as caught:
        export(make_student(GRU), tmp_path / "artefact", format, **options)
    assert "\n" not in str(caught.value)


def test_there_is_no_ppo_of_a_student_that_remembers():
    with pytest.raises(RequestError, match="expected a feed-forward student for PPO, found gru:16"):
        make_student(GRU).to_sb3(None)
