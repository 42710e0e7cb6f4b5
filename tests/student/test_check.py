"""A student's checksum says that it is whole; these files are whole, and lie."""

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces

from policy_distill.commands.info import Info
from policy_distill.errors import RequestError, RunFault
from policy_distill.exporters.export import export
from policy_distill.run.distill import distill
from policy_distill.student import runtime
from policy_distill.student.actions import ActionMap
from policy_distill.student.file import write_sealed
from policy_distill.student.memory import memory_of
from policy_distill.student.record import sizes_of
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.slim import slim
from policy_distill.student.spaces import describe_space, example_of
from policy_distill.system.records import dump
from policy_distill.teachers.kinds.network import discrete_family
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec
from tests.doubles import Corridor, corridor_teacher
from tests.students import KINDS, make_student, name_of

IMAGES = ("image_first", "gaussian", "cnn:4,4", "relu")
VECTOR = ("vector", "gaussian", "mlp:16,8", "tanh")
CHOICES = ("vector", "offset", "mlp:16,8", "tanh")
SPREAD = ("vector", "gaussian_head", "mlp:16,8", "tanh")
SLIM = ("vector", "discrete", "mlp:16,8", "tanh", "slim")
REMEMBERS = ("vector", "discrete", "gru:16", "tanh")
STACKS = ("vector", "discrete", "history:3+mlp:8", "tanh")
DID = ("vector", "discrete", "history:3a+mlp:8", "tanh")
PART = ("part_of_vector", "squashed", "mlp:8", "tanh")
PART_OF_DICT = ("part_of_dict", "discrete", "mlp:8", "relu")
JOINED = ("camera", "gaussian", "cnn:4", "tanh")
UNNAMED = "unnamed"

