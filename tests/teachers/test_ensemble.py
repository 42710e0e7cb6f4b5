"""What several teachers say together: an equal mixture, or the mean of their parameters where a family has none."""

import numpy as np
import pytest
import torch

from policy_distill.families.categorical import Categorical
from policy_distill.families.deterministic import Deterministic
from policy_distill.teachers.kinds.ensemble import EnsembleTeacher
from tests.doubles import Corridor, FormulaTeacher

OBS, STARTS = np.random.default_rng(0).normal(size=(5, 2, 2)).astype(np.float32), np.zeros((5, 2), bool)


class Largest(Categorical):
    """A family of somebody else's, which mixes in a way of its own."""

    name = "largest"

    def mixture(self, params):
        return params.amax(dim=0)


class Plain(Deterministic):
    """One that mixes in none."""

    name = "plain"


def members(family):
    env = Corridor()
    made = [
        FormulaTeacher(env.observation_space, env.action_space, np.array(w))
        for w in ([[1, 0], [2, 3]], [[0, 5], [1, 1]])
    ]
    for teacher in made:
        teacher.family = family
    return made


EXPECTED = {
    Categorical(2): lambda params: params.softmax(dim=-1).mean(dim=0).log(),
    Largest(2): lambda params: params.amax(dim=0),
    Plain(2): lambda params: params.mean(dim=0),
}


@pytest.mark.parametrize("family", EXPECTED, ids=lambda family: family.name)
def test_members_say_together_what_their_family_makes_of_them(family):
    teachers = members(family)
    together = EnsembleTeacher(teachers).label(OBS, STARTS).params
    alone = torch.stack([teacher.label(OBS, STARTS).params for teacher in teachers])
    assert torch.allclose(together, EXPECTED[family](alone), atol=1e-6)
