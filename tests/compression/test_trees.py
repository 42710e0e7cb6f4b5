"""Trees in a race: beside networks, and on a ladder of their own."""

import numpy as np
import pytest

from policy_distill.compression.candidates import SETS, candidates_for, deployed, expanded
from policy_distill.compression.compress import compress
from policy_distill.compression.members import members_for
from policy_distill.errors import RequestError
from policy_distill.student.runtime import load_student
from policy_distill.student.slim import slim
from policy_distill.training.trees.largest import largest_tree
from tests.compression.test_resume import die_and_resume
from tests.doubles import Corridor, corridor_teacher
from tests.students import make_student, sample_observations
from tests.training.test_policy import make_policy

QUICK = {"timesteps": 512, "n_steps": 16, "n_envs": 4, "eval_episodes": 200}
"""Of the corridor, whose episodes are ten steps."""


def test_a_tree_can_win_and_its_numbers_are_those_that_it_has(tmp_path):
    found = compress(
        corridor_teacher(), Corridor, students=["oblique_tree:2", "tree:8", "mlp:8"], out=tmp_path, **QUICK
    )
    assert found.proven and found.record.winner in ("oblique_tree:2", "tree:8")
    assert found.student.n_params == found.record.best.n_params
    for point in found.front:
        student = load_student(tmp_path / "students" / point.spec / "student.safetensors")
        assert student.n_params == point.record().n_params


def test_a_race_with_trees_that_died_twice_equals_one_that_did_not(tmp_path):
    whole, died = die_and_resume(tmp_path, 256, 640, students=["linear", "tree:4", "oblique_tree:3"])
    assert whole == died


def test_a_kind_alone_stands_for_its_ladder_and_a_tree_begins_once():
    assert expanded(["tree", "mlp:4", "oblique_tree:5"]) == [
        *SETS["tree"],
        "mlp:4",
        "oblique_tree:5",
    ]
    assert [(one.spec, one.restart) for one in members_for(["tree:8", "oblique_tree:2"])] == [
        ("tree:8", 0),
        ("oblique_tree:2", 0),
    ]


def like(network, activation):
    from dataclasses import replace

    from tests.doubles import cartpole_teacher

    return replace(make_policy(cartpole_teacher()).spec, network=network, activation=activation)


def test_what_a_tree_costs_at_most_is_known_before_it_has_grown():
    tree, oblique = candidates_for(["tree:4", "oblique_tree:4"], like)
    # Three thresholds and four leaves of one logit; of sums four coefficients each on top.
    assert (tree.n_params, oblique.n_params) == (7, 19)
    assert tree.macs == 2 and oblique.macs == 8
    assert deployed(largest_tree(like("tree:4", "tanh"))).n_params == 7
    with pytest.raises(RequestError, match="with 2 to 4096 leaves"):
        candidates_for(["tree:1"], like)


@pytest.mark.parametrize(
    "kind",
    [
        ("unnormalized", "discrete", "tree:16", "tanh"),
        ("doubles", "multi_discrete", "tree:8", "tanh"),
        ("matrix", "gaussian", "oblique_tree:8", "tanh"),
        ("matrix", "gaussian_head", "tree:8", "tanh"),
    ],
)
def test_a_deployed_tree_acts_the_same_with_fewer_numbers_and_can_still_be_trained(kind):
    student, obs = make_student(kind), sample_observations(kind)
    small = slim(student)
    assert small.n_params < student.n_params
    expected = student.predict(obs, deterministic=True)[0]
    assert np.array_equal(small.predict(obs, deterministic=True)[0], expected)
    assert all(np.array_equal(small.act(one), action) for one, action in zip(obs, expected, strict=True))
    if student.plan.head.is_discrete:
        found = small.torch()(obs).detach().numpy()
        assert np.allclose(found, small.distribution_params(obs))
