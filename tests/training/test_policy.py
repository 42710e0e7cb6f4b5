import copy
import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from policy_distill.errors import RequestError
from policy_distill.networks.table import make_network
from policy_distill.student.features import Normalizer
from policy_distill.student.file import write_sealed
from policy_distill.student.runtime import Student, load_student
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec
from tests.doubles import cartpole_teacher, pendulum_teacher

TEACHERS = {"discrete": cartpole_teacher, "continuous": pendulum_teacher}
SPECS = ["linear", "mlp:8", "mlp:16,4"]


def make_policy(teacher, network="mlp:8", activation="tanh", normalized=True, seed=0):
    n = teacher.observation_space.shape[0]
    normalizer = Normalizer(np.linspace(-1, 1, n), np.linspace(0.5, 2, n), clip=3.0) if normalized else None
    spec = StudentSpec.like(teacher, network, activation, normalizer)
    policy = StudentPolicy(spec, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed + 1)))
    return policy


def observations(teacher, count=200):
    n = teacher.observation_space.shape[0]
    return np.random.default_rng(0).normal(0, 2, (count, n)).astype(np.float32)


@pytest.mark.parametrize("kind", TEACHERS)
@pytest.mark.parametrize("network", SPECS)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("normalized", [True, False])
def test_the_numpy_student_acts_as_the_torch_student(tmp_path, kind, network, activation, normalized):
    teacher = TEACHERS[kind]()
    policy = make_policy(teacher, network, activation, normalized)
    student = load_student(Student.of(policy.to_record({})).save(tmp_path / "student.safetensors"))
    obs = observations(teacher)
    with torch.no_grad():
        expected = policy(obs)
        assert torch.equal(student.torch()(obs), expected)
    assert np.allclose(student.distribution_params(obs), expected.numpy(), atol=1e-5)
    chosen, state = student.predict(obs, deterministic=True)
    assert state is None
    mode = teacher.action_map.execute(policy.spec.family.mode(expected).numpy())
    assert np.allclose(chosen, mode, atol=1e-6)
    assert all(np.allclose(student.act(one), action, atol=1e-6) for one, action in zip(obs[:20], chosen, strict=False))


@pytest.mark.parametrize("kind", TEACHERS)
def test_sampled_actions_follow_the_distribution_and_their_seed(kind):
    teacher = TEACHERS[kind]()
    student = Student.of(make_policy(teacher).to_record({}))
    obs = np.repeat(observations(teacher, 1) * 0.2, 20_000, axis=0)
    student.seed(3)
    actions, _ = student.predict(obs)
    student.seed(3)
    assert np.array_equal(student.predict(obs)[0], actions)
    params = student.distribution_params(obs[:1])
    if kind == "discrete":
        shares = np.bincount(actions, minlength=2) / len(actions)
        expected = np.exp(params[0]) / np.exp(params[0]).sum()
        assert shares == pytest.approx(expected, abs=0.015)
    else:
        inside = np.clip(params[0, 0] + np.exp(params[0, 1]) * np.random.default_rng(0).normal(size=20_000), -2, 2)
        assert actions.mean() == pytest.approx(inside.mean(), abs=0.05)
        assert actions.std() == pytest.approx(inside.std(), abs=0.05)
        assert np.abs(actions).max() <= 2.0


def test_a_student_answers_predict_for_one_observation_and_for_a_batch():
    student = Student.of(make_policy(cartpole_teacher()).to_record({}))
    one, _ = student.predict(np.zeros(4), deterministic=True)
    several, _ = student.predict(np.zeros((3, 4)), deterministic=True)
    assert one.shape == ()
    assert several.shape == (3,)
    assert student.action_space == gymnasium.spaces.Discrete(2)
    with pytest.raises(ValueError, match="expected an observation of shape"):
        student.predict(np.zeros(5))


def test_sb3_accepts_a_loaded_student(tmp_path):
    student = load_student(
        Student.of(make_policy(cartpole_teacher()).to_record({})).save(tmp_path / "student.safetensors")
    )
    vec_env = make_vec_env("CartPole-v1", 2, env_kwargs={"render_mode": None})
    mean, _ = evaluate_policy(student, vec_env, n_eval_episodes=4)
    assert mean >= 8


def test_parameters_bytes_and_multiplications_are_counted_by_hand():
    discrete = Student.of(make_policy(cartpole_teacher(), "mlp:8").to_record({})).metadata["architecture"]
    assert (discrete["n_params"], discrete["macs"]) == (4 * 8 + 8 + 8 * 2 + 2, 4 * 8 + 8 * 2)
    assert discrete["n_bytes"] == 4 * discrete["n_params"]
    continuous = Student.of(make_policy(pendulum_teacher(), "linear").to_record({})).metadata["architecture"]
    assert (continuous["n_params"], continuous["macs"]) == (3 + 1 + 1, 3)


