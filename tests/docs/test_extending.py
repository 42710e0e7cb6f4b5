"""What docs/extending.md says is done as it says it: its package is put together from the page, and used."""

import json
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from policy_distill import interfaces
from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.exporters.export import export
from policy_distill.families.table import make_family
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.losses.table import choose_loss
from policy_distill.run.distill import distill
from policy_distill.student.operations.table import find_operation
from policy_distill.student.runtime import Student, load_student
from policy_distill.system import plugins
from policy_distill.teachers.load import load_teacher
from policy_distill.training.learners import find_learner
from tests.losses.values import value
from tests.students import KINDS, make_student

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
QUICK = {"timesteps": 512, "n_steps": 16, "eval_episodes": 2, "select_episodes": 0}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def files():
    """Return the page's modules by their path, and its other Python blocks."""
    named = {
        match[1]: block for block in blocks("python") if (match := re.match(r"# (extra_distill/\w+\.py)\n", block))
    }
    return named, [block for block in blocks("python") if block not in named.values()]


def project():
    return tomllib.loads(blocks("toml")[0])["project"]


def install(folder):
    """Write the page's package as an installer would."""
    named, _ = files()
    (folder / "extra_distill").mkdir(parents=True)
    for path, text in named.items():
        (folder / path).write_text(text)
    about = folder / "extra_distill-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project()['name']}\nVersion: 1.0\n")
    lines = []
    for group, points in project()["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(install(tmp_path / "site")))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "site"
    for name in [name for name in sys.modules if name.split(".")[0] == "extra_distill"]:
        del sys.modules[name]


def make_agent():
    from extra_distill.laplace_ppo import LaplacePPO

    return LaplacePPO("MlpPolicy", "Pendulum-v1", n_steps=64, policy_kwargs={"net_arch": [16]}, seed=0, device="cpu")


def with_sine(student):
    architecture = student.metadata["architecture"]
    layers = [{"op": "sine"}, *architecture["layers"]]
    return Student(student.tensors, {**student.metadata, "architecture": {**architecture, "layers": layers}})


def test_every_group_of_entry_points_has_its_example_and_its_line_in_the_table():
    groups = {str(value) for name, value in vars(plugins).items() if name.isupper() and name != "TYPE_CHECKING"}
    assert set(project()["entry-points"]) == groups
    assert set(re.findall(r"^\|.*?\| `(policy_distill\.\w+)` \|", PAGE, flags=re.MULTILINE)) == groups
    targets = {value.partition(":")[0] for points in project()["entry-points"].values() for value in points.values()}
    named, _ = files()
    of_points = {path.removesuffix(".py").replace("/", ".") for path in named}
    # The exporter's entry point names its `Format`, which stands in the same file.
    assert of_points == targets
    for name in re.findall(r"`([A-Z]\w+)`(?:, `[A-Z]\w+`)? \|$", PAGE, flags=re.MULTILINE):
        assert hasattr(interfaces, name)


def test_all_of_it_works_as_written(installed, tmp_path, capfd):
    _, (example,) = files()
    exec(compile(example, "extending.md", "exec"), {})
    for line in "".join(blocks("bash")).splitlines():
        assert main(shlex.split(line)[1:]) == 0, capfd.readouterr().err
    for folder, operations in (
        ("hard-8,8", ["linear", "hard_tanh", "linear", "hard_tanh", "linear"]),
        ("least_squares", ["linear"]),
    ):
        record = load_student(tmp_path / folder / "student.safetensors").metadata
        assert record["distribution"] == {"family": "laplace", "config": {"dim": 1}, "package": "extra-distill"}
        assert [layer["op"] for layer in record["architecture"]["layers"]] == operations
        assert record["provenance"]["algorithm"] == "laplace_ppo"
        assert "\teval/student_return\t" in (tmp_path / folder / "metrics.tsv").read_text()
        assert {path.name for path in (tmp_path / folder / "student_c").iterdir()} >= {"policy.c", "policy.h"}
    assert json.loads((tmp_path / "far.json").read_text())["layers"]
    config = json.loads((tmp_path / "runs" / "far" / "config.json").read_text())
    assert "far_means:0.1" in json.dumps(config)


def test_the_family_is_one_by_its_closed_forms_and_by_chance(installed):
    family: ActionDistribution = make_family("laplace", {"dim": 2})
    generator = torch.Generator().manual_seed(0)
    p, q = torch.randn(1, 4, generator=generator), torch.randn(1, 4, generator=generator)
    drawn = family.sample(p.expand(200_000, 4), generator)
    ratio = family.log_prob(p, drawn) - family.log_prob(q, drawn)
    assert family.kl(p, p).abs().max() < 1e-6
    assert float(family.kl(p, q)) == pytest.approx(float(ratio.mean()), abs=5 * float(ratio.std()) / 200_000**0.5)
    own = -family.log_prob(p, drawn)
    assert float(family.entropy(p)) == pytest.approx(float(own.mean()), abs=5 * float(own.std()) / 200_000**0.5)
    assert torch.equal(family.mode(p), p[:, :2])


def test_the_loss_is_nothing_within_its_tolerance(installed):
    family = make_family("laplace", {"dim": 2})
    taught = torch.tensor([[1.0, 2.0, 0.0, 0.0]])
    chosen = torch.tensor([[1.05, 2.5, 3.0, 3.0]])
    assert value(choose_loss("far_means:0.1", family), family, taught, chosen).tolist() == pytest.approx([0.4])
    assert value(choose_loss("far_means", family), family, taught, taught).tolist() == [0.0]


def test_the_agent_labels_with_a_laplace_of_its_own_variance(installed):
    teacher: Teacher = load_teacher(make_agent())
    obs = np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)
    mean, log_b = teacher.label(obs, np.zeros((3, 2), bool)).params.chunk(2, dim=-1)
    variance = 2 * (2 * log_b).exp()
    assert torch.allclose(variance, torch.ones_like(variance)), "an untrained PPO has σ = 1"
    policy = teacher.policy
    expected = policy.get_distribution(torch.from_numpy(obs.reshape(-1, 3))).distribution.mean
    assert torch.allclose(mean.reshape(-1, 1), expected)


