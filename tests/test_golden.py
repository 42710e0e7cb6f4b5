"""Students written by every released format version load, and act as they did when they were written.

`python -m tests.test_golden` adds files for the current format; those of older formats are never written again.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from policy_distill.student.file import FORMAT_VERSION
from policy_distill.student.runtime import Student, load_student
from tests.doubles import cartpole_teacher, pendulum_teacher
from tests.training.test_policy import make_policy, observations

FOLDER = Path(__file__).parent / "golden"
GOLDEN = sorted(FOLDER.glob("*.safetensors"))
TEACHERS = {"gru": (cartpole_teacher, "gru:4+mlp:4"), "history": (pendulum_teacher, "history:3+mlp:4")}
"""What the students of the current format are of, and what needs that format: those with a memory."""


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_student_of_a_released_format_acts_as_it_did(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    student = load_student(path)
    obs = np.array(expected["observations"], np.float32)
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


def test_every_format_version_has_its_files():
    versions = {int(path.stem.split("-")[1]) for path in GOLDEN}
    assert versions == set(range(1, FORMAT_VERSION + 1))


def main() -> None:
    """Write the students of the current format."""
    for kind, (make, network) in TEACHERS.items():
        student = Student.of(make_policy(make(), network).to_record({"seed": 0}))
        obs = observations(make(), 20)
        values = {"observations": obs.tolist(), "n_params": student.n_params}
        values["actions"] = np.array([student.act(one) for one in obs]).tolist()
        path = FOLDER / f"format-{FORMAT_VERSION}-{kind}.safetensors"
        student.save(path)
        path.with_suffix(".json").write_text(json.dumps(values) + "\n")


if __name__ == "__main__":
    main()
