"""Graphs for hosts beside ONNX Runtime: an older opset, inputs of floats, and the runtimes that are installed."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.exporters.export import export
from policy_distill.exporters.parity import TIE, TOLERANCE, action_span, make_reference
from policy_distill.student.engines.onnx_graph import feed
from tests.students import KINDS, MEMORY_KINDS, make_student, name_of, sample_observations

UNITY = 15
VECTOR = ("vector", "discrete", "mlp:16,8", "tanh")
DOUBLES = ("doubles", "gaussian", "mlp:64,64", "relu")
IN_BROWSERS = [
    VECTOR,
    DOUBLES,
    ("dict", "squashed", "mlp:8,8", "tanh"),
    ("image_last", "multi_discrete", "cnn:4", "tanh"),
    ("vector", "multi_binary", "mlp:16,8", "tanh"),
    ("unnormalized", "discrete", "tree:16", "tanh"),
    ("vector", "discrete", "gru:16", "tanh"),
]


def graph_of(kind, folder, **settings):
    """Return a student, its graph's inputs for a batch as the graph names them, and what the student does."""
    student, obs = make_student(kind), sample_observations(kind, 64)
    export(student, folder / "student.onnx", "onnx", n_states=32, **settings)
    model = onnx.load(folder / "student.onnx")
    double = any(one.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE for one in model.graph.input)
    given = feed(student.plan, obs, single=not double)
    if student.plan.memory.size:
        given["h_in"] = np.zeros((64, student.plan.memory.size), np.float32)
    return student, model, {one.name: given[one.name] for one in model.graph.input}, obs


def same_actions(student, obs, actions):
    expected = student.predict(obs, deterministic=True)[0]
    if expected.dtype.kind == "i":
        margins = make_reference(
            student, obs, len(expected), np.ones(64, bool) if student.plan.memory.size else None
        ).margins
        differs = (expected != actions).reshape(len(expected), -1).any(axis=1)
        return not (differs & (margins > TIE)).any()
    difference = np.abs(actions.reshape(len(expected), -1) - expected.reshape(len(expected), -1))
    return bool((difference / action_span(student.record, expected) <= TOLERANCE).all())


@pytest.mark.parametrize("kind", [*KINDS, *MEMORY_KINDS], ids=name_of)
def test_every_student_as_opset_15_acts_as_the_student_and_runs_in_tract(kind, tmp_path):
    student, model, given, obs = graph_of(kind, tmp_path, opset=UNITY)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", UNITY)]
    tract = pytest.importorskip("tract")
    found = tract.onnx().load(str(tmp_path / "student.onnx")).into_model().into_runnable().run([*given.values()])
    action = found[0].to_numpy()
    expected = student.predict(obs, deterministic=True)[0]
    assert action.shape == expected.shape and action.dtype == expected.dtype
    assert same_actions(student, obs, action)


@pytest.mark.parametrize("opset", [13, 25])
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_the_oldest_and_the_newest_opset_are_checked_as_any(opset, quantize, tmp_path):
    found = export(make_student(DOUBLES), tmp_path / "a.onnx", "onnx", n_states=64, opset=opset, quantize=quantize)
    assert found.facts["opset"] == opset and found.parity.passed


def test_without_one_the_opset_stays_what_it_was(tmp_path):
    assert export(make_student(VECTOR), tmp_path / "a.onnx", "onnx", n_states=16).facts["opset"] == 17


@pytest.mark.parametrize(
    ("settings", "format", "told"),
    [
        ({"opset": 12}, "onnx", "expected an opset from 13 to 25, found 12"),
        ({"opset": 99}, "onnx", "expected an opset from 13 to 25, found 99"),
        ({"opset": 15}, "c", "expected an opset for onnx only, found one for c"),
        ({"opset": 15, "quantize": "int4"}, "onnx", "expected an opset of 21 or later for weights of 4 bits, found 15"),
    ],
)
def test_an_opset_that_cannot_be_had_is_refused_in_one_line(settings, format, told, tmp_path):
    with pytest.raises(RequestError, match=told) as found:
        export(make_student(VECTOR), tmp_path / "policy", format, n_states=64, episodes=0, **settings)
    assert "\n" not in str(found.value) and not list(tmp_path.iterdir())


def test_the_command_takes_an_opset_and_floats(tmp_path, capsys):
    path = make_student(DOUBLES).save(tmp_path / "student.safetensors")
    words = ["export", str(path), "--format", "onnx", "--states", "32", "--json", "--out"]
    assert main([*words, str(tmp_path / "a.onnx"), "--opset", "15", "--float"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["opset"], found["input_dtypes"]) == (15, ["float32"])
    # Far from zero floats lose digits: by itself the graph takes doubles, and with --float the comparison says so.
    far = make_student(("far", "squashed", "mlp:8", "tanh")).save(tmp_path / "far.safetensors")
    far_words = ["export", str(far), *words[2:]]
    assert main([*far_words, str(tmp_path / "b.onnx")]) == 0
    assert json.loads(capsys.readouterr().out)["input_dtypes"] == ["float64"]
    assert main([*far_words, str(tmp_path / "c.onnx"), "--float"]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "d.onnx"), "--float", "--input-dtype", "float64"]) == 2
    assert "expected --float or --input-dtype float64, found both" in capsys.readouterr().err


def web_runtime():
    """Return the folder that Node finds onnxruntime-web in; None where it is not installed."""
    places = [os.environ.get("NODE_MODULES", "")]
    if shutil.which("npm"):
        places.append(subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=False).stdout.strip())
    return next((place for place in places if place and (Path(place) / "onnxruntime-web").is_dir()), None)


RUN = """
const ort = require("onnxruntime-web"), fs = require("fs");
const ARRAYS = {float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int16: Int16Array,
                int64: BigInt64Array};
(async () => {
  const found = [];
  for (const {model, inputs} of JSON.parse(fs.readFileSync("tried.json"))) {
    const session = await ort.InferenceSession.create(model);
    const feeds = {};
    for (const [name, {dtype, shape, values}] of Object.entries(inputs)) {
      const array = ARRAYS[dtype].from(dtype === "int64" ? values.map(BigInt) : values);
      feeds[name] = new ort.Tensor(dtype, array, shape);
    }
    found.push(Array.from((await session.run(feeds)).action.data, Number));
  }
  console.log(JSON.stringify(found));
})();
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="no node here")
def test_onnxruntime_web_acts_as_the_students(tmp_path):
    place = web_runtime()
    if place is None:
        pytest.skip("no onnxruntime-web here: npm install it, and set NODE_MODULES to the folder that has it")
    tried, students = [], []
    for number, kind in enumerate(IN_BROWSERS):
        folder = tmp_path / str(number)
        folder.mkdir()
        student, _, given, obs = graph_of(kind, folder, opset=UNITY)
        inputs = {
            name: {"dtype": array.dtype.name, "shape": array.shape, "values": array.ravel().tolist()}
            for name, array in given.items()
        }
        tried.append({"model": str(folder / "student.onnx"), "inputs": inputs})
        students.append((student, obs))
    (tmp_path / "tried.json").write_text(json.dumps(tried))
    (tmp_path / "run.js").write_text(RUN)
    env = {**os.environ, "NODE_PATH": place}
    done = subprocess.run(["node", "run.js"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for (student, obs), actions in zip(students, json.loads(done.stdout), strict=True):
        expected = student.predict(obs, deterministic=True)[0]
        assert same_actions(student, obs, np.asarray(actions).reshape(expected.shape))
