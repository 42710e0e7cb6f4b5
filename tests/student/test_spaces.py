import json
import sys

import numpy as np
import pytest
from gymnasium import spaces

from policy_distill.errors import RequestError
from policy_distill.student.spaces import describe_space, make_space

SPACES = [
    spaces.Box(-np.inf, np.inf, (3,)),
    spaces.Box(np.array([-1.0, -2.0], np.float32), np.array([1.0, np.inf], np.float32)),
    spaces.Box(0, 255, (4, 4, 3), np.uint8),
    spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(4),
    spaces.Dict(position=spaces.Box(-1, 1, (2,)), kind=spaces.Discrete(2)),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_survives_json(space):
    assert make_space(json.loads(json.dumps(describe_space(space), allow_nan=False))) == space


def test_a_space_that_no_student_can_have_is_named():
    with pytest.raises(RequestError, match="found Text"):
        describe_space(spaces.Text(5))


def test_without_gymnasium_there_is_one_line_and_the_description(monkeypatch):
    described = describe_space(SPACES[0])
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(RequestError, match="pip install gymnasium, or read metadata"):
        make_space(described)
