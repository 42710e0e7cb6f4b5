"""What an installed package adds is found by name, and its absence is said in one line that names the package."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.exporters.export import export
from policy_distill.exporters.table import find_format
from policy_distill.families.table import make_family
from policy_distill.losses.table import choose_loss, make_loss
from policy_distill.networks.table import make_network
from policy_distill.student.actions import ActionMap
from policy_distill.student.file import write_sealed
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.spaces import describe_space
from policy_distill.system.plugins import FAMILIES, load_plugin, names_in, package_of
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec
from tests.losses.values import value
from tests.students import BOX, VECTOR
from tests.test_golden import FOLDER

GOLDEN = FOLDER / "format-1-discrete.safetensors"

CODE = '''
"""A family, an operation with its layer, a network, a loss and a format, as another package would have them."""

import json
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from policy_distill.exporters.table import Format
from policy_distill.student.engines.torch_layers import OwnLayer
from policy_distill.student.head import Head
from policy_distill.student.operations.operation import Operation, same_shape


@dataclass(frozen=True)
class Laplace:
    dim: int
    name = "laplace"
    has_density = True
    has_log_std = False
    default_loss = "forward_kl"

    @property
    def n_params(self):
        return 2 * self.dim

    @property
    def head(self):
        return Head("mean", (self.dim,), extra=self.dim)

    def sample(self, params, generator):
        mean, log_scale = params.chunk(2, dim=-1)
        uniform = torch.rand(mean.shape, generator=generator) - 0.5
        return mean - log_scale.exp() * uniform.sign() * torch.log1p(-2 * uniform.abs())

    def mode(self, params):
        return params[:, : self.dim]

    def kl_gradient(self):
        return None

    def config(self):
        return {"dim": self.dim}


def cube(layer, tensors):
    return lambda x: x * x * x * np.float32(layer["times"])


class Cube(OwnLayer):
    def __init__(self, times=0.5):
        super().__init__()
        self.times = times

    def forward(self, x):
        return x**3 * self.times

    def record(self, prefix):
        return {"op": "cube", "times": self.times}


CUBE = Operation("cube", cube, same_shape, torch=lambda layer, tensors: Cube(layer["times"]))


@dataclass(frozen=True)
class Cubed:
    width: int

    def build(self, input_shape, n_outputs, generator):
        with torch.random.fork_rng(devices=()):
            first = nn.Linear(math.prod(input_shape), self.width)
            return nn.Sequential(first, Cube(), nn.Linear(self.width, n_outputs))

    def n_params(self, input_shape, n_outputs):
        return (math.prod(input_shape) + 1) * self.width + (self.width + 1) * n_outputs


def cubed(sizes, activation):
    return Cubed(int(sizes))


def squared_means(weight=1.0):
    def loss(batch, outputs):
        apart = outputs.family.mode(batch.teacher_params) - outputs.family.mode(outputs.params)
        return weight * apart.square().sum(dim=-1)

    return loss


def write(student, path, record, reference, quantized=None):
    path.write_text(json.dumps({name: array.tolist() for name, array in student.tensors.items()}))
    return {}


def open_artefact(student, path):
    from policy_distill.student.engines.numpy_engine import NumpyEngine

    outputs = NumpyEngine(student.plan).outputs
    return lambda obs, action_masks=None: student.plan.actions(outputs(obs))


TEXT = Format("extra_things", "one file of text", ".json")
'''
POINTS = """
[policy_distill.families]
laplace = extra_things:Laplace
broken = extra_things:Nothing

[policy_distill.operations]
cube = extra_things:CUBE

[policy_distill.networks]
cubed = extra_things:cubed

[policy_distill.losses]
squared_means = extra_things:squared_means

