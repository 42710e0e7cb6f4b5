import json
import pickle
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from policy_distill.commands.compress import export_command
from policy_distill.compression import few_bits
from policy_distill.compression.few_bits import METHODS, FewBits
from policy_distill.errors import RequestError
from policy_distill.exporters import quantize
from policy_distill.exporters.export import export
from policy_distill.exporters.layers_file import load_layers, save_layers
from policy_distill.student.bits.quantization import n_bytes
from policy_distill.student.file import read_sealed, write_sealed
from policy_distill.student.runtime import Student, load_student
from policy_distill.training.shrinking import low_bit
from tests.compression.test_resume import Falls, die_and_resume, found_in, run
from tests.students import make_student, sample_observations

NETWORKS = ["mlp:2", "mlp:4,4"]
KIND = ("unnormalized", "discrete", "mlp:16,8", "tanh")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(low_bit, "STEPS", 200)
    monkeypatch.setattr(quantize, "TRAINING_STEPS", 50)


def made(method="ternary"):
    """Return a student, the same in few bits, and observations."""
    student, obs = make_student(KIND), sample_observations(KIND, 256)
    return student, FewBits(student, quantize.quantize_student(student, obs, METHODS[method], 0), method), obs


@pytest.mark.parametrize("method", METHODS)
def test_a_student_of_few_bits_acts_by_their_arithmetic_also_one_at_a_time_and_once_pickled(method):
    student, small, obs = made(method)
    outputs = small.network_outputs(obs)
    assert not np.array_equal(outputs, student.network_outputs(obs))
    actions, _ = small.predict(obs, deterministic=True)
    assert np.array_equal(actions, small.plan.actions(outputs))
    assert [small.act(one) for one in obs] == actions.tolist()
    again = pickle.loads(pickle.dumps(small))
    assert np.array_equal(again.network_outputs(obs), outputs)
    assert again.method == method


def test_layers_come_back_from_their_file_as_they_were(tmp_path):
    _, small, obs = made()
    save_layers(tmp_path / "layers.safetensors", small.layers, "ternary")
    layers, method = load_layers(tmp_path / "layers.safetensors")
    assert method == "ternary"
    again = FewBits(Student(small.tensors, small.metadata), layers, method)
    assert np.array_equal(again.network_outputs(obs), small.network_outputs(obs))
    assert n_bytes(layers) == n_bytes(small.layers)


def test_what_is_no_file_of_these_layers_is_refused_in_one_line(tmp_path):
    student, small, _ = made()
    path, out = tmp_path / "layers.safetensors", tmp_path / "c"
    with pytest.raises(RequestError, match=r"layers\.safetensors"):
        export(student, out, "c", quantize=str(path))
    student.save(path)
    with pytest.raises(RequestError, match="expected layers of few bits"):
        export(student, out, "c", quantize=str(path))
    save_layers(path, small.layers, "ternary")
    tensors, record = read_sealed(path)
    kept = record["few_bits"]
    for lie in (None, [], {**kept, "places": 3}, {"places": kept["places"]}, {**kept, "places": {"x": {}}}):
        write_sealed(path, tensors, {"few_bits": lie})
        with pytest.raises(RequestError, match="expected layers of few bits"):
            load_layers(path)
    for name, array in tensors.items():
        for lie in (array[:1], array.astype(np.float64), np.full_like(array, 99 if array.dtype == np.int8 else np.nan)):
            write_sealed(path, {**tensors, name: lie}, {"few_bits": kept})
            if "weight" in name and lie.shape == array.shape and lie.dtype == np.int8 and name[0] == "0":
                # The first layer keeps eight bits.
                continue
            with pytest.raises(RequestError, match="expected layers of few bits"):
                load_layers(path)
    with pytest.raises(RequestError, match=r"--quantize int8, .*found 'int3'"):
        save_layers(path, small.layers, "int3")
        export(student, out, "c", quantize=str(path))
    save_layers(path, small.layers, "ternary")
    with pytest.raises(RequestError, match="those of another one"):
        export(make_student(("unnormalized", "squashed", "linear", "tanh")), out, "c", quantize=str(path))
    assert not out.exists()


