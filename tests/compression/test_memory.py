"""Students that remember in a race."""

import pytest

from policy_distill import compress
from policy_distill.compression.members import widths_of
from tests.doubles import cartpole_teacher


@pytest.mark.parametrize("spec", ["gru:4", "history:2+mlp:4", "history:2a+mlp:4"])
def test_students_that_remember_are_raced_and_measured_along_episodes(spec, tmp_path):
    settings = {"timesteps": 1024, "n_envs": 4, "n_steps": 64, "eval_episodes": 4, "seed": 0}
    found = compress(cartpole_teacher(), "CartPole-v1", students=[spec], observe="0,2", out=tmp_path, **settings)
    (one,) = found.front
    assert one.spec == spec and one.student.plan.memory.size > 0
    assert (one.student.plan.memory.awaited is None) == ("a" not in spec.partition("+")[0])


def test_what_remembers_is_as_wide_as_it_remembers():
    assert [widths_of(spec) for spec in ("gru:16+mlp:8", "history:4+mlp:8", "history:4a")] == [(16,), (4,), (4,)]
    assert [widths_of(spec) for spec in ("mlp:8,4", "linear", "cnn:4,8+mlp:3")] == [(8, 4), (), (4, 8)]