LIES = {
    "an image smaller than it is": (IMAGES, ("architecture", "layers", 1, "output_shape"), [1, 1, 1]),
    "an image of words": (IMAGES, ("architecture", "layers", 1, "output_shape"), ["x", 1, 1]),
    "weights of an activation": (VECTOR, ("architecture", "layers", 1, "weight"), "log_std"),
    "a memory larger than it is": (REMEMBERS, ("architecture", "memory", "size"), 2**40),
    "a memory of another kind": (REMEMBERS, ("architecture", "memory", "parts", 1, "kind"), "history"),
    "a memory that is a word": (REMEMBERS, ("architecture", "memory"), "all"),
    "a memory where there is none": (VECTOR, ("architecture", "memory"), {"size": 0, "parts": []}),
    "a history longer than its weights": (STACKS, ("architecture", "layers", 0, "steps"), 4),
    "a history of words": (STACKS, ("architecture", "layers", 0, "steps"), "3"),
    "actions of words": (DID, ("architecture", "layers", 0, "actions"), "4"),
    "actions of another size": (DID, ("architecture", "layers", 0, "actions"), 2),
    "actions without a size": (DID, ("architecture", "layers", 0, "actions"), -4),
    "actions of another space": (DID, ("action_space", "n"), 3),
    "a beginning of words": (STACKS, ("architecture", "layers", 0, "held"), "yes"),
    "a beginning that it has not": (STACKS, ("architecture", "layers", 0, "held"), False),
    "a gain of words": (STACKS, ("architecture", "layers", 0, "gain"), "much"),
    "a recurrent unit with another's weights": (REMEMBERS, ("architecture", "layers", 1, "weight"), "network.2.weight"),
    "a memory where weights were": (STACKS, ("architecture", "layers", 1), {"op": "history", "steps": 2, "gain": 1.0}),
    "a factor of infinity": (IMAGES, ("architecture", "layers", 0, "factor"), float("inf")),
    "an unknown activation": (VECTOR, ("architecture", "activation"), {"type": "Box"}),
    "a log σ from nowhere": (VECTOR, ("architecture", "log_std"), "somewhere"),
    "fewer parameters than it has": (VECTOR, ("architecture", "n_params"), 1),
    "bytes that are no number": (VECTOR, ("architecture", "n_bytes"), "many"),
    "operations that it does not take": (VECTOR, ("architecture", "macs"), -1),
    "a retention that is a word": (VECTOR, ("retention",), "all of it"),
    "NaN in what is said of it": (VECTOR, ("provenance", "teacher"), {"seed": float("nan")}),
    "masks that are a list": (VECTOR, ("takes_action_masks",), [[1]]),
    "half a letter": (VECTOR, ("provenance", "env_id"), "\ud800"),
    "bounds of another space": (VECTOR, ("action_post_processing", "high"), [9.0, 9.0]),
    "no bounds": (VECTOR, ("action_post_processing", "low"), None),
    "a single number for an action": (VECTOR, ("action_post_processing", "shape"), [2, 1]),
    "an action of another dtype": (VECTOR, ("action_post_processing", "dtype"), "int8"),
    "choices for a Box": (VECTOR, ("action_post_processing", "kind"), "index"),
    "another first choice": (CHOICES, ("action_post_processing", "start"), 0),
    "choices that are fractions": (CHOICES, ("action_post_processing", "dtype"), "float32"),
    "fewer choices than its space": (CHOICES, ("action_space", "n"), 2),
    "a head of another kind": (CHOICES, ("head", "kind"), "threshold"),
    "a head of a kind that is none": (VECTOR, ("head", "kind"), ["mean"]),
    "a head of other sizes": (CHOICES, ("head", "sizes"), [2, 1]),
    "a head of no size": (CHOICES, ("head", "sizes"), []),
    "a head of half an option": (CHOICES, ("head", "sizes"), [3.0]),
    "a head as large as memory": (CHOICES, ("head", "sizes"), [2**40]),
    "a first option without an output that has one": (CHOICES, ("head", "reference"), True),
    "a first option of means": (VECTOR, ("head", "reference"), True),
    "a first option that may be one": (CHOICES, ("head", "reference"), 1),
    "outputs beyond those that it has": (VECTOR, ("head", "extra"), 2),
    "fewer outputs than none": (VECTOR, ("head", "extra"), -2),
    "squashed means of what is not squashed": (VECTOR, ("head", "kind"), "tanh"),
    "a head that is a word": (VECTOR, ("head",), "mean"),
    "a log σ that was dropped and is among the outputs": (SPREAD, ("architecture", "log_std"), "dropped"),
    "a log σ of choices": (CHOICES, ("architecture", "log_std"), "dropped"),
    "a family that no one knows, and no head": (UNNAMED, ("distribution", "family"), "new"),
    "a selection of what is not observed": (SLIM, ("architecture", "layers", 0, "columns"), [0, 2, 3, 5]),
    "a selection from behind": (SLIM, ("architecture", "layers", 0, "columns"), [-1, 0, 2, 3]),
    "a selection of one thing twice": (SLIM, ("architecture", "layers", 0, "columns"), [0, 0, 2, 3]),
    "a selection of halves": (SLIM, ("architecture", "layers", 0, "columns"), [0, 0.5, 2, 3]),
    "a selection of a word": (SLIM, ("architecture", "layers", 0, "columns"), "0234"),
    "a part of what is not observed": (PART, ("view", "components", ""), [1, 3, 5]),
    "a part from behind": (PART, ("view", "components", ""), [-1, 3, 4]),
    "a part in no order": (PART, ("view", "components", ""), [3, 1, 4]),
    "a part of halves": (PART, ("view", "components", ""), [1, 2.5, 4]),
    "a smaller part than it takes": (PART, ("view", "components", ""), [1, 3]),
    "no part": (PART, ("view", "components", ""), []),
    "a part of a word": (PART, ("view", "components"), "134"),
    "a part of no space": (PART, ("view", "space"), {"type": "Nothing"}),
    "a view that is a number": (PART, ("view",), 3),
    "a part of a key that is not there": (PART_OF_DICT, ("view", "components"), {"weight": [0]}),
    "a part of a choice": (PART_OF_DICT, ("view", "components"), {"kind": [0]}),
    "more beside an image than there is": (JOINED, ("architecture", "layers", 0, "beside"), 10**6),
    "half a number beside an image": (JOINED, ("architecture", "layers", 0, "beside"), 2.5),
    "fewer than no numbers beside an image": (JOINED, ("architecture", "layers", 0, "beside"), -3),
    "what joins after the first layer": (JOINED, ("architecture", "layers", 1, "beside"), 1),
    "nothing to come after what is beside": (JOINED, ("architecture", "layers", -1, "beside"), 1),
    "an image of other numbers than its vector": (JOINED, ("architecture", "layers", 0, "shape"), [3, 12, 12]),
    "an image whose channels may be last": (JOINED, ("architecture", "layers", 0, "channels_last"), 1),
    "an image of no sizes": (JOINED, ("architecture", "layers", 0, "shape"), 360),
    "a layer that is a number": (VECTOR, ("architecture", "layers", 1, "op"), 7),
}


def changed(record, place, value):
    record = copy.deepcopy(record)
    part = record
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return record


@pytest.mark.parametrize("lie", LIES)
def test_a_student_that_lies_is_refused_before_it_is_built(tmp_path, lie):
    kind, place, value = LIES[lie]
    student = make_student(VECTOR if kind == UNNAMED else kind)
    path = student.save(tmp_path / "student.safetensors")
    assert load_student(path).n_params == student.n_params
    record = changed(student.metadata, place, value)
    if kind == UNNAMED:
        del record["head"]
    write_sealed(path, student.tensors, record)
    with pytest.raises(RequestError, match="not a whole student file"):
        load_student(path)


