"""Students that remember: along episodes, in every engine, and from the files that they are kept in."""

import json
import pickle

import numpy as np
import pytest
import torch

from policy_distill.cli import main
from policy_distill.collection.along import outputs_along
from policy_distill.errors import RequestError
from policy_distill.networks.table import make_network
from policy_distill.student.engines.table import ENGINES, is_available
from policy_distill.student.operations.history import history
from policy_distill.student.runtime import Student, load_student
from tests.students import MEMORY_KINDS, make_student, name_of, one_of, sample_observations

GRU = ("vector", "discrete", "gru:16", "tanh")
N = 30
RESET = 18


def along(student, obs):
    """Return what `act` does in two episodes, and what `predict` says when it is handed its state."""
    acted, predicted, states, state = [], [], [], None
    for step in range(N):
        if step == RESET:
            student.reset()
        acted.append(np.ravel(student.act(one_of(obs, step))))
        action, state = student.predict(one_of(obs, step), state, np.array([step == RESET]), deterministic=True)
        predicted.append(np.ravel(action))
        states.append(state[0])
    return np.array(acted), np.array(predicted), np.array(states)


@pytest.mark.parametrize("kind", MEMORY_KINDS, ids=name_of)
@pytest.mark.parametrize("runtime", ENGINES)
def test_every_engine_remembers_alike_by_act_and_by_predict(kind, runtime):
    student, obs = make_student(kind), sample_observations(kind, N)
    if not is_available(runtime) or (runtime == "native" and not student.plan.is_remembering_perceptron):
        pytest.skip("there is no such engine here, or for this student")
    expected = along(Student(student.tensors, student.metadata, "numpy"), obs)
    for found, known in zip(along(Student(student.tensors, student.metadata, runtime), obs), expected, strict=True):
        assert np.allclose(found, known, atol=2e-4)
    acted, predicted, _ = expected
    assert np.allclose(acted, predicted, atol=1e-4)


@pytest.mark.parametrize("kind", [GRU, ("vector", "squashed", "history:3+mlp:8", "tanh")], ids=name_of)
def test_what_came_before_counts_until_an_episode_begins(kind):
    student, obs = make_student(kind), sample_observations(kind, 6)
    starts = np.array([[True], [False], [False], [True], [False], [False]])
    outputs, _ = outputs_along(student, obs[:, None], starts)
    first = student.network_outputs(obs)
    assert np.allclose(outputs[[0, 3], 0], first[[0, 3]], atol=1e-6)
    assert not np.allclose(outputs[2, 0], first[2], atol=1e-3)
    again, _ = outputs_along(student, obs[3:, None], starts[3:])
    assert np.allclose(again, outputs[3:], atol=1e-6)


def test_environments_side_by_side_remember_each_its_own_and_one_may_begin_anew():
    student, obs = make_student(GRU), sample_observations(GRU, 12).reshape(4, 3, 5)
    begins = np.array([[True, True, True], [False, False, False], [False, True, False], [False, False, False]])
    together, _ = outputs_along(student, obs, begins)
    for index in range(3):
        alone, _ = outputs_along(student, obs[:, index : index + 1], begins[:, index : index + 1])
        assert np.allclose(together[:, index], alone[:, 0], atol=1e-6)


def test_a_state_is_not_changed_later_and_act_and_predict_do_not_meet():
    student, obs = make_student(GRU), sample_observations(GRU, 3)
    _, state = student.predict(obs[0], None, deterministic=True)
    kept = state.copy()
    student.predict(obs[1], state, deterministic=True)
    student.act(obs[2])
    assert np.array_equal(state, kept) and state.shape == (1, 21) and state.dtype == np.float32


def test_sampling_remembers_as_the_mode_does():
    kind = ("vector", "gaussian", "gru:4", "tanh")
    student, obs = make_student(kind), sample_observations(kind, 8)
    drawn, state = student.predict(obs, None, None, deterministic=False)
    mode, known = student.predict(obs, None, None, deterministic=True)
    assert np.array_equal(state, known) and not np.array_equal(drawn, mode)


