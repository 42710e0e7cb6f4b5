"""The examples of docs/examples are compiled as far as a compiler is here, and act as the student."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from policy_distill.exporters.export import export
from tests.students import make_student, name_of

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES, STUBS = DOCS / "examples", Path(__file__).parent / "stubs"
PAGE = (DOCS / "deploy.md").read_text()
STRICT = ("-Wall", "-Wextra", "-Werror")
CHOICE = ("vector", "discrete", "mlp:16,8", "tanh")
MOVES = ("vector", "squashed", "mlp:8", "relu", "slim")
REMEMBERS = ("vector", "discrete", "gru:16", "tanh")


def policy_of(kind, folder):
    """Export a student as C into a folder; return it and observations."""
    student = make_student(kind)
    export(student, folder / "policy", "c", n_states=64)
    return student, np.random.default_rng(0).normal(0, 2, (40, 5)).astype(np.float32)


def expected_of(student, obs, resets=()):
    """Return what the student does with one observation after another, `[T, n]`."""
    student.reset()
    found = []
    for step, one in enumerate(obs):
        if step in resets:
            student.reset()
        found.append(np.ravel(student.act(one)))
    return np.stack(found).astype(np.float64)


def compiled(folder, source, includes, program="host"):
    """Compile policy.c as C and a host as C++, without a warning, and link them."""
    where = [f"-I{one}" for one in (folder / "policy", *includes)]
    policy = folder / "policy.o"
    subprocess.run(["cc", "-std=c99", *STRICT, "-O2", "-c", folder / "policy" / "policy.c", "-o", policy], check=True)
    subprocess.run(["c++", "-std=c++17", *STRICT, *where, *source, policy, "-o", folder / program], check=True)
    return folder / program


@pytest.mark.parametrize("kind", [CHOICE, MOVES, REMEMBERS], ids=name_of)
def test_the_sketch_of_arduino_and_esp32_answers_over_its_serial_line(kind, tmp_path):
    student, obs = policy_of(kind, tmp_path)
    sketch = EXAMPLES / "arduino" / "policy" / "policy.ino"
    arduino = STUBS / "arduino"
    # Arduino's builder puts this line before a sketch, and takes it for C++.
    program = compiled(tmp_path, ["-x", "c++", "-include", "Arduino.h", sketch, "-x", "none"], [arduino])
    resets = (0, 20)
    sent = b"".join((b"r" if step in resets else b"o") + one.tobytes() for step, one in enumerate(obs))
    # What is no word of ours is passed by, and a message that is cut off has no answer.
    done = subprocess.run([program], input=b"??" + sent + b"o\x00\x00", capture_output=True, check=True)
    dtype = np.int32 if "int32_t policy_action" in (tmp_path / "policy" / "policy.h").read_text() else np.float32
    found = np.frombuffer(done.stdout, dtype).reshape(len(obs), -1)
    assert np.allclose(found, expected_of(student, obs, resets), atol=1e-5)


@pytest.mark.parametrize("kind", [CHOICE, MOVES, REMEMBERS], ids=name_of)
def test_the_ros_2_node_in_cpp_acts_as_the_student(kind, tmp_path):
    student, obs = policy_of(kind, tmp_path)
    program = compiled(tmp_path, [EXAMPLES / "ros2" / "policy_node.cpp"], [STUBS / "cpp"])
    lines = [f"observation {' '.join(f'{x:.9g}' for x in one)}" for one in obs]
    lines.insert(20, "reset")
    wrong = ["observation 1 2 3", "observation 1 2 nan 4 5"]
    said = "\n".join([*wrong, *lines])
    done = subprocess.run([program], input=said, capture_output=True, text=True, check=True)
    found = [[float(word) for word in line.split()[1:]] for line in done.stdout.splitlines()]
    assert np.allclose(found, expected_of(student, obs, (20,)), atol=1e-5)
    assert done.stderr.count("expected 5 finite numbers") == len(wrong)


@dataclass
class Message:
    data: list = field(default_factory=list)


class StubNode:
    """As much of rclpy's node as the example uses."""

    def __init__(self, name):
        self.calls, self.sent, self.errors = {}, [], []

    def declare_parameter(self, name, value):
        return types.SimpleNamespace(value=value)

    def create_publisher(self, kind, topic, queue):
        return types.SimpleNamespace(publish=lambda message: self.sent.append(message.data))

    def create_subscription(self, kind, topic, call, queue):
        self.calls[topic] = call

    def get_logger(self):
        return types.SimpleNamespace(error=self.errors.append)