def test_a_small_file_that_would_remember_more_than_it_holds_is_refused_before_it_is_built(tmp_path):
    student = make_student(("vector", "discrete", "tree:8", "tanh"))
    path = student.save(tmp_path / "student.safetensors")
    architecture = student.metadata["architecture"]
    layers = [*[{"op": "history", "steps": 1024, "gain": 1.0}] * 2, *architecture["layers"]]
    memory = memory_of(layers, student.tensors, student.plan.featurizer.shape)
    assert memory.size > 5_000_000
    changed_to = {"layers": layers, **dump(sizes_of(layers, student.tensors)), "memory": memory.record()}
    write_sealed(path, student.tensors, {**student.metadata, "architecture": {**architecture, **changed_to}})
    with pytest.raises(RequestError, match="a memory larger than its weights"):
        load_student(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    student = make_student(VECTOR)
    tensors = {name: array.copy() for name, array in student.tensors.items()}
    tensors["network.0.weight"][0, 0] = value
    write_sealed(tmp_path / "student.safetensors", tensors, student.metadata)
    with pytest.raises(RequestError, match="not finite"):
        load_student(tmp_path / "student.safetensors")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, bool])
def test_weights_of_another_dtype_are_refused(tmp_path, dtype):
    student = make_student(VECTOR)
    tensors = {name: array.astype(dtype) for name, array in student.tensors.items()}
    write_sealed(tmp_path / "student.safetensors", tensors, student.metadata)
    with pytest.raises(RequestError, match="float32"):
        load_student(tmp_path / "student.safetensors")


def test_layers_in_another_order_act_and_train_and_are_refused_where_sb3_needs_its_own(tmp_path):
    student = make_student(VECTOR)
    layers = [*student.metadata["architecture"]["layers"], {"op": "tanh"}]
    path = tmp_path / "student.safetensors"
    write_sealed(path, student.tensors, changed(student.metadata, ("architecture", "layers"), layers))
    found = load_student(path)
    obs = np.linspace(-1, 1, 10, dtype=np.float32).reshape(2, 5)
    assert np.isfinite(found.act(obs[0])).all()
    assert np.allclose(found.torch()(obs).detach().numpy(), found.distribution_params(obs), atol=1e-6)
    with pytest.raises(RequestError, match="order of an mlp"):
        export(found, tmp_path / "student.zip", "sb3", n_states=8)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[1] != "deterministic_free"], ids=name_of)
def test_honest_students_of_every_kind_are_read(tmp_path, kind, capsys):
    path = make_student(kind).save(tmp_path / "student.safetensors")
    student = load_student(path)
    assert student.plan.log_std == "dropped" or student.torch() is not None
    write_sealed(path, student.tensors, changed(student.metadata, ("provenance",), {"env_id": "\x1b[31m"}))
    Info(path).run()
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_an_example_of_a_space_is_in_it(kind):
    space = make_student(kind).observation_space
    assert space.contains(example_of(describe_space(space)))


def test_what_no_reader_takes_is_not_written_and_what_was_there_stays(tmp_path):
    student = make_student(KINDS[0])
    path = student.save(tmp_path / "student.safetensors")
    before = path.read_bytes()
    lying = Student(student.tensors, {**student.metadata, "takes_action_masks": "perhaps"})
    with pytest.raises(
        RunFault, match=r"expected a student file that loads, but it is not a whole student file.*masks"
    ):
        lying.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["student.safetensors"]


def test_a_file_that_acts_otherwise_is_not_written(tmp_path, monkeypatch):
    student, other = make_student(("vector", "gaussian", "mlp:16,8", "tanh")), make_student(KINDS[0], seed=5)
    monkeypatch.setattr(runtime, "load_student", lambda path, runtime: other)
    with pytest.raises(RunFault, match="expected a file that acts as the student, found"):
        student.save(tmp_path / "student.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_distillation_that_no_file_could_hold_stops_before_it_has_trained():
    teacher = corridor_teacher()
    teacher.action_map = ActionMap("index", (), "int64", start=7)
    with pytest.raises(RunFault, match="no file can hold a student for this teacher: another start"):
        distill(teacher, Corridor, "linear", timesteps=10**9, n_envs=2, n_steps=8, buffer_size=100)


def test_a_student_of_many_choices_is_saved(tmp_path):
    space = spaces.MultiDiscrete([2, 3] * 6)
    family, action_map = discrete_family(space)
    spec = StudentSpec(
        network="linear",
        activation="tanh",
        family=family,
        log_std=None,
        observation_space=describe_space(spaces.Box(-1.0, 1.0, (3,))),
        action_space=describe_space(space),
        action_map=action_map,
        normalizer=None,
    )
    student = Student.of(StudentPolicy(spec, torch.Generator().manual_seed(0)).to_record({"env_id": "Test-v0"}))
    found = load_student(slim(student).save(tmp_path / "student.safetensors"))
    assert (student.n_params, found.n_params) == (4 * 30, 4 * 18)
    assert np.array_equal(found.act(np.ones(3, np.float32)), student.act(np.ones(3, np.float32)))
