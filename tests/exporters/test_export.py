import json
import shutil
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace

import gymnasium
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from policy_distill.cli import main
from policy_distill.errors import RequestError, RunFault
from policy_distill.exporters.export import export
from policy_distill.exporters.parity import compare_actions, make_reference
from policy_distill.exporters.states import hostile_states
from policy_distill.exporters.table import FORMATS, Format, load_exporter
from policy_distill.student.runtime import Student
from tests.doubles import Corridor, cartpole_teacher
from tests.students import KINDS, OBSERVATIONS, make_student, name_of, sample_observations
from tests.training.test_policy import make_policy


def refusal(kind, name):
    obs, action, network, *_ = kind
    if name != "sb3":
        return None
    if "tree" in network:
        return "found a tree; use another format"
    if action == "offset" or obs == "discrete":
        return "start at 0"
    if action == "deterministic_free":
        return "actions with bounds"
    # SB3 casts observations to float32 before anything else, which loses digits far from zero.
    return "acts differently" if obs == "far" and action != "discrete" else None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_every_student_in_every_format_acts_as_the_student(kind, name, tmp_path):
    student = make_student(kind)
    path = tmp_path / f"policy{FORMATS[name].suffix}"
    why_not = refusal(kind, name)
    if why_not:
        with pytest.raises((ValueError, RuntimeError), match=why_not):
            export(student, path, name, n_states=256)
        assert not list(tmp_path.iterdir())
        return
    found = export(student, path, name, n_states=256)
    assert found.parity.passed
    assert found.parity.n_visited == 256
    assert found.parity.n_hostile > 10
    assert found.parity.agreement == 1.0 or found.parity.ties
    assert found.n_bytes > 0
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("method", ["int8", "int4"])
def test_a_tree_in_few_bits_is_refused_in_one_line(method, tmp_path):
    student = make_student(("unnormalized", "discrete", "tree:16", "tanh"))
    with pytest.raises(RequestError, match="expected a network to write in few bits, found a tree") as found:
        export(student, tmp_path / "c", "c", quantize=method, n_states=64)
    assert "\n" not in str(found.value) and not list(tmp_path.iterdir())


def test_the_states_come_from_the_environment_that_the_student_was_made_in(tmp_path):
    student = Student.of(make_policy(cartpole_teacher()).to_record({"env_id": "CartPole-v1"}))
    found = export(student, tmp_path / "a.onnx", "onnx", n_states=64)
    assert found.parity.states == "CartPole-v1"
    assert export(student, tmp_path / "b.onnx", "onnx", n_states=64, env=Corridor4).parity.states == "Corridor4"
    unknown = Student.of(make_policy(cartpole_teacher()).to_record({"env_id": "Nowhere-v0"}))
    assert export(unknown, tmp_path / "c.onnx", "onnx", n_states=64).parity.states == "sampled"
    with pytest.raises(RequestError, match="Nowhere-v0"):
        export(student, tmp_path / "d.onnx", "onnx", env="Nowhere-v0")
    with pytest.raises(RequestError, match="does not fit"):
        export(student, tmp_path / "d.onnx", "onnx", env="Acrobot-v1")
    assert not (tmp_path / "d.onnx").exists()


class Corridor4(Corridor):
    """Observations as CartPole's."""

    def __init__(self):
        super().__init__()
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)

    def _obs(self):
        return np.full(4, self.t / self.length, np.float32)


@pytest.mark.parametrize("name", FORMATS)
def test_an_artefact_that_acts_otherwise_leaves_no_file(name, tmp_path, monkeypatch):
    student = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    other = make_student(("vector", "gaussian", "mlp:16,8", "tanh"), seed=3)
    exporter = load_exporter(name)
    write = exporter.write
    monkeypatch.setattr(exporter, "write", lambda student, *rest: write(other, *rest))
    with pytest.raises(RunFault, match="nothing was written"):
        export(student, tmp_path / f"policy{FORMATS[name].suffix}", name, n_states=64)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_an_artefact_that_only_its_final_form_spoils_leaves_no_file(name, tmp_path, monkeypatch):
    student = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    other = make_student(("vector", "gaussian", "mlp:16,8", "tanh"), seed=3)
    exporter = load_exporter(name)
    write = exporter.write

    def spoil(student, path, *rest):
        return write(other if "final" in path.name else student, path, *rest)

    monkeypatch.setattr(exporter, "write", spoil)
    with pytest.raises(RunFault, match="nothing was written"):
        export(student, tmp_path / f"policy{FORMATS[name].suffix}", name, n_states=64)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [2e-5, -2e-5, np.nan])