@pytest.mark.parametrize("kind", [CHOICE, MOVES, REMEMBERS], ids=name_of)
def test_the_ros_2_node_in_python_acts_as_the_student(kind, tmp_path, monkeypatch):
    student, obs = make_student(kind), np.random.default_rng(0).normal(0, 2, (40, 5)).astype(np.float32)
    student.save(tmp_path / "student.safetensors")
    monkeypatch.chdir(tmp_path)
    modules = {
        "rclpy": {},
        "rclpy.node": {"Node": StubNode},
        "std_msgs": {},
        "std_msgs.msg": {"Empty": object, "Float32MultiArray": Message},
    }
    for name, contents in modules.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    names = {"__name__": "policy_node"}
    exec((EXAMPLES / "ros2" / "policy_node.py").read_text(), names)
    node = names["PolicyNode"]()
    node.calls["observation"](Message([1.0, 2.0]))
    node.calls["observation"](Message([1.0, float("nan"), 0.0, 0.0, 0.0]))
    assert len(node.errors) == 2 and not node.sent
    for step, one in enumerate(obs):
        if step == 20:
            node.calls["reset"](None)
        node.calls["observation"](Message(one.tolist()))
    assert np.allclose(node.sent, expected_of(student, obs, (20,)), atol=1e-5)


def command(words):
    """Return the command of the page that begins with these words, as its words."""
    for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(words):
                return shlex.split(line)
    raise AssertionError(f"no command {words} in docs/deploy.md")


WASM = """
const fs = require("fs");
const {policy_reset, act, obs, action, memory} = new WebAssembly.Instance(
  new WebAssembly.Module(fs.readFileSync("policy.wasm"))).exports;
const {rows, whole} = JSON.parse(fs.readFileSync("obs.json"));
const seen = new Float32Array(memory.buffer, obs.value, rows[0].length);
const done = new (whole ? Int32Array : Float32Array)(memory.buffer, action.value, ACTIONS);
console.log(JSON.stringify(rows.map((row, step) => {
  if (step === 0 || step === 20) policy_reset();
  seen.set(row);
  act();
  return Array.from(done);
})));
"""


@pytest.mark.skipif(
    not all(map(shutil.which, ("clang", "wasm-ld", "node"))), reason="no clang, wasm-ld (lld) or node here"
)
@pytest.mark.parametrize("kind", [CHOICE, MOVES, REMEMBERS], ids=name_of)
def test_the_policy_in_web_assembly_acts_as_the_student(kind, tmp_path):
    student, obs = policy_of(kind, tmp_path)
    (tmp_path / "policy").rename(tmp_path / "lander_c")
    (tmp_path / "docs").symlink_to(DOCS)
    subprocess.run(command("clang"), cwd=tmp_path, check=True)
    expected = expected_of(student, obs, (20,))
    whole = student.plan.action_map.kind == "index"
    (tmp_path / "obs.json").write_text(json.dumps({"rows": obs.tolist(), "whole": whole}))
    (tmp_path / "run.js").write_text(WASM.replace("ACTIONS", str(expected.shape[1])))
    done = subprocess.run(["node", "run.js"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert np.allclose(json.loads(done.stdout), expected, atol=1e-5)
    print(f"{name_of(kind)}: {(tmp_path / 'policy.wasm').stat().st_size:,} bytes of WebAssembly")


@pytest.mark.skipif(
    not all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm"))), reason="no arm-none-eabi-gcc or QEMU here"
)
@pytest.mark.parametrize("kind", [CHOICE, MOVES, REMEMBERS], ids=name_of)
def test_the_self_test_passes_on_an_emulated_cortex_m4(kind, tmp_path):
    policy_of(kind, tmp_path)
    (tmp_path / "policy").rename(tmp_path / "lander_c")
    (tmp_path / "docs").symlink_to(DOCS)
    subprocess.run(command("arm-none-eabi-gcc"), cwd=tmp_path, check=True)
    done = subprocess.run(
        command("qemu-system-arm"), cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # A self-test that fails says so there too.
    test = tmp_path / "lander_c" / "policy_test.c"
    test.write_text(re.sub(r"(\bint main\(void\) \{)", r"\1 return 1;", test.read_text()))
    subprocess.run(command("arm-none-eabi-gcc"), cwd=tmp_path, check=True)
    done = subprocess.run(command("qemu-system-arm"), cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode != 0
