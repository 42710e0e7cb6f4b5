import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from policy_distill.cli import main
from policy_distill.errors import RequestError, RunFault
from policy_distill.exporters import onnx as onnx_exporter
from policy_distill.exporters import quantize
from policy_distill.exporters.export import export
from policy_distill.exporters.quantized_training import train_through_quantizer
from policy_distill.exporters.table import FORMATS, load_exporter
from policy_distill.student.bits.quantization import compile_quantized, n_bytes, quantize_layer, quantize_plan
from policy_distill.student.engines.onnx_engine import open_session
from policy_distill.student.runtime import Student
from policy_distill.student.slim import slim
from policy_distill.training.shrinking import low_bit
from tests.doubles import cartpole_teacher
from tests.students import make_student, name_of, sample_observations
from tests.training.test_policy import make_policy

KINDS = [
    ("vector", "discrete", "mlp:16,8", "tanh"),
    ("vector", "squashed", "mlp:16,8", "relu"),
    ("far", "gaussian_head", "mlp:16", "tanh"),
    ("discrete", "multi_binary", "mlp:32", "tanh"),
    ("dict", "multi_discrete", "mlp:8,8", "tanh"),
    ("image_last", "gaussian", "cnn:4,4", "relu"),
    ("image_first", "offset", "mlp:8", "tanh"),
    ("vector", "discrete", "mlp:16,8", "tanh", "slim"),
    ("doubles", "multi_discrete", "mlp:8", "relu", "slim"),
    ("matrix", "gaussian_head", "mlp:16", "tanh", "slim"),
]