def test_a_difference_of_twice_the_tolerance_fails(change):
    student = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    obs = sample_observations(("vector",))
    reference = make_reference(student, obs, len(obs))
    assert compare_actions(student, reference, reference.actions, "").passed
    actions = reference.actions.copy()
    actions[7, 0] += change * 3.0
    found = compare_actions(student, reference, actions, "")
    assert not found.passed
    assert found.agreement == pytest.approx(63 / 64)
    assert not compare_actions(student, reference, reference.actions.astype(np.float64), "").passed


def test_a_tie_may_fall_either_way_and_is_counted():
    student = make_student(("vector", "discrete", "linear", "tanh"))
    obs = sample_observations(("vector",))
    reference = make_reference(student, obs, len(obs))
    actions = reference.actions.copy()
    actions[3] = (actions[3] + 1) % 4
    assert not compare_actions(student, reference, actions, "").passed
    margins = reference.margins.copy()
    margins[3] = 1e-6
    found = compare_actions(student, replace(reference, margins=margins), actions, "")
    assert found.passed
    assert (found.ties, found.agreement) == (1, pytest.approx(63 / 64))


def test_hostile_states_reach_the_bounds_and_beyond():
    for kind in KINDS:
        student = make_student(kind)
        obs, observed = hostile_states(student, 0), student.observation_space
        for key, value in obs.items() if isinstance(obs, dict) else (("", obs),):
            space = observed[key] if key else observed
            assert value.shape[1:] == space.shape
            assert value.dtype == space.dtype
            if value.dtype.kind == "f":
                assert np.abs(value).max() >= 1e6
                assert (value == 0).any()
            else:
                assert all(space.contains(one) for one in value)


