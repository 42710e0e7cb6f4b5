import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.exporters.c import STRICT, compiler, run_self_test
from policy_distill.exporters.c99.parts import number
from policy_distill.exporters.export import export
from policy_distill.run.distill import distill
from policy_distill.student.runtime import Student
from policy_distill.teachers.load import load_teacher
from tests.students import KINDS, make_student

# The host program: observations come in, actions go out, one after the other.
HOST = """\
#include <stdio.h>
#include "policy.h"

int main(void) {
    policy_obs obs[POLICY_N_OBS];
    policy_action action[POLICY_N_ACTIONS];
    policy_reset();
    while (fread(obs, sizeof obs, 1, stdin) == 1) {
        policy_act(obs, action);
        if (fwrite(action, sizeof action, 1, stdout) != 1 || fflush(stdout)) return 1;
    }
    return 0;
}
"""


class HostProgram:
    """A policy that another process computes."""

    def __init__(self, folder, build):
        (build / "host.c").write_text(HOST)
        sources = [str(folder / "policy.c"), str(build / "host.c")]
        subprocess.run([compiler(), *STRICT, "-O2", f"-I{folder}", *sources, "-o", build / "host"], check=True)
        self.process = subprocess.Popen([build / "host"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        actions = np.empty(len(observation), np.int32)
        for index, obs in enumerate(np.asarray(observation, np.float32)):
            self.process.stdin.write(obs.tobytes())
            self.process.stdin.flush()
            actions[index] = np.frombuffer(self.process.stdout.read(4), np.int32)[0]
        return actions, state

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=10)
        self.process.stdout.close()
        return code


@pytest.mark.slow
def test_a_lunar_lander_in_c_scores_as_in_python_episode_by_episode(zoo, tmp_path):
    teacher = load_teacher(zoo / "ppo-LunarLander-v2", env="LunarLander-v3")
    student = distill(teacher, "LunarLander-v3", "mlp:32,32", timesteps=10_000, seed=0, eval_episodes=0).student
    found = export(student, tmp_path / "policy", "c")
    assert (found.parity.states, found.parity.agreement) == ("LunarLander-v3", 1.0)
    host = HostProgram(tmp_path / "policy", tmp_path)
    in_c = evaluate(host, "LunarLander-v3", 100, seed=1000)
    assert host.close() == 0
    in_python = evaluate(student, "LunarLander-v3", 100, seed=1000)
    assert in_python.mean > 150
    assert np.array_equal(in_c.returns, in_python.returns)
    assert np.array_equal(in_c.lengths, in_python.lengths)


def test_the_self_test_notices_a_changed_weight(tmp_path):
    export(make_student(KINDS[0]), tmp_path / "policy", "c", n_states=64)
    run_self_test(tmp_path / "policy")
    source = (tmp_path / "policy" / "policy.c").read_text()
    head, _, tail = source.partition("bias_4[4] = {\n    ")
    (tmp_path / "policy" / "policy.c").write_text(head + "bias_4[4] = {\n    9.0f +" + tail)
    with pytest.raises(RuntimeError, match="recorded actions"):
        run_self_test(tmp_path / "policy")


def test_the_code_needs_no_library_no_memory_and_no_name_of_its_own_elsewhere(tmp_path):
    for action in ("squashed", "multi_discrete"):
        folder = tmp_path / action
        export(make_student(("vector", action, "mlp:16,8", "tanh")), folder, "c", n_states=64)
        subprocess.run([compiler(), *STRICT, "-O2", "-c", "policy.c", "-o", "policy.o"], cwd=folder, check=True)
        names = subprocess.run(["nm", "-g", "policy.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
        rows = [line.split()[-2:] for line in names.splitlines()]
        assert {name for kind, name in rows if kind == "T"} == {"policy_act", "policy_reset", "policy_outputs"}
        # Compilers may call these two for loops over arrays, on every system.
        assert {name for kind, name in rows if kind == "U"} <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}


def test_the_header_works_in_cpp(tmp_path):
    folder = tmp_path / "policy"
    student = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    export(student, folder, "c", n_states=64)
    (folder / "main.cpp").write_text(
        '#include <cstdio>\n#include "policy.h"\n'
        "int main() { policy_obs o[POLICY_N_OBS] = {0.5f}; policy_action a[POLICY_N_ACTIONS]; policy_reset();\n"
        'policy_act(o, a); std::printf("%.9g %.9g", a[0], a[1]); }\n'
    )
    subprocess.run([compiler(), "-std=c99", "-c", "policy.c"], cwd=folder, check=True)
    subprocess.run(["c++", "-Wall", "-Werror", "main.cpp", "policy.o", "-o", "main"], cwd=folder, check=True)
    done = subprocess.run([folder / "main"], capture_output=True, text=True, check=True)
    expected = student.act(np.array([0.5, 0, 0, 0, 0], np.float32))
    assert np.allclose([float(word) for word in done.stdout.split()], expected, atol=1e-5)


def test_numbers_are_read_back_to_the_same_bits():
    rng = np.random.default_rng(0)
    for value in [0.0, 1.0, -1e-30, 3.0e38, 1 / 3, *rng.normal(size=200), *rng.normal(size=50) * 1e-6]:
        text = number(value)
        assert text.endswith("f")
        assert "." in text or "e" in text
        assert np.float32(text[:-1]) == np.float32(value)
        assert float(number(value, double=True)) == value


def test_the_sections_for_a_cortex_m4_are_reported_where_its_compiler_is(tmp_path, monkeypatch):
    # Stand-ins that compile for this machine: what is tried here is the reading of the sections.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "arm-none-eabi-gcc").write_text(
        '#!/bin/sh\nfor a; do shift; case $a in -m*) ;; *) set -- "$@" "$a";; esac; done\nexec cc "$@"\n'
    )
    (tools / "arm-none-eabi-size").write_text('#!/bin/sh\nexec size "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    found = export(make_student(KINDS[0]), tmp_path / "policy", "c", n_states=64)
    sections = found.facts["cortex_m4"]
    assert sections["text"] >= found.facts["flash_bytes"]
    assert sections["bss"] >= found.facts["ram_bytes"]
    monkeypatch.setattr(shutil, "which", lambda name: None if name.startswith("arm") else f"/usr/bin/{name}")
    assert "cortex_m4" not in export(make_student(KINDS[0]), tmp_path / "other", "c", n_states=64).facts


def test_without_a_compiler_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RequestError, match="install gcc or clang"):
        export(make_student(KINDS[0]), tmp_path / "policy", "c", n_states=64)
    assert not (tmp_path / "policy").exists()


def test_flash_and_ram_are_counted_by_hand(tmp_path):
    found = export(make_student(("unnormalized", "discrete", "mlp:8", "relu")), tmp_path / "policy", "c", n_states=64)
    assert found.facts["flash_bytes"] == 4 * (5 * 8 + 8 + 8 * 4 + 4)
    assert found.facts["ram_bytes"] == 2 * 4 * 8
    assert json.loads((tmp_path / "policy" / "policy.json").read_text())["format"] == "c"


@pytest.mark.parametrize("name", ["*\\\n/\n#error\n/*", "*??/\n/\n#error\n/*", "a/*b", "*/\n#error\n/*", "\ud800é"])
def test_names_from_a_file_stay_inside_their_comments(name, tmp_path):
    made = make_student(KINDS[0])
    student = Student.of(made.record.said_of({"env_id": name, "algorithm": name}, None))
    assert export(student, tmp_path / "policy", "c", n_states=16).parity.passed


@pytest.mark.parametrize("obs", ["vector", "multi_discrete"])
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_no_observation_is_undefined_behaviour(obs, quantize, tmp_path):
    student = make_student((obs, "discrete", "mlp:8", "tanh"))
    export(student, tmp_path / "policy", "c", quantize=quantize, n_states=64, episodes=0)
    (tmp_path / "main.c").write_text(
        '#include "policy/policy.h"\n'
        "int main(void) {\n"
        "    const policy_obs zero = 0;\n"
        "    const policy_obs bad[] = {zero / zero, 1 / zero, -1 / zero, (policy_obs)3e38, (policy_obs)-3e38};\n"
        "    for (int n = 0; n < 5; n++) {\n"
        "        policy_obs obs[POLICY_N_OBS];\n"
        "        policy_action action[POLICY_N_ACTIONS];\n"
        "        for (int i = 0; i < POLICY_N_OBS; i++) obs[i] = bad[n];\n"
        "        policy_act(obs, action);\n"
        "        if (action[0] < 0 || action[0] > 3) return 1;\n"
        "    }\n"
        "    return 0;\n"
        "}\n"
    )
    checks = [
        "-fsanitize=undefined,float-cast-overflow",
        "-fno-sanitize=float-divide-by-zero",
        "-fno-sanitize-recover=all",
        "-w",
    ]
    files = [str(tmp_path / "main.c"), str(tmp_path / "policy" / "policy.c")]
    subprocess.run([compiler(), "-std=c99", *checks, *files, "-o", str(tmp_path / "run")], check=True)
    subprocess.run([str(tmp_path / "run")], check=True)


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_a_student_that_hardly_moves_its_action_passes_its_own_self_test(tmp_path, quantize):
    # Rounding is then more than a small share of the actions that it takes, and far below one of its bounds.
    student = make_student(("dict", "squashed", "mlp:8,8", "tanh"))
    last = student.plan.layers[-1]
    tensors = {name: array.copy() for name, array in student.tensors.items()}
    tensors[last["weight"]] *= 1e-3
    export(Student(tensors, student.metadata), tmp_path / "policy", "c", quantize=quantize, n_states=8, episodes=0)
    run_self_test(tmp_path / "policy")
