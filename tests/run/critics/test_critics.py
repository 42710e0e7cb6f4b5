"""Critics beside a student: they change nothing in it, travel in its file, and go on from a checkpoint bit for bit."""

import json
import pickle

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from policy_distill.cli import main
from policy_distill.compression.compress import compress
from policy_distill.errors import RequestError
from policy_distill.exporters.export import export
from policy_distill.interfaces.policies import Labels
from policy_distill.run.distill import distill
from policy_distill.student import file
from policy_distill.student.file import read_sealed, write_sealed
from policy_distill.student.runtime import load_student
from policy_distill.student.slim import slim
from policy_distill.teachers.base import BaseTeacher
from tests.doubles import FormulaTeacher, cartpole_teacher, pendulum_teacher
from tests.run.test_resume import QUICK, die_and_resume


class Valued(FormulaTeacher):
    """A formula teacher that also has a formula for what a state is worth."""

    discount = 0.9
    says = False

    def with_values(self):
        one = Valued.__new__(Valued)
        vars(one).update({**vars(self), "says": True})
        return one

    def label(self, obs, episode_starts, state=None, action_masks=None):
        params = super().label(obs, episode_starts).params
        value = torch.from_numpy(300 + 50 * np.tanh(3 * obs[..., 2]) - 20 * obs[..., 0]).float()
        return Labels(params, value=value if self.says else None)


def valued(teacher):
    one = Valued.__new__(Valued)
    vars(one).update(vars(teacher))
    return one


def cartpole():
    return valued(cartpole_teacher())


def pendulum():
    return valued(pendulum_teacher())