def test_the_same_student_gives_the_same_bytes(tmp_path):
    paths = [
        Student.of(make_policy(cartpole_teacher()).to_record({"seed": 0})).save(tmp_path / f"{i}.safetensors")
        for i in "ab"
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_acting_imports_neither_torch_nor_sb3_nor_gymnasium(tmp_path):
    path = Student.of(make_policy(cartpole_teacher()).to_record({})).save(tmp_path / "student.safetensors")
    code = (
        "import sys, numpy, policy_distill; "
        f"student = policy_distill.load_student({str(path)!r}); student.act(numpy.zeros(4)); "
        "bad = {'torch', 'stable_baselines3', 'gymnasium', 'scipy', 'wandb'} & set(sys.modules); "
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_gymnasium_the_spaces_say_so_and_the_file_is_not_blamed(good, monkeypatch):
    student = load_student(good)
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(RequestError, match="found no module gymnasium"):
        _ = student.action_space


@pytest.fixture
def good(tmp_path):
    return Student.of(make_policy(cartpole_teacher()).to_record({})).save(tmp_path / "student.safetensors")


def test_every_altered_byte_is_noticed(good):
    whole = good.read_bytes()
    for position in range(0, len(whole), 7):
        altered = bytearray(whole)
        altered[position] ^= 0x01
        good.write_bytes(altered)
        with pytest.raises(RequestError):
            load_student(good)


def test_every_truncation_is_noticed(good):
    whole = good.read_bytes()
    for size in [0, 1, 7, 8, 9, 20, len(whole) // 2, len(whole) - 1]:
        good.write_bytes(whole[:size])
        with pytest.raises(RequestError):
            load_student(good)


def test_a_foreign_file_is_told_from_a_damaged_one(tmp_path, good):
    save_file({"w": np.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "zip.safetensors").write_bytes(b"PK\x03\x04 and so on")
    whole = good.read_bytes()
    altered = bytearray(whole)
    altered[-1] ^= 0x01
    (tmp_path / "altered.safetensors").write_bytes(altered)
    (tmp_path / "cut.safetensors").write_bytes(whole[:50])
    newer = whole.replace(b'\\"format_version\\": 1', b'\\"format_version\\": 9')
    (tmp_path / "newer.safetensors").write_bytes(newer)
    for name, message in {
        "other": "not a student",
        "zip": "not a student file",
        "altered": "was altered",
        "cut": "truncated",
        "newer": "upgrade",
        "missing": "found nothing",
    }.items():
        with pytest.raises(RequestError, match=message):
            load_student(tmp_path / f"{name}.safetensors")
    assert load_student(tmp_path).n_params == load_student(good).n_params
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="found a folder"):
        load_student(tmp_path / "empty")
    with pytest.raises(RequestError, match="runtime among"):
        load_student(good, runtime="abacus")


def test_a_checkpoint_is_not_taken_for_a_student(tmp_path):
    write_sealed(tmp_path / "latest.safetensors", {"w": np.zeros(2)}, {"checkpoint": {}})
    with pytest.raises(RequestError, match="found a checkpoint"):
        load_student(tmp_path / "latest.safetensors")


def test_the_metadata_says_all_that_acting_needs(good):
    metadata = load_student(good).metadata
    assert json.loads(json.dumps(metadata)) == metadata
    for key in ("format_version", "architecture", "distribution", "observation_space", "action_space"):
        assert key in metadata
    for key in ("observation_normalization", "action_post_processing", "provenance", "retention"):
        assert key in metadata


@pytest.mark.parametrize(
    "spec", ["mlp", "mlp:", "mlp:0", "mlp:-3", "mlp:3,x", "mlp:1.5", "cnn", "linear:3", "", "mlp:99999999"]
)
def test_an_unknown_specification_is_refused_with_an_example(spec):
    with pytest.raises(RequestError, match="mlp:32,32"):
        make_network(spec, "tanh")


def test_initial_weights_come_from_the_generator_alone():
    spec = copy.copy(make_policy(cartpole_teacher()).spec)
    first, again, other = (StudentPolicy(spec, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    weights = [policy.state_dict()["network.0.weight"] for policy in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_log_std_is_a_vector_or_a_head_as_the_teachers():
    teacher = pendulum_teacher()
    assert make_policy(teacher).log_std is not None
    teacher.state_dependent_std = True
    policy = make_policy(teacher)
    assert policy.log_std is None
    assert policy(observations(teacher)).shape == (200, 2)


def test_a_record_with_new_weights_is_the_one_that_would_be_read_anew():
    made, other = (make_policy(cartpole_teacher(), seed=seed) for seed in (0, 1))
    obs = observations(cartpole_teacher())
    before = Student.of(made.to_record({"env_id": "A-v0"}))
    acted = before.predict(obs, deterministic=True)[0]
    made.load_state_dict(other.state_dict())
    after, anew = (one.to_record({"env_id": "B-v0"}, {"mean": 1.0}) for one in (made, other))
    assert after.metadata == anew.metadata and after.metadata["provenance"] == {"env_id": "B-v0"}
    assert all(np.array_equal(array, anew.tensors[name]) for name, array in after.tensors.items())
    read = Student(anew.tensors, anew.metadata)
    assert np.array_equal(Student.of(after).network_outputs(obs), read.network_outputs(obs))
    assert before.metadata["provenance"] == {"env_id": "A-v0"}
    assert np.array_equal(before.predict(obs, deterministic=True)[0], acted)


def test_a_network_that_was_put_in_place_of_another_is_described_anew():
    made = make_policy(cartpole_teacher())
    made.to_record({})
    made.network[1] = torch.nn.ReLU()
    assert [layer["op"] for layer in made.to_record({}).plan.layers][1] == "relu"
    made.network[0] = torch.nn.Linear(4, 3)
    made.network[2] = torch.nn.Linear(3, made.spec.n_outputs)
    assert made.to_record({}).metadata["architecture"]["n_params"] == 15 + 4 * made.spec.n_outputs