[policy_distill.exporters]
text = extra_things:TEXT
"""


def install(folder, name="extra-things", points=POINTS):
    described = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(points)
    (folder / "extra_things.py").write_text(textwrap.dedent(CODE))
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(install(tmp_path / "site")))
    yield tmp_path / "site"
    sys.modules.pop("extra_things", None)


def laplace_student():
    spec = StudentSpec(
        network="cubed:6",
        activation="tanh",
        family=make_family("laplace", {"dim": 2}),
        log_std=None,
        observation_space=describe_space(VECTOR),
        action_space=describe_space(BOX),
        action_map=ActionMap("clip", BOX.shape, "float32", BOX.low, BOX.high),
        normalizer=None,
    )
    return Student.of(StudentPolicy(spec, torch.Generator().manual_seed(0)).to_record({"env_id": "Test-v0"}))


def without_operation(student):
    """Return the same head on layers that everyone has."""
    layers = [student.plan.layers[0], {"op": "tanh"}, student.plan.layers[2]]
    metadata = {**student.metadata, "architecture": {**student.metadata["architecture"], "layers": layers}}
    return Student(student.tensors, metadata)


def test_what_a_package_offers_is_found_by_name(installed):
    assert names_in(FAMILIES) == ["broken", "laplace"]
    assert package_of(FAMILIES, "laplace") == "extra-things"
    assert make_family("laplace", {"dim": 3}).n_params == 6
    assert make_network("cubed:4", "tanh").n_params((5,), 2) == 34
    family = make_family("laplace", {"dim": 2})
    values = torch.arange(8.0).reshape(2, 4)
    assert value(choose_loss("squared_means:0.5", family), family, values, values + 1).tolist() == [1.0, 1.0]
    assert find_format("text").suffix == ".json"


def test_names_of_packages_stand_among_the_choices(installed):
    for ask in (make_loss, lambda name: make_network(name, "tanh"), find_format, lambda name: make_family(name, {})):
        with pytest.raises(RequestError, match=r"squared_means|cubed|text|laplace"):
            ask("nothing")


def test_a_broken_package_is_named(installed):
    with pytest.raises(RequestError, match=r"the package extra-things offers 'broken'.*cannot be loaded"):
        make_family("broken", {})


def test_two_packages_with_one_name_are_named(installed, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(install(tmp_path / "more", "other-things")))
    with pytest.raises(RequestError, match="extra-things, other-things"):
        load_plugin(FAMILIES, "laplace")


def test_a_student_of_foreign_parts_acts_trains_on_and_is_exported(installed, tmp_path):
    student = laplace_student()
    assert student.metadata["distribution"] == {"family": "laplace", "config": {"dim": 2}, "package": "extra-things"}
    found = load_student(student.save(tmp_path / "student.safetensors"))
    obs = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    trainable = found.torch()
    assert np.allclose(trainable(obs).detach().numpy(), found.distribution_params(obs), atol=1e-5)
    assert np.array_equal(
        Student.of(trainable.to_record({})).predict(obs, deterministic=True)[0],
        found.predict(obs, deterministic=True)[0],
    )
    drawn = [found.predict(obs)[0] for _ in range(2)]
    assert drawn[0].shape == (40, 2) and not np.array_equal(*drawn)
    found.seed(0)
    assert np.array_equal(found.predict(obs)[0], drawn[0])
    for name, path in (("text", "student.json"), ("numpy", "folder"), ("torchscript", "student.pt")):
        assert export(found, tmp_path / path, name, n_states=64).parity.passed
    assert json.loads((tmp_path / "student.json").read_text()).keys() == found.tensors.keys()


@pytest.mark.parametrize(
    ("name", "path", "words"), [("onnx", "p.onnx", "ONNX"), ("c", "p", "C"), ("sb3", "p.zip", "order")]
)
def test_a_format_without_a_form_of_an_operation_says_so(installed, tmp_path, name, path, words):
    with pytest.raises(RequestError, match=r"'cube'|expected layers") as refused:
        export(laplace_student(), tmp_path / path, name, n_states=16)
    assert words in str(refused.value)
    assert not (tmp_path / path).exists()


def test_without_the_package_a_student_acts_by_its_head_and_says_what_to_install(installed, tmp_path):
    student = laplace_student()
    path = student.save(tmp_path / "whole.safetensors")
    other = without_operation(student).save(tmp_path / "head.safetensors")
    code = f"""
        import numpy as np
        from policy_distill.student.runtime import load_student

        for path, act in (({str(other)!r}, True), ({str(other)!r}, False), ({str(path)!r}, True)):
            try:
                found = load_student(path).predict(np.ones((3, 5), np.float32), deterministic=act)[0]
                print("acted", found.shape)
            except Exception as error:
                print(type(error).__name__, error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    acted, sampled, loaded = done.stdout.splitlines()
    assert acted == "acted (3, 2)"
    assert sampled.startswith("RequestError") and "pip install extra-things" in sampled
    assert loaded.startswith("RequestError") and "'cube'" in loaded


def test_a_foreign_family_is_checked_as_all_others(installed, tmp_path):
    student = laplace_student()
    for change in (
        {"head": {**student.metadata["head"], "extra": 1}},
        {"head": {**student.metadata["head"], "sizes": [3]}},
        {"distribution": {**student.metadata["distribution"], "package": 5}},
        {"distribution": {**student.metadata["distribution"], "family": ["laplace"]}},
    ):
        write_sealed(tmp_path / "student.safetensors", student.tensors, {**student.metadata, **change})
        with pytest.raises(RequestError, match="not a whole student file"):
            load_student(tmp_path / "student.safetensors")


def test_importing_and_acting_look_for_no_packages():
    code = f"""
        import sys
        import numpy as np
        from policy_distill.student.runtime import load_student

        load_student({str(GOLDEN)!r}).act(np.zeros(4, np.float32))
        assert "importlib.metadata" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
