"""Students written by every released format version load, and act as they did when they were written.

`python -m tests.test_golden` adds files that are not there yet; those that are there are never written again.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from policy_distill.config import DistillConfig
from policy_distill.losses.kl import forward_kl
from policy_distill.run.critics.critic import ValueCritic
from policy_distill.student.file import FORMAT_VERSION
from policy_distill.student.many import MANY_FORMAT, ManyTasks
from policy_distill.student.record import CRITIC_FORMAT, format_of
from policy_distill.student.runtime import Student, load_student
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.tasks.balance import Balance
from policy_distill.training.tasks.sharing import share
from policy_distill.training.tasks.trainer import SharedTrainer
from tests.students import make_student, sample_observations
from tests.training.tasks.students import policies_of, shapes_of

FOLDER = Path(__file__).parent / "golden"
MANY = sorted(FOLDER.glob(f"format-{MANY_FORMAT}-tasks.safetensors"))
GOLDEN = [path for path in sorted(FOLDER.glob("*.safetensors")) if path not in MANY]


# What needs the fourth version: a critic beside the student.
WITH_CRITIC = {"critic": ("vector", "gaussian", "mlp:4", "tanh")}
# What needs the third version: images of numbers, alone and beside a vector, trees, and a memory.
NEWEST = {
    "image": ("float_first", "discrete", "cnn:4,4+mlp:8", "relu"),
    "joined": ("depth", "squashed", "cnn:2+mlp:4", "tanh"),
    "tree": ("unnormalized", "discrete", "tree:16", "tanh"),
    "oblique": ("matrix", "gaussian", "oblique_tree:8", "tanh"),
}
# Files called history and actions are of before a history began with what is seen first.
MEMORIES = {
    "gru": ("vector", "gaussian", "gru:4+mlp:4", "tanh"),
    "held": ("vector", "squashed", "history:3a+mlp:4", "tanh"),
}


def arrays_of(values):
    if isinstance(values, dict):
        return {key: np.array(value, np.float32) for key, value in values.items()}
    return np.array(values, np.float32)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_student_of_a_released_format_acts_as_it_did(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    student = load_student(path)
    obs = arrays_of(expected["observations"])
    assert student.n_params == expected["n_params"]
    if student.plan.memory.size:
        # One episode, of which the student remembers what came before.
        assert np.allclose([student.act(one) for one in obs], expected["actions"], atol=1e-5)
        assert student.metadata["format_version"] == 3
        return
    assert np.allclose(student.predict(obs, deterministic=True)[0], expected["actions"], atol=1e-5)
    if expected["params"] is not None:
        assert np.allclose(student.distribution_params(obs), expected["params"], atol=1e-5)
        assert np.allclose(student.torch()(obs).detach().numpy(), expected["params"], atol=1e-5)
    assert json.loads(json.dumps(student.metadata))["format_version"] == int(path.stem.split("-")[1])
    if "values" in expected:
        assert np.allclose(student.critic.values(student.plan.featurizer(obs)), expected["values"], atol=1e-5)


def test_every_format_version_has_its_files():
    versions = {int(path.stem.split("-")[1]) for path in [*GOLDEN, *MANY]}
    assert versions == set(range(1, FORMAT_VERSION + 1))


@pytest.mark.parametrize("path", MANY, ids=lambda path: path.stem)
def test_a_student_of_several_tasks_acts_as_it_did(path):
    expected, student = json.loads(path.with_suffix(".json").read_text()), load_student(path)
    assert student.n_params == expected["n_params"]
    assert list(student.task_names) == list(expected["tasks"])
    for name, one in expected["tasks"].items():
        obs = np.array(one["observations"], np.float32)
        assert np.allclose(student.task(name).predict(obs, deterministic=True)[0], one["actions"], atol=1e-5)


def main() -> None:
    """Write the students of newer formats."""
    write_many()
    for name, kind in NEWEST.items():
        student, obs = make_student(kind), sample_observations(kind, 3)
        listed = {key: value.tolist() for key, value in obs.items()} if isinstance(obs, dict) else obs.tolist()
        write(name, student, arrays_of(listed), listed)
    for name, kind in MEMORIES.items():
        student, obs = make_student(kind), sample_observations(kind, 20)
        write(name, student, obs, obs.tolist())
    for name, kind in WITH_CRITIC.items():
        student, obs = make_student(kind), sample_observations(kind, 3)
        spec = StudentPolicy.from_record(student.record).spec
        student.critic = ValueCritic(spec, DistillConfig(), "golden").record(0.99)
        write(name, student, obs, obs.tolist())


def write(name, student, obs, listed) -> None:
    values = {"observations": listed, "n_params": student.n_params}
    if student.plan.memory.size:
        values["actions"] = np.array([student.act(one) for one in obs]).tolist()
    else:
        values["params"] = student.distribution_params(obs).tolist() if student.plan.samples else None
        values["actions"] = student.predict(obs, deterministic=True)[0].tolist()
    if student.critic is not None:
        values["values"] = student.critic.values(student.plan.featurizer(obs)).tolist()
    version = CRITIC_FORMAT if student.critic is not None else format_of(student.description)
    path = FOLDER / f"format-{version}-{name}.safetensors"
    if path.exists():
        return
    student.save(path)
    path.with_suffix(".json").write_text(json.dumps(values) + "\n")


def write_many() -> None:
    """Write a student of two tasks whose first layer is one, over inputs of different sizes."""
    sizes = {"narrow": (3, 2), "wide": (5, 4)}
    policies = policies_of(sizes, (6, 7))
    sharing = share(shapes_of(sizes, (6, 7)), [0, 1], 2, padded=True)
    trainer = SharedTrainer(policies, [forward_kl] * 2, sharing, DistillConfig(), Balance("none", 2))
    students = {name: Student.of(policy.to_record({"env_id": name})) for name, policy in policies.items()}
    places = {name: {own: list(at) for own, at in one.items()} for name, one in sharing.places.items()}
    whole = {"network": "mlp:6,7", "inputs": "padded", "task_blind": False}
    student = ManyTasks.joined(students, places, trainer.stored(), **whole)
    path = FOLDER / f"format-{MANY_FORMAT}-tasks.safetensors"
    if path.exists():
        return
    student.save(path)
    tasks = {}
    for name, (n_in, _) in sizes.items():
        obs = np.random.default_rng(0).normal(size=(5, n_in)).astype(np.float32)
        actions = student.task(name).predict(obs, deterministic=True)[0]
        tasks[name] = {"observations": obs.tolist(), "actions": actions.tolist()}
    path.with_suffix(".json").write_text(json.dumps({"n_params": student.n_params, "tasks": tasks}) + "\n")


if __name__ == "__main__":
    main()
