"""What a tree learner asks of a run, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from policy_distill.cli import main
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.losses.kl import forward_kl
from policy_distill.run.distill import distill
from policy_distill.student.features import Normalizer
from policy_distill.training.buffer import Buffer
from policy_distill.training.schedule import Moment
from policy_distill.training.stores import Rows
from policy_distill.training.trees.learner import TreeLearner
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher
from tests.training.test_policy import make_policy

QUICK = {"timesteps": 1024, "n_envs": 4, "n_steps": 32, "eval_episodes": 0}


@pytest.mark.parametrize("network", ["tree", "tree:", "tree:x", "tree:1", "tree:0", "tree:2,2", "oblique_tree:100000"])
def test_a_specification_without_a_number_of_leaves_is_refused_in_one_line(network, capsys):
    with pytest.raises(RequestError, match="with 2 to 4096 leaves at most") as found:
        TreeLearner.check(network, "tanh")
    assert "\n" not in str(found.value)


def test_a_tree_on_images_is_refused_before_the_first_step():
    from tests.run.test_resume import Moving

    with pytest.raises(RequestError, match="expected vectors to grow tree:4 on, found images"):
        from stable_baselines3 import PPO

        distill(PPO("CnnPolicy", Moving(), n_steps=8, batch_size=8, policy_kwargs={"net_arch": [4]}), Moving, "tree:4")


def test_names_that_the_space_has_not_are_refused_before_the_first_step(tmp_path):
    with pytest.raises(RequestError, match=r"expected 4 observation names.*CartPole-v1.*found 2"):
        distill(cartpole_teacher(), "CartPole-v1", "tree:4", observation_names="a,b", **QUICK)
    result = distill(cartpole_teacher(), "CartPole-v1", "tree:4", observation_names="a,b,c,d", out=tmp_path, **QUICK)
    assert result.student.metadata["provenance"]["config"]["observation_names"] == "a,b,c,d"
    assert main(["explain", str(tmp_path)]) == 0


def test_a_tree_learns_a_task_and_reads_what_the_environment_shows():
    result = distill(corridor_teacher(), Corridor, "tree:4", **{**QUICK, "eval_episodes": 8})
    assert result.evaluation["agreement"] == 1.0
    assert result.student.metadata["observation_normalization"] is None


def buffer_of(x, labels):
    buffer = Buffer(Rows(len(x), x.shape[1:]), labels.shape[1])
    buffer.add(torch.from_numpy(x), torch.from_numpy(labels))
    return buffer


def test_statistics_that_others_need_are_undone_so_that_thresholds_have_the_observations_units():
    obs = np.random.default_rng(0).normal(50.0, 3.0, (500, 4)).astype(np.float32)
    labels = np.where(obs[:, :1] <= 51.0, [[2.0, -2.0]], [[-2.0, 2.0]]).astype(np.float32)
    normalizer = Normalizer(np.full(4, 50.0), np.full(4, 9.0))
    spec = replace(make_policy(cartpole_teacher()).spec, network="tree:2", normalizer=normalizer)
    learner = TreeLearner(spec, forward_kl, DistillConfig())
    features = spec.featurizer(obs)
    learner.learn(buffer_of(features, labels), Moment(0.0, 1.0, 500, 0))
    student = learner.student()
    assert student.tensors["network.0.threshold"][0] == pytest.approx(51.0, abs=0.1)
    assert np.array_equal(student.distribution_params(obs), learner.params(torch.from_numpy(features)).numpy())
    assert (student.distribution_params(obs).argmax(axis=1) == labels.argmax(axis=1)).all()


def test_a_tree_is_grown_again_where_enough_is_new_and_at_the_end():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(1000, 4)).astype(np.float32), rng.normal(size=(1000, 2)).astype(np.float32)
    spec = replace(make_policy(cartpole_teacher()).spec, network="tree:8", normalizer=None)
    learner, buffer = TreeLearner(spec, forward_kl, DistillConfig()), buffer_of(x, labels)
    grown = []
    learner._grow = lambda buffer, seed: grown.append(seed)
    for n_new, after in ((1000, 0.1), (100, 0.2), (99, 0.3), (1, 0.4), (100, 0.5), (1, 1.0)):
        learner.learn(buffer, Moment(after - 0.1, after, n_new, len(grown)))
    assert len(grown) == 3