@pytest.mark.parametrize("starts", [np.ones(2, bool), np.ones(0, bool), "yes", [True, False]])
def test_other_episodes_than_there_are_cannot_begin(starts):
    student = make_student(GRU)
    with pytest.raises(ValueError, match=r"expected an episode_start of shape \(1,\)") as caught:
        student.predict(np.zeros(5, np.float32), np.zeros((1, 21), np.float32), starts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("state", [np.zeros((2, 21), np.float32), np.zeros(16), "words", (np.zeros((1, 21)),) * 2])
def test_a_state_of_something_else_is_refused_in_one_line(state):
    student = make_student(GRU)
    with pytest.raises(ValueError, match=r"expected a state of shape \(1, 21\)") as caught:
        student.predict(np.zeros(5, np.float32), state)
    assert "\n" not in str(caught.value)


def test_a_file_and_a_pickle_hold_a_student_that_begins_with_nothing_remembered(tmp_path):
    student, obs = make_student(GRU), sample_observations(GRU, N)
    path = student.save(tmp_path / "student.safetensors")
    expected = along(student, obs)[0]
    assert student.metadata["architecture"]["memory"] == {
        "size": 21,
        "parts": [{"kind": "history", "size": 5}, {"kind": "gru", "size": 16}],
    }
    for other in (load_student(path), pickle.loads(pickle.dumps(student))):
        assert np.array_equal(along(other, obs)[0], expected)


def test_a_student_without_a_memory_hands_its_state_on_and_has_nothing_to_reset():
    kind = ("vector", "discrete", "mlp:16,8", "tanh")
    student, obs = make_student(kind), sample_observations(kind, 4)
    assert student.predict(obs, "mine")[1] == "mine"
    student.reset()
    assert "memory" not in student.metadata["architecture"]


@pytest.mark.parametrize(
    "kind",
    [
        GRU,
        ("doubles", "gaussian", "history:3+mlp:8", "tanh"),
        ("doubles", "gaussian", "history:3a+mlp:8", "tanh"),
    ],
    ids=name_of,
)
def test_the_trainable_student_says_what_the_file_says(kind):
    student, obs = make_student(kind), sample_observations(kind, 6)
    module = student.torch()
    assert np.allclose(module(obs).detach().numpy(), student.distribution_params(obs), atol=1e-5)
    again = Student.of(module.to_record({"env_id": "Test-v0", "env_wrappers": []}))
    assert again.metadata["architecture"] == student.metadata["architecture"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("gru:0", "from 1 to 4096 units"),
        ("gru:-3", "from 1 to 4096 units"),
        ("gru:16,16", "from 1 to 4096 units"),
        ("gru:", "expected a student such as"),
        ("gru:99999999", "from 1 to 4096 units"),
        ("history:0", "from 2 to 1024 observations"),
        ("history:1+mlp:8", "from 2 to 1024 observations"),
        ("history:4+gru:8", "expected an mlp behind history:4"),
        ("history:1a+mlp:8", "from 2 to 1024 observations"),
        ("history:a", "from 2 to 1024 observations"),
        ("history:4aa", "from 2 to 1024 observations"),
        ("history:4A", "from 2 to 1024 observations"),
        ("history:4a+gru:8", "expected an mlp behind history:4a"),
        ("gru:16a", "from 1 to 4096 units"),
        ("gru:16+mlp:0", "expected widths from 1"),
        ("gru:16+", "expected an mlp behind gru:16"),
    ],
)
def test_a_wrong_memory_is_refused_in_one_line(spec, words):
    with pytest.raises(RequestError, match=words) as caught:
        make_network(spec, "tanh")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["gru:8", "history:4+mlp:8"])
def test_images_are_refused_in_one_line(spec):
    network = make_network(spec, "tanh")
    for ask in (lambda: network.n_params((3, 64, 64), 4), lambda: network.build((3, 64, 64), 4, torch.Generator())):
        with pytest.raises(RequestError, match=r"expected vectors for a .*found images"):
            ask()


DID = ("vector", "discrete", "history:3a+mlp:8", "tanh")


@pytest.mark.parametrize("form", ["mode", "sample", "mask"])
def test_a_student_remembers_the_action_that_was_executed(form):
    student, obs, rng = make_student(DID), sample_observations(DID, 60).reshape(20, 3, 5), np.random.default_rng(0)
    masks = rng.random((20, 3, 4)) < 0.5 if form == "mask" else [None] * 20
    state, starts, done = None, np.ones(3, bool), []
    for step in range(20):
        if form == "mask":
            masks[step, :, 3] = True
        actions, state = student.predict(obs[step], state, starts, form != "sample", masks[step])
        starts = np.array([False, step == 9, False])
        done = [actions, *done][:2]
        assert np.array_equal(state[:, 10:14], np.eye(4)[actions])
        if step not in (0, 10):
            assert np.array_equal(state[:, 14:18], np.eye(4)[done[1]])
    assert student.plan.memory.size == 2 * 5 + 2 * 4 + 1 == student.metadata["architecture"]["memory"]["size"]


