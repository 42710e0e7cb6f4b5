import numpy as np
import torch

from policy_distill.collection.labelling import label_each, split_state
from policy_distill.teachers.sources import as_teacher
from tests.doubles import cartpole_teacher
from tests.run.test_resume import Memory


def test_what_a_teacher_says_of_an_environment_depends_on_no_other():
    rng = np.random.default_rng(0)
    obs, starts = rng.normal(size=(40, 6, 4)).astype(np.float32), rng.random((40, 6)) < 0.1
    for teacher in (cartpole_teacher(), as_teacher(Memory(), "CartPole-v1")):
        whole = label_each(teacher, obs, starts, None, None, valued=False)
        half = label_each(teacher, obs[:20], starts[:20], None, None, valued=False)
        for part in (slice(0, 2), slice(2, 6)):
            states = half.state and half.state[part]
            rest = label_each(teacher, obs[20:, part], starts[20:, part], states, None, valued=False)
            assert torch.equal(rest.params, whole.params[20:, part])


def test_a_state_for_all_environments_is_split_into_those_of_each():
    lstm = torch.arange(2 * 3 * 4).reshape(2, 3, 4)
    first, second, third = split_state((lstm, {"seen": np.arange(3), "count": np.arange(2)}, None), 3)
    assert torch.equal(torch.cat([first[0], second[0], third[0]], dim=1), lstm)
    assert [one[1]["seen"].tolist() for one in (first, second, third)] == [[0], [1], [2]]
    assert second[1]["count"].tolist() == [0, 1]
    assert third[2] is None