def test_students_of_few_bits_compete_where_bytes_are_made_small(tmp_path):
    result = run(tmp_path / "run", students=NETWORKS, minimize="bytes")
    record = found_in(tmp_path / "run")["compression"]
    judged = {one["spec"]: one for one in [*record["front"], *record["beaten"]]}
    assert {f"mlp:2@{name}" for name in METHODS} <= set(judged)
    assert all(one["cost"] == one["n_bytes"] for one in judged.values())
    assert judged["mlp:2@ternary"]["n_bytes"] <= judged["mlp:2@int4"]["n_bytes"] <= judged["mlp:2@int8"]["n_bytes"]
    costs = [one["cost"] for one in record["front"]]
    assert costs == sorted(costs)
    assert record["winner"] in {one["spec"] for one in record["front"]}
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["student"]["n_bytes"] == judged[record["winner"]]["n_bytes"]
    for one in record["front"]:
        place = tmp_path / "run" / "students" / one["spec"]
        student = load_student(place / "student.safetensors")
        assert (place / "layers.safetensors").exists() == ("@" in one["spec"])
        if "@" not in one["spec"]:
            continue
        # The file claims nothing of its float student, and what was judged is what is exported.
        assert student.metadata["retention"] is None
        layers, method = load_layers(place / "layers.safetensors")
        assert method == one["spec"].partition("@")[2] == student.provenance["few_bits"]["method"]
        assert n_bytes(layers) == one["n_bytes"]
        found = export(student, tmp_path / one["spec"], "c", quantize=str(place / "layers.safetensors"), episodes=0)
        assert found.parity.passed
        assert found.quantization["bytes"] == one["n_bytes"]
    words = export_command(tmp_path / "run", result.record.winner)
    assert ("--quantize" in words) == ("@" in result.record.winner)


def test_what_is_no_smaller_than_its_float_student_does_not_compete(tmp_path):
    run(tmp_path / "run", students=["linear"], minimize="bytes", timesteps=512)
    record = found_in(tmp_path / "run")["compression"]
    # Five numbers in float; in eight bits the steps and scales alone take as much.
    assert {one["spec"] for one in [*record["front"], *record["beaten"]]} == {"linear"}


def test_elsewhere_there_are_none(tmp_path):
    run(tmp_path / "run", students=["mlp:2"], timesteps=512)
    record = found_in(tmp_path / "run")["compression"]
    assert not any("@" in one["spec"] for one in [*record["front"], *record["beaten"]])


def test_what_is_proven_is_the_arithmetic_of_few_bits(tmp_path, monkeypatch):
    # Layers that always choose the same action keep nothing, whatever their float student does.
    def spoilt(student, obs, method, seed):
        layers = plain(student, obs, method, seed)
        for one in layers.values():
            one.weight[:] = 0
        return layers

    plain = few_bits.quantize_student
    monkeypatch.setattr(few_bits, "quantize_student", spoilt)
    run(tmp_path / "run", students=["mlp:2"], minimize="bytes", timesteps=512)
    record = found_in(tmp_path / "run")["compression"]
    judged = {one["spec"]: one for one in [*record["front"], *record["beaten"]]}
    assert judged["mlp:2"]["chosen_by"]["share"] > 0.9
    assert all(judged[f"mlp:2@{name}"]["chosen_by"]["share"] < 0.1 for name in METHODS)
    assert record["winner"] == "mlp:2"


def test_a_compression_with_few_bits_resumes_bit_for_bit(tmp_path):
    whole, died = die_and_resume(tmp_path, Falls("@int4"), students=["mlp:2"], minimize="bytes")
    assert whole == died


def test_the_states_that_it_is_trained_on_are_counted_and_a_budget_that_is_used_up_ends_it(monkeypatch):
    sampled = []

    def sample(*_, **__):
        sampled.append(5000)
        return SimpleNamespace(n_steps=5000, obs=None)

    def refuse(*_):
        raise RequestError("no layers")

    monkeypatch.setattr(few_bits, "sample_states", sample)
    monkeypatch.setattr(few_bits, "quantize_student", refuse)

    class Counts:
        env_steps = 0

        @property
        def exhausted(self):
            return self.env_steps >= 10_000

    sight = SimpleNamespace(student=lambda student: student, seen=lambda obs: obs)
    watch = SimpleNamespace(timed=lambda stage: nullcontext())
    stream = SimpleNamespace(config=SimpleNamespace(seed=0), envs=None, masked=False, watch=watch, sight=sight)
    judge, enough = Counts(), SimpleNamespace(kept=SimpleNamespace(share=1.0), student=None)
    assert few_bits.in_few_bits([enough, enough], stream, judge, 0.95, lambda line: None) == []
    assert judge.env_steps == sum(sampled) == 10_000
