import json

import pytest
import torch

from policy_distill.config import DistillConfig, make_config
from policy_distill.environments.open import open_environments
from policy_distill.losses.kl import forward_kl
from policy_distill.run.checkpoints.checkpoint import load_checkpoint
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.run.checkpoints.state import SessionState
from policy_distill.run.distill import distill
from policy_distill.run.judging.selection import Selection
from policy_distill.run.session import Session
from policy_distill.student.file import read_sealed, write_sealed
from tests.doubles import Corridor, corridor_teacher, pendulum_teacher


def test_a_rollout_is_acted_by_the_student_from_before_the_rollout_in_front_of_it():
    config = DistillConfig(n_steps=8, timesteps=256)
    session = Session(corridor_teacher(), open_environments(Corridor, 2), "mlp:4", forward_kl, config)
    learnt = []
    for number in range(4):
        actor, share = session.actor()
        if number == 0:
            assert share == 1.0
        else:
            expected = learnt[max(number - 2, 0)]
            assert all((actor.tensors[name] == array.numpy()).all() for name, array in expected.items())
        rollout = session.collect()
        session.learn(rollout, session.stream.label(rollout))
        learnt.append(session.learner.weights())
    assert any(not torch.equal(learnt[0][name], learnt[1][name]) for name in learnt[0])


def test_what_weighs_actions_has_the_newest_student_act():
    config = DistillConfig(n_steps=8, timesteps=256, objective="reverse_trajectory")
    session = Session(corridor_teacher(), open_environments(Corridor, 2), "mlp:4", forward_kl, config)
    for _ in range(3):
        rollout = session.collect()
        session.learn(rollout, session.stream.label(rollout))
        assert session.acting is None


@pytest.mark.parametrize("student", ["mlp:8", "tree:8"])
def test_a_checkpoint_that_says_nothing_of_who_acts_goes_on_with_the_newest(tmp_path, student):
    settings = {"timesteps": 512, "n_envs": 4, "n_steps": 32, "eval_episodes": 0, "keep_checkpoints": 1}
    distill(pendulum_teacher(), "Pendulum-v1", student, out=tmp_path / "run", **settings)
    (path,) = newest_first(tmp_path / "run" / "checkpoint")
    identity = json.loads((tmp_path / "run" / "config.json").read_text())
    tensors, sealed = read_sealed(path)
    sessions = []
    for kept in (tensors, {name: array for name, array in tensors.items() if not name.startswith("acting.")}):
        write_sealed(path, kept, sealed)
        envs = open_environments("Pendulum-v1", 4)
        session = Session(pendulum_teacher(), envs, student, forward_kl, make_config(None, settings))
        load_checkpoint(path, SessionState(session, Selection(session, None)), identity)
        sessions.append(session)
    new, old = sessions
    assert old.acting is None
    newest = new.learner.weights()
    assert all(torch.equal(array, old.learner.weights()[name]) for name, array in newest.items())
    assert newest.keys() == new.acting.weights.keys()
    assert any(not torch.equal(array, new.acting.weights[name]) for name, array in newest.items()) or student != "mlp:8"
