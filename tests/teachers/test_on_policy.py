"""Parameters of actor-critic policies: the short way gives what SB3's own distribution says, bit for bit."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from policy_distill.teachers.kinds.on_policy import distribution_params, head_of


class Tempered(ActorCriticPolicy):
    """Somebody's own: its distribution is sharper than its network says."""

    def _get_action_dist_from_latent(self, latent_pi):
        return self.action_dist.proba_distribution(action_logits=3.0 * self.action_net(latent_pi))


class Plain(gymnasium.Env):
    observation_space = spaces.Box(-1.0, 1.0, (5,), np.float32)

    def __init__(self, action_space):
        self.action_space = action_space


DISCRETE = spaces.Discrete(4)
ACTIONS = [DISCRETE, spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3)]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("action_space", ACTIONS, ids=str)
def test_parameters_are_those_of_the_policys_own_distribution(action_space, own):
    options = {"share_features_extractor": own, "log_std_init": -0.7}
    policy = PPO("MlpPolicy", Plain(action_space), seed=0, device="cpu", policy_kwargs=options).policy
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn_like(parameter))
        for n in (1, 8, 300):
            obs = torch.randn(n, 5)
            assert head_of(policy)(obs).equal(distribution_params(policy.get_distribution(obs)))


def test_a_policy_with_a_distribution_of_its_own_is_asked_for_that():
    policy = PPO(Tempered, Plain(DISCRETE), seed=0, device="cpu").policy
    plain = PPO("MlpPolicy", Plain(DISCRETE), seed=0, device="cpu").policy
    plain.load_state_dict(policy.state_dict())
    obs = torch.randn(8, 5)
    with torch.no_grad():
        assert head_of(policy)(obs).equal(distribution_params(policy.get_distribution(obs)))
        assert not head_of(policy)(obs).equal(head_of(plain)(obs))
        plain.get_distribution = policy.get_distribution
        assert head_of(plain)(obs).equal(head_of(policy)(obs)), "changed in one object alone"