def test_a_student_of_all_these_parts_trains_on_and_samples_of_its_own_family(installed):
    student = distill(make_agent(), "Pendulum-v1", "hard:4", **QUICK).student
    obs = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    trainable = student.torch()
    assert np.allclose(trainable(obs).detach().numpy(), student.distribution_params(obs), atol=1e-5)
    again = Student.of(trainable.to_record({}))
    assert np.array_equal(again.predict(obs, deterministic=True)[0], student.predict(obs, deterministic=True)[0])
    # Half of a Laplace's draws are within b ln 2 of its mean, so near that the bounds of actions change nothing.
    mean, log_b = np.split(student.distribution_params(obs), 2, axis=1)
    drawn, _ = student.predict(obs)
    apart = np.abs(drawn - mean) / np.exp(log_b)
    assert np.median(apart) == pytest.approx(np.log(2), abs=0.05)


def test_the_learner_finds_the_least_squares_and_its_file_is_an_ordinary_one(installed, tmp_path):
    from extra_distill.least_squares import LeastSquares

    assert find_learner("least_squares") is LeastSquares
    result = distill(make_agent(), "Pendulum-v1", "least_squares", out=tmp_path / "run", **QUICK)
    record = load_student(tmp_path / "run" / "student.safetensors").metadata
    assert record["architecture"]["spec"] == "linear"
    assert result.record.to_json()["agreement"] > 0.95, "an untrained network is almost linear"
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert metrics[1]["train/kl"] < metrics[0]["train/kl"]
    with pytest.raises(RequestError, match="least_squares, which has no sizes, found 'least_squares:3'"):
        distill(make_agent(), "Pendulum-v1", "least_squares:3", **QUICK)
    with pytest.raises(RequestError, match=r"expected a student such as .*hard; least_squares, found 'least'"):
        distill(make_agent(), "Pendulum-v1", "least", **QUICK)


def test_a_run_of_the_learner_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(installed, tmp_path):
    settings = {**QUICK, "select_episodes": 2}
    whole = distill(make_agent(), "Pendulum-v1", "least_squares", out=tmp_path / "whole", **settings)

    class Stop(Exception):
        pass

    class Stopping:
        def log(self, metrics, step):
            if step > 256:
                raise Stop

    with pytest.raises(Stop):
        distill(make_agent(), "Pendulum-v1", "least_squares", out=tmp_path / "cut", tracker=Stopping(), **settings)
    resumed = distill(make_agent(), "Pendulum-v1", "least_squares", out=tmp_path / "cut", resume=True, **settings)
    assert whole.student.tensors.keys() == resumed.student.tensors.keys()
    for name, array in whole.student.tensors.items():
        assert np.array_equal(array, resumed.student.tensors[name]), name


@pytest.mark.parametrize("format", ["onnx", "c", "torchscript"])
def test_a_form_that_is_left_out_is_refused_in_one_line(installed, tmp_path, format):
    assert find_operation("sine").name == "sine"
    changed = with_sine(make_student(KINDS[0]))
    with pytest.raises(
        RequestError, match=r"^the operation 'sine' has no form for \w+; use the runtime or format numpy$"
    ):
        export(changed, tmp_path / "student", format, n_states=16)
    assert export(changed, tmp_path / "folder", "numpy", n_states=16).parity.passed


def test_an_operation_without_a_source_of_its_own_is_not_copied(installed, tmp_path, monkeypatch):
    import extra_distill.sine

    nameless = replace(extra_distill.sine.SINE, numpy=lambda layer, tensors: np.sin)
    monkeypatch.setattr(extra_distill.sine, "SINE", nameless)
    with pytest.raises(RequestError, match=r"^the operation 'sine' has no form for numpy: make it a function"):
        export(with_sine(make_student(KINDS[0])), tmp_path / "folder", "numpy", n_states=16)
    assert not (tmp_path / "folder").exists()


def test_without_the_package_students_act_by_their_head_and_say_what_else_needs(installed, tmp_path):
    simple = distill(make_agent(), "Pendulum-v1", "least_squares", **QUICK).student
    hard = distill(make_agent(), "Pendulum-v1", "hard:4", **QUICK).student
    simple.save(tmp_path / "simple.safetensors")
    hard.save(tmp_path / "hard.safetensors")
    code = """
        import numpy as np
        from policy_distill import load_student

        for name, deterministic in (("simple", True), ("simple", False), ("hard", True)):
            try:
                student = load_student(f"{name}.safetensors")
                print(student.predict(np.ones((2, 3), np.float32), deterministic=deterministic)[0].shape)
            except ValueError as error:
                print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    acted, sampled, loaded = done.stdout.splitlines()
    assert acted == "(2, 1)"
    assert "pip install extra-distill" in sampled
    assert "'hard_tanh'" in loaded and "install the package" in loaded
    assert gymnasium.spec("Pendulum-v1")