def test_what_lies_at_the_target_is_kept_unless_told(tmp_path):
    student = make_student(KINDS[0])
    for name in ("onnx", "c"):
        path = tmp_path / name
        if name == "onnx":
            path.write_text("mine")
        else:
            path.mkdir()
            (path / "policy.json").write_text("mine")
        with pytest.raises(RequestError, match="--overwrite"):
            export(student, path, name, n_states=64)
        assert (path if name == "onnx" else path / "policy.json").read_text() == "mine"
        export(student, path, name, n_states=64, overwrite=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    with pytest.raises(RequestError, match="something other than"):
        export(student, tmp_path / "folder", "c", n_states=64, overwrite=True)
    with pytest.raises(RequestError, match="expected a file"):
        export(student, tmp_path / "folder", "onnx", n_states=64, overwrite=True)
    with pytest.raises(RequestError, match="expected a format among onnx, c"):
        export(student, tmp_path / "x", "tflite")


def test_every_artefact_carries_its_record(tmp_path):
    student = make_student(KINDS[0])
    records = {}
    for name, form in FORMATS.items():
        if name == "web" and shutil.which("node") is None:
            continue
        path = tmp_path / f"{name}{form.suffix}"
        export(student, path, name, n_states=64)
        records[name] = READ_RECORD[name](path)
    for name, record in records.items():
        assert record["format"] == name
        assert record["parity"]["passed"] is True
        assert record["provenance"]["env_id"] == "Test-v0"


READ_RECORD = {
    "onnx": lambda path: json.loads(onnx.load(path).metadata_props[0].value),
    "c": lambda path: json.loads((path / "policy.json").read_text()),
    "numpy": lambda path: json.loads((path / "policy.json").read_text())["record"],
    "torchscript": lambda path: torchscript_record(path),
    "sb3": lambda path: json.loads(zipfile.ZipFile(path).read("policy_distill.json")),
    "web": lambda path: json.loads(path.read_text().partition('id="policy">')[2].partition("</script>")[0])["record"],
}


def torchscript_record(path):
    files = {"policy_distill.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load(str(path), _extra_files=files)
    return json.loads(files["policy_distill.json"])


def test_a_module_of_a_package_that_writes_nothing_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "empty", Format("policy_distill.errors", "nothing", ".x"))
    with pytest.raises(
        RequestError, match=r"^expected write and open_artefact in policy_distill\.errors, which writes"
    ):
        export(make_student(KINDS[0]), tmp_path / "student", "empty", n_states=16)
    assert not list(tmp_path.iterdir())


def test_onnx_has_a_dynamic_batch_named_outputs_and_takes_images_as_they_come(tmp_path):
    student = make_student(("image_last", "multi_discrete", "cnn:4", "tanh"))
    export(student, tmp_path / "image.onnx", "onnx", n_states=64)
    session = onnxruntime.InferenceSession(str(tmp_path / "image.onnx"))
    (image,) = session.get_inputs()
    assert (image.type, image.shape) == ("tensor(uint8)", ["batch", 12, 10, 1])
    assert [output.name for output in session.get_outputs()] == ["action", "logits"]
    for n in (1, 7):
        obs = sample_observations(("image_last",), n)
        action, logits = session.run(None, {"obs": obs})
        assert np.allclose(logits, student.distribution_params(obs), atol=1e-5)
        assert action.shape == (n, 2)
    for action in ("gaussian", "gaussian_head", "squashed", "squashed_unit"):
        student = make_student(("vector", action, "mlp:16,8", "tanh"))
        export(student, tmp_path / f"{action}.onnx", "onnx", n_states=64)
        session = onnxruntime.InferenceSession(str(tmp_path / f"{action}.onnx"))
        obs = sample_observations(("vector",), 5)
        executed, mean, log_std = session.run(["action", "mean", "log_std"], {"obs": obs})
        assert np.allclose(np.concatenate([mean, log_std], 1), student.distribution_params(obs), atol=1e-5)
        assert np.allclose(executed, student.predict(obs, deterministic=True)[0], atol=1e-5)


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("action", ["gaussian", "discrete"])
def test_onnx_takes_floats_for_a_space_of_doubles_unless_told(tmp_path, action, quantize):
    student = make_student(("doubles", action, "mlp:16,8", "tanh"))
    obs = sample_observations(("doubles",), 32)
    assert obs.dtype == np.float64
    for asked, kind, dtype in (
        (None, "float", np.float32),
        ("float32", "float", np.float32),
        ("float64", "double", None),
    ):
        path = tmp_path / f"{asked}.onnx"
        options = {"quantize": quantize, "episodes": 0, "n_states": 256, "input_dtype": asked}
        found = export(student, path, "onnx", **options)
        assert found.parity.passed and found.facts["input_dtypes"] == ["float32" if dtype else "float64"]
        session = onnxruntime.InferenceSession(str(path))
        assert [one.type for one in session.get_inputs()] == [f"tensor({kind})"]
        executed = session.run(["action"], {"obs": obs.astype(dtype or np.float64)})[0]
        if quantize is None:
            assert np.allclose(executed, student.predict(obs, deterministic=True)[0], atol=1e-4)


def test_onnx_takes_doubles_where_floats_would_lose_digits(tmp_path):
    student = make_student(("far", "squashed", "mlp:8", "tanh"))
    assert export(student, tmp_path / "far.onnx", "onnx", n_states=64).facts["input_dtypes"] == ["float64"]
    with pytest.raises(RunFault, match="acts differently"):
        export(student, tmp_path / "float.onnx", "onnx", n_states=64, input_dtype="float32")
    assert not (tmp_path / "float.onnx").exists()


@pytest.mark.parametrize(
    ("format", "dtype", "message"), [("c", "float32", "for onnx only"), ("onnx", "half", "float32 or float64")]
)
def test_an_input_dtype_that_cannot_be_is_refused(tmp_path, format, dtype, message):
    student = make_student(("doubles", "gaussian", "mlp:16,8", "tanh"))
    with pytest.raises(RequestError, match=message):
        export(student, tmp_path / "policy", format, input_dtype=dtype)


def test_the_numpy_folder_acts_without_this_package(tmp_path):
    student = make_student(("dict", "squashed", "mlp:8,8", "tanh"))
    export(student, tmp_path / "policy", "numpy", n_states=64)
    code = (
        "import sys; sys.modules['policy_distill'] = None; sys.path.insert(0, 'policy'); "
        "import numpy as np; from policy import Policy; "
        "print(Policy().act({'speed': np.zeros(2), 'view': np.full((6, 5, 1), 9, np.uint8), 'kind': 1}).tolist()); "
        "assert not {'torch', 'safetensors', 'gymnasium'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    view = np.full((6, 5, 1), 9, np.uint8)
    expected = student.act({"speed": np.zeros(2), "view": view, "kind": np.array(1)})
    assert np.allclose(json.loads(done.stdout), expected, atol=1e-5)


def test_the_command_exports_and_says_what_it_checked(tmp_path, capfd):
    path = Student.of(make_policy(cartpole_teacher()).to_record({"env_id": "CartPole-v1"})).save(
        tmp_path / "s.safetensors"
    )
    arguments = ["export", str(path), "--format", "c", "--out", str(tmp_path / "policy"), "--states", "100"]
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["parity"]["passed"] is True
    assert record["parity"]["n_visited"] == 100
    assert record["flash_bytes"] >= 4 * (4 * 8 + 8 + 8 * 2 + 2)
    assert main(arguments) == 2
    assert "--overwrite" in capfd.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    assert "equal actions" in capfd.readouterr().out


def test_the_ppo_zip_is_evaluated_and_trained_on(tmp_path):
    student = Student.of(make_policy(cartpole_teacher()).to_record({"env_id": "CartPole-v1"}))
    export(student, tmp_path / "student.zip", "sb3", n_states=64)
    model = PPO.load(tmp_path / "student.zip", env=gymnasium.make("CartPole-v1"), device="cpu", n_steps=32)
    returns = evaluate_policy(model, model.get_env(), n_eval_episodes=3, return_episode_rewards=True)[0]
    assert len(returns) == 3
    before = model.policy.action_net.weight.detach().clone()
    model.learn(64)
    assert not torch.equal(model.policy.action_net.weight, before)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_lost(tmp_path):
    student = make_student(KINDS[0])
    file, folder = tmp_path / "file", tmp_path / "policy"
    file.write_text("mine")
    with pytest.raises(RequestError, match="can be written"):
        export(student, file / "student.onnx", "onnx", n_states=16)
    with pytest.raises(RequestError, match="expected a folder"):
        export(student, file, "c", n_states=16, overwrite=True)
    with pytest.raises(RequestError, match="cannot be written"):
        export(student, tmp_path / ("n" * 300), "onnx", n_states=16)
    export(student, folder, "numpy", n_states=16)
    (folder / "robot.py").write_text("mine")
    with pytest.raises(RequestError, match=r"delete robot\.py"):
        export(student, folder, "numpy", n_states=16, overwrite=True)
    assert (file.read_text(), (folder / "robot.py").read_text()) == ("mine", "mine")
    (folder / "robot.py").unlink()
    assert export(student, folder, "numpy", n_states=16, overwrite=True).parity.passed


@pytest.mark.parametrize("options", [{"n_states": 0}, {"n_states": -3}, {"n_states": 16, "episodes": -1}])
def test_an_export_is_checked_on_a_state_at_least(options, tmp_path):
    with pytest.raises(RequestError, match="at least 1 state"):
        export(make_student(KINDS[0]), tmp_path / "student.onnx", "onnx", **options)


@pytest.mark.parametrize("name", ["onnx", "c"])
def test_weights_that_are_not_finite_are_refused(name, tmp_path):
    student = make_student(KINDS[0])
    next(iter(student.tensors.values())).flat[0] = np.nan
    with pytest.raises(RequestError, match="finite weights"):
        export(student, tmp_path / "policy", name, n_states=16)


def test_a_key_that_is_called_as_an_output_has_an_input_of_another_name(tmp_path, monkeypatch):
    space = gymnasium.spaces.Dict(action=gymnasium.spaces.Box(-1, 1, (2,)), speed=gymnasium.spaces.Box(-1, 1, (3,)))
    monkeypatch.setitem(OBSERVATIONS, "named", space)
    student = make_student(("named", "gaussian", "mlp:8", "tanh"))
    assert export(student, tmp_path / "student.onnx", "onnx", n_states=16).parity.passed
    session = onnxruntime.InferenceSession(str(tmp_path / "student.onnx"))
    assert [one.name for one in session.get_inputs()] == ["obs_action", "speed"]


MASKABLE = [kind for kind in KINDS if kind[1] in ("discrete", "offset", "multi_discrete", "multi_binary")]


def masked_student(kind, **options):
    student = make_student(kind, **options)
    return Student(student.tensors, {**student.metadata, "takes_action_masks": True})


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.masks])
@pytest.mark.parametrize(
    "kind", [kind for kind in MASKABLE if kind[0] in ("vector", "image_last", "dict")], ids=name_of
)
def test_of_a_student_that_takes_masks_every_format_takes_them_too(kind, name, tmp_path):
    student, path = masked_student(kind), tmp_path / f"policy{FORMATS[name].suffix}"
    found = export(student, path, name, n_states=256)
    assert found.parity.passed
    assert found.parity.masked_agreement == 1.0
    run = load_exporter(name).open_artefact(student, path)
    obs = sample_observations(kind, 8)
    masks = np.random.default_rng(5).random((8, student.plan.head.n_scores)) < 0.4
    expected, _ = student.predict(obs, deterministic=True, action_masks=masks)
    assert np.array_equal(run(obs, masks), expected)
    assert not np.array_equal(run(obs), run(obs, masks)), "masks change what is done"
    assert np.array_equal(run(obs), student.predict(obs, deterministic=True)[0])


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.masks])
def test_an_artefact_that_does_not_heed_its_masks_leaves_no_file(name, tmp_path, monkeypatch):
    exporter = load_exporter(name)
    opened = exporter.open_artefact
    monkeypatch.setattr(exporter, "open_artefact", lambda *file: lambda obs, masks=None: opened(*file)(obs))
    with pytest.raises(RunFault, match="acts differently"):
        export(masked_student(KINDS[0]), tmp_path / f"policy{FORMATS[name].suffix}", name, n_states=64)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["onnx", "c"])