def test_a_layer_is_rounded_as_by_hand():
    layer = quantize_layer(
        np.array([[1.27, -0.5], [0.02, 0.01]], np.float32), np.array([1.0, 0.0], np.float32), -1.0, 1.55
    )
    assert layer.weight.tolist() == [[127, -50], [127, 64]]
    assert layer.input_step == pytest.approx(0.01)
    assert layer.input_zero == -28
    assert layer.output_step == pytest.approx([1e-4, 0.02 / 127 * 0.01])
    assert layer.quantize(np.array([-1.0, 0.0, 0.004, 0.006, 1.55, 9.0, -9.0], np.float32)).tolist() == [
        -128,
        -28,
        -28,
        -27,
        127,
        127,
        -128,
    ]
    # The bias takes off what the shift of the input adds.
    x = np.array([0.0, 0.0], np.float32)
    assert (layer.quantize(x) @ layer.weight.T) * layer.output_step + layer.bias == pytest.approx([1.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_the_eight_bit_network_stays_near_the_float_one(kind):
    student = make_student(kind)
    plan = student.plan
    obs = sample_observations(kind, 400)
    layers = quantize_plan(plan, plan.featurizer(obs))
    expected = student.network_outputs(obs)
    found = compile_quantized(plan, layers)(plan.featurizer(obs))
    assert np.abs(found - expected).std() <= 0.06 * expected.std()
    weights = sum(plan.tensors[layer["weight"]].size for layer in plan.layers if "weight" in layer)
    assert weights <= n_bytes(layers) <= weights + 12 * (plan.n_outputs + plan.featurizer.shape[0] + 64)


@pytest.mark.parametrize("name", ["onnx", "c"])
@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_eight_bit_artefacts_compute_what_numpy_computes(kind, name, tmp_path):
    found = export(make_student(kind), tmp_path / "policy", name, quantize="int8", n_states=256)
    assert found.parity.passed
    assert found.quantization["bytes"] < 0.75 * found.quantization["float_bytes"]
    assert found.quantization["agreement"] > 0.8
    assert found.quantization["return_kept"] is None


@pytest.mark.parametrize("method", ["int4", "ternary"])
@pytest.mark.parametrize("kind", [*KINDS[:2], KINDS[4]], ids=name_of)
def test_packed_weights_in_c_compute_what_numpy_computes(kind, method, tmp_path, monkeypatch):
    monkeypatch.setattr(low_bit, "STEPS", 300)
    found = export(make_student(kind), tmp_path / "policy", "c", quantize=method, n_states=256)
    assert found.parity.passed
    assert found.parity.agreement > 0.99
    eight = export(make_student(kind), tmp_path / "eight", "c", quantize="int8", n_states=256)
    assert found.quantization["bytes"] < eight.quantization["bytes"]
    assert found.facts["flash_bytes"] < eight.facts["flash_bytes"]
    assert found.quantization["agreement"] > 0.5


@pytest.mark.parametrize(("method", "data_type", "opset"), [("int4", 22, 21), ("ternary", 26, 25)])
@pytest.mark.parametrize("kind", [*KINDS[:2], KINDS[4]], ids=name_of)
def test_packed_weights_in_onnx_compute_what_numpy_computes(kind, method, data_type, opset, tmp_path, monkeypatch):
    monkeypatch.setattr(low_bit, "STEPS", 300)
    found = export(make_student(kind), tmp_path / "policy.onnx", "onnx", quantize=method, n_states=256)
    assert found.parity.passed
    assert found.parity.agreement > 0.99
    assert found.facts["opset"] == opset
    weights = [one for one in onnx_weights(tmp_path / "policy.onnx") if len(one.dims) > 1 and one.data_type != 1]
    # The first layer keeps eight bits.
    assert [one.data_type for one in weights] == [3, *[data_type] * (len(weights) - 1)]
    a_byte = {22: 2, 26: 4}[data_type]
    assert all(len(one.int32_data) * 4 <= 4 * -(-int(np.prod(one.dims)) // a_byte) for one in weights[1:])


def test_a_slim_student_is_packed_too(tmp_path, monkeypatch):
    monkeypatch.setattr(low_bit, "STEPS", 300)
    student = slim(make_student(("vector", "discrete", "mlp:16,8", "tanh")))
    found = export(student, tmp_path / "policy", "c", quantize="int4", n_states=256)
    assert found.parity.agreement > 0.99
    assert found.quantization["agreement"] > 0.8


def test_eight_bit_onnx_answers_alike_at_every_batch_size(tmp_path):
    student = make_student(("vector", "gaussian", "mlp:64,64", "tanh"))
    export(student, tmp_path / "policy.onnx", "onnx", quantize="int8", n_states=256)
    run = onnx_exporter.open_artefact(student, tmp_path / "policy.onnx")
    obs = sample_observations(("vector",), 100)
    whole = run(obs)
    assert np.allclose(np.concatenate([run(obs[i : i + 1]) for i in range(100)]), whole, atol=1e-6)
    assert np.allclose(np.concatenate([run(obs[i : i + 25]) for i in range(0, 100, 25)]), whole, atol=1e-6)
    weights = [one for one in onnx_weights(tmp_path / "policy.onnx") if one.data_type == 3 and len(one.dims) == 2]
    assert len(weights) == 3
    assert onnxruntime.get_device() == "CPU"
    assert open_session((tmp_path / "policy.onnx").read_bytes()).get_inputs()[0].shape == ["batch", 5]


def onnx_weights(path):
    import onnx

    return onnx.load(path).graph.initializer


@pytest.mark.parametrize("kind", KINDS[:3], ids=name_of)
def test_training_through_the_rounding_brings_a_network_nearer_to_what_it_should_compute(kind):
    """From weights that are off by a third, so that the gain is many times what one seed or one kernel decides."""
    for seed in range(3):
        plan, rng = make_student(kind, seed).plan, np.random.default_rng(seed)
        features = plan.featurizer(sample_observations(kind, 400, seed))
        spoilt = {
            name: array * rng.normal(1.0, 0.3, array.shape).astype(np.float32) for name, array in plan.tensors.items()
        }
        outputs = compile_quantized(plan, {})(features)

        def error(tensors, plan=plan, features=features, outputs=outputs):
            difference = compile_quantized(plan, quantize_plan(plan, features, tensors))(features) - outputs
            difference = difference[:, : plan.head.n_modes]
            # A constant added to all logits changes nothing.
            shift = difference.mean(axis=1, keepdims=True) if plan.is_choice else 0.0
            return (difference - shift).std()

        off = replace(plan, tensors=spoilt)
        assert error(train_through_quantizer(off, features, outputs, 300, seed)) < 0.7 * error(spoilt)


@pytest.mark.parametrize("seed", range(3))
def test_training_through_the_rounding_is_kept_only_where_it_agrees_better(seed, monkeypatch):
    monkeypatch.setattr(quantize, "TRAINING_STEPS", 100)
    student, obs = make_student(KINDS[0], seed), sample_observations(KINDS[0], 400, seed)
    features, expected = student.plan.featurizer(obs), student.predict(obs, deterministic=True)[0]
    differing = []
    for method in ("int8", "int8-trained"):
        outputs = compile_quantized(student.plan, quantize.quantize_student(student, obs, method, seed))(features)
        differing.append(int((student.plan.actions(outputs) != expected).sum()))
    assert differing[1] <= differing[0]


def test_what_eight_bits_cost_is_reported_with_an_interval(tmp_path, capfd):
    path = Student.of(make_policy(cartpole_teacher(), "mlp:8").to_record({"env_id": "CartPole-v1"})).save(
        tmp_path / "s.safetensors"
    )
    arguments = ["export", str(path), "--format", "c", "--quantize", "int8", "--states", "200", "--episodes", "5"]
    assert main([*arguments, "--out", str(tmp_path / "policy"), "--json"]) == 0
    loss = json.loads(capfd.readouterr().out)["quantization"]
    assert 0.5 < loss["agreement"] <= 1.0
    assert {"iqm", "ci95", "n_episodes", "float_return", "int8_return"} <= set(loss["return_kept"])
    assert loss["return_kept"]["n_episodes"] == 5
    assert loss["bytes"] < loss["float_bytes"]
    assert json.loads((tmp_path / "policy" / "policy.json").read_text())["quantization"] == loss
    assert main([*arguments, "--out", str(tmp_path / "other"), "--episodes", "0"]) == 0
    assert "agreement with the float student" in capfd.readouterr().out


def test_what_cannot_be_quantised_is_refused(tmp_path, monkeypatch):
    student = make_student(KINDS[0])
    with pytest.raises(RequestError, match="onnx, c"):
        export(student, tmp_path / "p", "numpy", quantize="int8")
    with pytest.raises(RequestError, match=r"int8, int8-trained, int4, ternary, .*found 'int3'"):
        export(student, tmp_path / "p", "c", quantize="int3")
    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], packs=False))
    with pytest.raises(RequestError, match="packed weights \\(c\\), found onnx; use --quantize int8"):
        export(student, tmp_path / "p", "onnx", quantize="ternary")


def test_an_eight_bit_artefact_that_computes_otherwise_leaves_no_file(tmp_path, monkeypatch):
    student = make_student(KINDS[1])
    exporter = load_exporter("c")
    write = exporter.write

    def spoiled(student, path, record, reference, layers):
        other = quantize_plan(make_student(KINDS[1], seed=9).plan, student.plan.featurizer(reference.obs))
        return write(student, path, record, reference, other)

    monkeypatch.setattr(exporter, "write", spoiled)
    with pytest.raises(RunFault, match="nothing was written"):
        export(student, tmp_path / "policy", "c", quantize="int8", n_states=64)
    assert not list(tmp_path.iterdir())