ASKS = [
    {"value_weight": 0.5},
    {"value_gate": True},
    {"objective": "n_distill"},
    {"objective": "reverse_trajectory", "buffer": "latest"},
    {"objective": "teacher_value", "value_gate": True, "value_weight": 1.0},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("critic")
    settings = {**QUICK, "timesteps": 8192, "n_epochs": 16}
    plain = distill(cartpole(), "CartPole-v1", "mlp:8", out=out / "plain", **settings)
    with_critic = distill(cartpole(), "CartPole-v1", "mlp:8", out=out / "critic", value_weight=1.0, **settings)
    return out, plain, with_critic


def test_a_critic_changes_nothing_in_the_student(run):
    _, plain, with_critic = run
    assert plain.student.tensors.keys() == with_critic.student.tensors.keys()
    for name, array in plain.student.tensors.items():
        assert np.array_equal(array, with_critic.student.tensors[name]), name
    for key in ("n_params", "n_bytes", "macs"):
        assert plain.student.metadata["architecture"][key] == with_critic.student.metadata["architecture"][key]
    assert plain.evaluation["student"] == with_critic.evaluation["student"]


def test_a_critic_learns_what_the_teacher_holds_a_state_to_be_worth(run):
    out, _, _ = run
    metrics = [json.loads(line) for line in (out / "critic" / "metrics.jsonl").read_text().splitlines()]
    explained = [one["train/value_explained"] for one in metrics if "train/value_explained" in one]
    assert explained[0] < 0.2 and explained[-1] > 0.9
    losses = [one["train/value_loss"] for one in metrics if "train/value_loss" in one]
    assert losses[-1] < 0.2 * losses[0]
    student = load_student(out / "critic" / "student.safetensors")
    obs = np.random.default_rng(0).uniform(-0.1, 0.1, (64, 4)).astype(np.float32)
    true = cartpole().with_values().label(obs[None], np.zeros((1, 64), bool)).value[0].numpy()
    found = student.critic.values(student.plan.featurizer(obs))
    assert np.abs(found - true).mean() < 0.5 * true.std()
    assert np.abs(found - true).mean() < 0.02 * true.mean(), "in raw units"


def test_a_file_without_a_critic_is_as_it_was_and_one_with_it_is_refused_by_older_versions(run, monkeypatch):
    out, _, _ = run
    tensors, record = read_sealed(out / "plain" / "student.safetensors")
    assert record["format_version"] == 1 and "critic" not in record
    assert not any(name.startswith("critic.") for name in tensors)
    tensors, record = read_sealed(out / "critic" / "student.safetensors")
    assert record["format_version"] == 4
    assert record["critic"]["discount"] == 0.9
    monkeypatch.setattr(file, "FORMAT_VERSION", 3)
    with pytest.raises(RequestError, match="has student format 4, this version reads 1 to 3; upgrade"):
        load_student(out / "critic" / "student.safetensors")


def test_a_critic_travels_with_the_student_and_not_with_what_is_deployed(run, tmp_path):
    out, _, _ = run
    student = load_student(out / "critic" / "student.safetensors")
    again = load_student(student.save(tmp_path / "again.safetensors"))
    copied = pickle.loads(pickle.dumps(student))
    for other in (again, copied):
        assert other.critic.metadata == student.critic.metadata
        assert all(np.array_equal(other.critic.tensors[name], array) for name, array in student.critic.tensors.items())
    assert slim(student).critic is None
    export(student, tmp_path / "policy.onnx", "onnx", n_states=16)
    plain = load_student(out / "plain" / "student.safetensors")
    export(plain, tmp_path / "plain.onnx", "onnx", n_states=16)
    sizes = [(tmp_path / name).stat().st_size for name in ("policy.onnx", "plain.onnx")]
    assert abs(sizes[0] - sizes[1]) < 200, "the critic alone is 17,000 bytes"


def test_ppo_starts_with_the_critic(run, tmp_path):
    out, _, _ = run
    student = load_student(out / "critic" / "student.safetensors")
    model = student.to_sb3("CartPole-v1")
    obs = np.random.default_rng(0).uniform(-0.1, 0.1, (64, 4)).astype(np.float32)
    with torch.no_grad():
        found = model.policy.predict_values(torch.from_numpy(obs))[:, 0].numpy()
    assert np.allclose(found, student.critic.values(student.plan.featurizer(obs)), rtol=1e-4)
    assert np.allclose(model.predict(obs, deterministic=True)[0], student.predict(obs, deterministic=True)[0])
    model.save(tmp_path / "student.zip")
    loaded = PPO.load(tmp_path / "student.zip", device="cpu")
    with torch.no_grad():
        assert np.allclose(loaded.policy.predict_values(torch.from_numpy(obs))[:, 0].numpy(), found)
    model.learn(64)
    plain = load_student(out / "plain" / "student.safetensors").to_sb3("CartPole-v1")
    assert plain.policy.mlp_extractor.value_net[0].out_features == 64


def test_info_says_that_there_is_a_critic(run, capsys):
    out, _, _ = run
    assert main(["info", str(out / "critic"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["critic"] == {"n_params": 4 * 64 + 64 + 64 * 64 + 64 + 64 + 1, "discount": 0.9}
    assert found["n_params"] == 4 * 8 + 8 + 8 * 2 + 2
    assert main(["info", str(out / "plain"), "--json"]) == 0
    assert "critic" not in json.loads(capsys.readouterr().out)


def cut(record, tensors):
    record["critic"]["layers"] = record["critic"]["layers"][:-1]


def lacking(record, tensors):
    del tensors["critic.0.weight"]


def wider(record, tensors):
    tensors["critic.0.weight"] = np.zeros((64, 5), np.float32)


def foreign(record, tensors):
    tensors["critic.0.weight"] = tensors["critic.0.weight"].astype(np.float64)


def infinite(record, tensors):
    tensors["critic.0.bias"] = np.full(64, np.inf, np.float32)


def undiscounted(record, tensors):
    record["critic"]["discount"] = 2.0


def unknown(record, tensors):
    record["critic"]["layers"][1] = {"op": "eval"}


@pytest.mark.parametrize("damage", [cut, lacking, wider, foreign, infinite, undiscounted, unknown])
def test_a_critic_that_is_none_is_refused(damage, run, tmp_path):
    out, _, _ = run
    tensors, record = read_sealed(out / "critic" / "student.safetensors")
    damage(record, tensors)
    write_sealed(tmp_path / "broken.safetensors", tensors, record)
    with pytest.raises(RequestError, match="not a whole student file"):
        load_student(tmp_path / "broken.safetensors")


@pytest.mark.parametrize("make", [cartpole, pendulum])
@pytest.mark.parametrize("asks", ASKS, ids=lambda asks: ",".join(map(str, asks.values())))
def test_a_run_with_critics_goes_on_bit_for_bit(asks, make, tmp_path):
    env_id = "CartPole-v1" if make is cartpole else "Pendulum-v1"
    whole, died = die_and_resume(tmp_path, make, lambda: env_id, at=(384, 768), **asks)
    assert whole == died


@pytest.mark.parametrize(
    ("asks", "words"),
    [
        ({"value_weight": -1.0}, "value_weight must be at least 0"),
        ({"objective": "best"}, "objective must be one of kl, n_distill"),
        ({"value_gate": 1}, "value_gate must be true or false"),
        ({"objective": "n_distill", "actor": "mixed"}, "found --actor mixed"),
        ({"objective": "n_distill", "acting": "mode"}, "found --acting mode"),
        ({"objective": "reverse_trajectory", "loss": "mse"}, "found --loss mse"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asks, words):
    with pytest.raises(RequestError, match=words) as found:
        distill(cartpole(), "CartPole-v1", "mlp:8", **QUICK, **asks)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("student", ["gru:4", "history:2+mlp:4", "tree:4"])
@pytest.mark.parametrize("asks", ASKS[:3], ids=lambda asks: next(iter(asks)))
def test_students_beside_which_no_critic_learns_are_refused(student, asks):
    with pytest.raises(RequestError, match=f"expected an mlp or linear student for --.*found '{student[:3]}"):
        distill(cartpole(), "CartPole-v1", student, **QUICK, **asks)


def test_a_teacher_without_values_is_refused_before_the_first_step(capsys):
    for asks in ({"value_weight": 1.0}, {"value_gate": True}, {"objective": "teacher_value"}):
        with pytest.raises(RequestError, match="expected a teacher with a value function"):
            distill(cartpole_teacher(), "CartPole-v1", "mlp:8", **QUICK, **asks)
    nobody = cartpole()
    nobody.discount = None
    with pytest.raises(RequestError, match=r"discount \(gamma\) for --objective teacher_value"):
        distill(nobody, "CartPole-v1", "mlp:8", **QUICK, objective="teacher_value")
    assert isinstance(nobody, BaseTeacher)


def test_values_that_are_promised_and_missing_stop_the_run():
    class Promises(Valued):
        def with_values(self):
            return self

    teacher = Promises.__new__(Promises)
    vars(teacher).update(vars(cartpole_teacher()))
    with pytest.raises(RequestError, match=r"expected values of shape .* found none"):
        distill(teacher, "CartPole-v1", "mlp:8", **QUICK, value_weight=1.0)


@pytest.mark.parametrize("asked", ["value_weight", "reward_weight"])
def test_compress_refuses_what_asks_for_a_critic(asked):
    found = "compress trains its students by a divergence only, found --" + asked.replace("_", "-")
    with pytest.raises(RequestError, match=found):
        compress(cartpole(), "CartPole-v1", **{asked: 1.0})