def test_in_eight_bits_masks_are_heeded_too(name, tmp_path):
    found = export(masked_student(KINDS[0]), tmp_path / f"p{FORMATS[name].suffix}", name, quantize="int8", n_states=256)
    assert found.parity.masked_agreement >= 0.99


def test_the_masks_of_onnx_are_an_input_and_may_be_one_row_for_all(tmp_path):
    student = masked_student(KINDS[0])
    export(student, tmp_path / "p.onnx", "onnx", n_states=64)
    session = onnxruntime.InferenceSession(str(tmp_path / "p.onnx"))
    _, masks = session.get_inputs()
    assert (masks.name, masks.type, masks.shape[1]) == ("action_masks", "tensor(bool)", 4)
    obs = sample_observations(KINDS[0], 5)
    for allowed in range(4):
        action, logits = session.run(None, {"obs": obs, "action_masks": np.arange(4)[None] == allowed})
        assert (action == allowed).all()
        assert np.allclose(logits, student.distribution_params(obs), atol=1e-5), "the logits are those of the network"
    with pytest.raises(ValueError, match="action_masks"):
        session.run(["action"], {"obs": obs})


def test_a_program_in_c_rules_out_actions(tmp_path):
    student, folder = masked_student(KINDS[0]), tmp_path / "policy"
    export(student, folder, "c", n_states=64)
    obs = sample_observations(KINDS[0], 1)[0]
    (folder / "main.c").write_text(
        '#include <stdio.h>\n#include "policy.h"\n'
        "int main(void) {\n"
        f"    const policy_obs obs[] = {{{', '.join(f'{value!r}f' for value in obs.tolist())}}};\n"
        "    policy_action action[POLICY_N_ACTIONS];\n"
        "    for (int only = 0; only < POLICY_N_OUTPUTS; only++) {\n"
        "        uint8_t mask[POLICY_N_OUTPUTS] = {0};\n"
        "        mask[only] = 1;\n"
        "        policy_act_masked(obs, mask, action);\n"
        '        printf("%d ", (int)action[0]);\n'
        "    }\n"
        "    policy_act(obs, action);\n"
        '    printf("%d", (int)action[0]);\n'
        "}\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    subprocess.run(["cc", *flags, "policy.c", "main.c", "-o", "main"], cwd=folder, check=True)
    said = subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["0", "1", "2", "3", str(int(student.act(obs)))]
    assert "policy_act_masked" in (folder / "policy_test.c").read_text(), "the self-test tries masks too"
    export(make_student(KINDS[0]), tmp_path / "other", "c", n_states=64)
    assert "masked" not in (tmp_path / "other" / "policy.h").read_text(), "who has no masks pays nothing for them"


def test_ppo_takes_no_masks_and_continuous_actions_have_none(tmp_path):
    found = export(masked_student(KINDS[0]), tmp_path / "p.zip", "sb3", n_states=64)
    assert found.parity.masked_agreement is None
    student = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    export(student, tmp_path / "policy", "numpy", n_states=64)
    with pytest.raises(ValueError, match="no action_masks"):
        load_exporter("numpy").open_artefact(student, tmp_path / "policy")(np.zeros((1, 5)), np.ones((1, 2), bool))
