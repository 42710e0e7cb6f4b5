import pytest
import torch

from policy_distill.config import DistillConfig
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.losses.kl import forward_kl
from policy_distill.run.columns import KEPT
from policy_distill.run.session import Session
from tests.doubles import cartpole_teacher, pendulum_teacher


class Reads:
    """Forward KL that reads columns too."""

    def __init__(self, *columns):
        self.columns, self.seen = columns, []

    def __call__(self, batch, outputs):
        self.seen.append({name: (tuple(c.shape[1:]), c.dtype) for name, c in batch.columns.items()})
        return forward_kl(batch, outputs)


def learnt(teacher, env_id, loss, n=2):
    session = Session(teacher, open_environments(env_id, 4), "mlp:4", loss, DistillConfig(n_steps=16, batch_size=32))
    for _ in range(n):
        rollout = session.collect()
        session.learn(rollout, session.stream.label(rollout))
    return session, rollout


@pytest.mark.parametrize(
    ("make_teacher", "env_id", "action", "n_scores"),
    [
        (cartpole_teacher, "CartPole-v1", ((), torch.int64), 2),
        (pendulum_teacher, "Pendulum-v1", ((1,), torch.float32), 1),
    ],
)
def test_a_loss_reads_the_columns_that_it_names(make_teacher, env_id, action, n_scores):
    # Of these, values are the teacher's, which has none.
    loss, flag = Reads(*(name for name in KEPT if name != "teacher_value")), ((), torch.bool)
    session, rollout = learnt(make_teacher(), env_id, loss)
    expected = {"actions": action, "rewards": ((), torch.float32), "action_masks": ((n_scores,), torch.bool)}
    expected |= dict.fromkeys(("episode_starts", "terminated", "truncated"), flag)
    assert loss.seen and all(seen == expected for seen in loss.seen)
    columns, newest = session.stream.buffer.columns, slice(64, 128)
    assert columns["rewards"][newest].tolist() == pytest.approx(rollout.columns["rewards"].ravel().tolist())
    assert columns["actions"][newest].tolist() == rollout.columns["actions"].reshape(64, *action[0]).tolist()
    assert columns["episode_starts"][newest].tolist() == rollout.episode_starts.ravel().tolist()
    assert columns["action_masks"][:128].all()


def test_nothing_is_kept_that_nobody_asked_for():
    session, rollout = learnt(cartpole_teacher(), "CartPole-v1", forward_kl)
    assert set(session.stream.buffer.columns) == {"teacher_params"}
    assert not rollout.columns


def test_an_unknown_column_is_refused_with_those_that_there_are():
    with pytest.raises(RequestError, match=r"expected columns among episode_starts, action_masks, .*found q_values"):
        learnt(cartpole_teacher(), "CartPole-v1", Reads("q_values"))
