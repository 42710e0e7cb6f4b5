import numpy as np
import pytest

from policy_distill.exporters import quantize
from policy_distill.exporters.export import export
from policy_distill.exporters.quantize import METHODS
from policy_distill.exporters.table import FORMATS
from policy_distill.student.runtime import load_student
from policy_distill.training.shrinking import low_bit
from tests.compression.test_resume import run
from tests.doubles import cartpole_teacher, pendulum_teacher

TEACHERS = {"discrete": (cartpole_teacher, "CartPole-v1"), "gaussian": (pendulum_teacher, "Pendulum-v1")}
FOLDED = {"discrete": False, "gaussian": True}
"""Whether statistics go into the first weights: the bounds of Pendulum's space are within their clip, and CartPole's
velocities have none."""
QUICK = {"timesteps": 256, "eval_episodes": 2, "max_episode_steps": 30}


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """The file of each student on the fronts of compressions, by its kind and network."""
    found = {}
    for kind, (make_teacher, env) in TEACHERS.items():
        for network in ("linear", "mlp:4", "mlp:6,6"):
            out = tmp_path_factory.mktemp(kind) / "run"
            run(out, make_teacher, env, [network], **QUICK)
            files = [*(out / "students").rglob("*.safetensors")]
            assert {path.parent.name for path in files} >= {network}
            found |= {(kind, path.parent.name): path for path in files}
    return found


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """What training through the rounding is worth is not looked at here."""
    monkeypatch.setattr(low_bit, "STEPS", 50)
    monkeypatch.setattr(quantize, "TRAINING_STEPS", 50)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "sb3"])
@pytest.mark.parametrize("kind", TEACHERS)
def test_every_student_on_a_front_passes_parity_in_every_format(front, kind, name, tmp_path):
    own = {network: path for (of, network), path in front.items() if of == kind}
    assert len(own) >= 3
    for number, path in enumerate(own.values()):
        student = load_student(path)
        assert (student.metadata["observation_normalization"] is None) == FOLDED[kind]
        # Acting by the mode needs no log σ.
        assert student.samples == (kind == "discrete")
        found = export(path, tmp_path / f"{number}{FORMATS[name].suffix}", name, n_states=256)
        assert found.parity.passed
        assert found.parity.states == TEACHERS[kind][1]
        assert found.parity.agreement == 1.0 or found.parity.ties


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["onnx", "c"])
@pytest.mark.parametrize("kind", TEACHERS)
def test_students_on_a_front_are_exported_with_few_bits(front, kind, name, method, tmp_path):
    for number, network in enumerate(("linear", "mlp:4", "mlp:6,6")):
        path = tmp_path / f"{number}{FORMATS[name].suffix}"
        found = export(front[kind, network], path, name, quantize=method, n_states=256, episodes=0)
        assert found.parity.passed
        assert found.quantization["method"] == method
        assert np.isfinite(found.quantization["agreement"])