def test_what_was_done_counts_and_a_new_episode_has_nothing_done_in_it():
    student, obs = make_student(DID), sample_observations(DID, 2)
    said = []
    for action in range(4):
        starts = np.array([[True], [False]])
        outputs, state = outputs_along(student, obs[:, None], starts, actions=np.full((2, 1), action))
        said.append(outputs[1, 0])
        assert np.array_equal(outputs[0, 0], student.network_outputs(obs[:1])[0])
        again, _ = outputs_along(student, obs[:1, None], starts[:1], state)
        assert np.array_equal(again[0], outputs[0])
    assert all(not np.allclose(one, said[0], atol=1e-2) for one in said[1:])


def test_a_bounded_action_is_remembered_between_its_bounds():
    student = make_student(("vector", "gaussian", "history:2a", "tanh"))
    low, high = np.array([-2.0, 0.0], np.float32), np.array([1.0, 5.0], np.float32)
    found = student.plan.taken(np.stack([low, high, (low + high) / 2]))
    assert np.allclose(found, [[-1, -1], [1, 1], [0, 0]])
    free = make_student(("vector", "deterministic_free", "history:2a", "tanh")).plan.taken
    assert np.array_equal(free(np.array([[-7.0, 1e3]])), [[-7.0, 1e3]])
    two = make_student(("vector", "multi_discrete", "history:2a", "tanh")).plan.taken
    assert two(np.array([[1, 2]])).tolist() == [[0, 1, 0, 0, 1]]
    later = make_student(("vector", "offset", "history:2a", "tanh")).plan.taken
    assert later(np.array([4, 6])).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_info_says_how_much_is_remembered(tmp_path, capsys):
    for kind, expected in ((GRU, {"size": 21, "history": 5, "gru": 16}), (DID, {"size": 19, "history": 19})):
        path = make_student(kind).save(tmp_path / "student.safetensors")
        assert main(["info", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["memory"] == expected
    path = make_student(("vector", "discrete", "mlp:16,8", "tanh")).save(tmp_path / "student.safetensors")
    assert main(["info", str(path), "--json"]) == 0
    assert "memory" not in json.loads(capsys.readouterr().out)


def test_before_an_episode_there_was_what_is_seen_first():
    kind = ("unnormalized", "discrete", "history:3+mlp:8", "tanh")
    student, obs = make_student(kind), sample_observations(kind, 3)
    (layer,) = (layer for layer in student.plan.layers if layer["op"] == "history")
    assert layer["held"] is True
    told = history(layer, {})
    state = student.plan.memory.begin(3)
    first, state = told(obs, state)
    assert np.array_equal(first[:, :5], obs) and not first[:, 5:].any()
    second, state = told(obs + 1, state)
    assert np.allclose(second[:, 5:10], 8.0) and not second[:, 10:].any()
    third, state = told(obs + 3, state)
    assert np.allclose(third[:, 5:10], 16.0) and np.allclose(third[:, 10:], 8.0)
    # An observation of zeros is one, and no beginning.
    _, state = told(np.zeros_like(obs), student.plan.memory.begin(3))
    assert np.allclose(told(obs, state)[0][:, 5:10], 8.0 * obs)


def test_a_recurrent_unit_is_told_of_changes_from_zeros_as_files_of_before_are():
    for kind in (GRU, ("vector", "discrete", "history:3+mlp:8", "tanh")):
        student, obs = make_student(kind), sample_observations(kind, 2)
        layers = [{key: value for key, value in layer.items() if key != "held"} for layer in student.plan.layers]
        told = history(next(layer for layer in layers if layer["op"] == "history"), {})
        y, after = told(obs, np.zeros((2, 5 * (1 + ("gru" not in kind[2]))), np.float32))
        assert np.allclose(y[:, 5:10], 8.0 * obs) and np.array_equal(after[:, :5], obs)
        assert ("held" in student.plan.layers[0]) == ("gru" not in kind[2])
