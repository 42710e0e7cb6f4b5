"""What a gate lets through, and how far a score may move a probability."""

import json

import numpy as np
import pytest
import torch

from policy_distill.families.categorical import Categorical
from policy_distill.interfaces.policies import Labels
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.kl import forward_kl
from policy_distill.losses.scored import ACTED, BEHAVED, CLIP, COST, GATE, ScoredLoss
from policy_distill.run.distill import distill
from policy_distill.student.actions import ActionMap
from tests.doubles import FormulaTeacher, cartpole_teacher
from tests.run.test_resume import QUICK

LOSS = ScoredLoss(forward_kl, ActionMap("index", (), "int64"))


class Certain(FormulaTeacher):
    """A teacher that expects the same everywhere."""

    discount = 0.9
    expects = 0.0

    def with_values(self):
        return self

    def label(self, obs, episode_starts, state=None, action_masks=None):
        labels = super().label(obs, episode_starts)
        return Labels(labels.params, value=torch.full(labels.params.shape[:-1], self.expects))


def run(expects, out):
    teacher = Certain.__new__(Certain)
    vars(teacher).update({**vars(cartpole_teacher()), "expects": expects})
    settings = {**QUICK, "eval_episodes": 0, "select_episodes": 0}
    found = distill(teacher, "CartPole-v1", "mlp:8", value_gate=True, out=out, **settings)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return found.student, [row for row in rows if "train/gate_open" in row]


def test_a_student_that_gains_more_than_its_teacher_expects_is_left_alone(tmp_path):
    _, rows = run(-1e3, tmp_path / "run")
    opened = [row["train/gate_open"] for row in rows]
    # The first rollout is the teacher's, and the second is the first that says what the student gains.
    assert opened[:2] == [1.0, 1.0] and set(opened[2:]) == {0.0}
    assert rows[0]["train/loss"] > 0
    assert all(row["train/loss"] == 0.0 for row in rows[1:])


def test_a_teacher_that_expects_more_everywhere_teaches_everywhere(tmp_path):
    student, rows = run(1e3, tmp_path / "run")
    assert {row["train/gate_open"] for row in rows} == {1.0}
    plain = distill(
        cartpole_teacher(), "CartPole-v1", "mlp:8", **{**QUICK, "eval_episodes": 0, "select_episodes": 0}
    ).student
    obs = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    # Not bit for bit: gradients of a gated loss are not those that are written out.
    assert np.allclose(student.distribution_params(obs), plain.distribution_params(obs), atol=0.05)


def test_a_gate_multiplies_the_divergence_of_its_own_row():
    taught, found = torch.randn(6, 3), torch.randn(6, 3)
    gate = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    batch = Batch(torch.zeros(6, 1), taught, {GATE: gate})
    plain = forward_kl(batch, Outputs(Categorical(3), found))
    assert torch.equal(LOSS(batch, Outputs(Categorical(3), found)), gate * plain)


@pytest.mark.parametrize("cost", [1.0, -1.0])
@pytest.mark.parametrize("moved", [0.0, 0.5, -0.5])
def test_a_score_moves_a_probability_no_further_than_it_may(cost, moved):
    """Beyond the clip there is no gradient where the move went the right way already, and one back where it did not."""
    logits = torch.tensor([[0.3, -0.2]], requires_grad=True)
    now = torch.log_softmax(logits, dim=1)[0, 0].detach()
    columns = {COST: torch.tensor([cost]), BEHAVED: (now - moved)[None], ACTED: torch.tensor([0])}
    one = Batch(torch.zeros(1, 1), torch.zeros(1, 2))
    batch = one.joined(Batch(torch.zeros(1, 1), torch.zeros(1, 2), columns))
    params = torch.cat([logits.detach(), logits])
    value = LOSS(batch, Outputs(Categorical(2), params))[1] / 2
    (gradient,) = torch.autograd.grad(value, logits)
    right_way = moved * cost < 0 and abs(np.exp(moved) - 1) > CLIP
    assert (float(gradient.abs().sum()) == 0.0) == right_way
    if not right_way:
        # Stepping down makes a costly action rarer, and a cheap one more frequent.
        assert float(gradient[0, 0]) * cost > 0
