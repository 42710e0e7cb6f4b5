"""Students written by every released format version load, and act as they did when they were written.

`python -m tests.test_golden` adds files for the current format; those of older formats are never written again.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from policy_distill.student.file import FORMAT_VERSION
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.slim import slim
from tests.doubles import cartpole_teacher, pendulum_teacher
from tests.training.test_policy import make_policy, observations

FOLDER = Path(__file__).parent / "golden"
GOLDEN = sorted(FOLDER.glob("*.safetensors"))
TEACHERS = {"discrete": cartpole_teacher, "continuous": pendulum_teacher}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_student_of_a_released_format_acts_as_it_did(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    student = load_student(path)
    obs = np.array(expected["observations"], np.float32)
    assert student.n_params == expected["n_params"]
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
    for kind, make in TEACHERS.items():
        policy = make_policy(make(), "mlp:8,4", "relu" if kind == "discrete" else "tanh")
        # What needs the second version: students as they are deployed.
        student = slim(Student.of(policy.to_record({"seed": 0})))
        obs = observations(make(), 20)
        values = {"observations": obs.tolist(), "n_params": student.n_params}
        values["params"] = student.distribution_params(obs).tolist() if student.plan.samples else None
        values["actions"] = student.predict(obs, deterministic=True)[0].tolist()
        path = FOLDER / f"format-{FORMAT_VERSION}-{kind}.safetensors"
        student.save(path)
        path.with_suffix(".json").write_text(json.dumps(values) + "\n")


if __name__ == "__main__":
    main()
