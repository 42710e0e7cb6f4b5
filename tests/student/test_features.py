import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.collection.measuring import measure_normalizer
from policy_distill.student.features import Featurizer, Normalizer
from policy_distill.student.spaces import describe_space
from tests.doubles import Corridor


def featurizer(space, normalizer=None):
    return Featurizer(describe_space(space), normalizer)


def test_normalisation_equals_that_of_vec_normalize():
    vec_env = VecNormalize(DummyVecEnv([Corridor] * 2), clip_obs=2.0)
    vec_env.obs_rms.mean, vec_env.obs_rms.var = np.array([0.3, -2.0]), np.array([0.01, 4.0])
    ours = Normalizer(vec_env.obs_rms.mean, vec_env.obs_rms.var, clip=2.0, epsilon=vec_env.epsilon)
    obs = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32) * 3
    assert np.array_equal(ours(obs), vec_env.normalize_obs(obs).astype(np.float32))


def test_a_normalizer_survives_json_with_and_without_a_clip():
    for clip in (10.0, np.inf):
        one = Normalizer(np.array([[1.0, 2.0]]), np.array([[3.0, 0.0]]), clip=clip, epsilon=1e-4)
        two = Normalizer.from_json(one.to_json(), (1, 2))
        assert np.array_equal(two.mean, one.mean)
        assert np.array_equal(two.variance, one.variance)
        assert (two.clip, two.epsilon) == (one.clip, one.epsilon)


@pytest.mark.parametrize("bad", [np.array([np.nan]), np.array([-1.0])])
def test_statistics_that_cannot_be_used_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        Normalizer(np.zeros(1), bad)


def test_vectors_are_flattened_and_discrete_observations_become_one_hot():
    box = featurizer(spaces.Box(-1, 1, (2, 3)))
    assert box.shape == (6,)
    assert np.array_equal(box(np.arange(6.0).reshape(1, 2, 3))[0], np.arange(6))
    discrete = featurizer(spaces.Discrete(3, start=5))
    assert np.array_equal(discrete(np.array([5, 7])), [[1, 0, 0], [0, 0, 1]])
    several = featurizer(spaces.MultiDiscrete([2, 3]))
    assert np.array_equal(several(np.array([[1, 2]])), [[0, 1, 0, 0, 1]])


def test_dict_observations_stand_side_by_side_in_the_order_of_their_keys():
    parts = featurizer(spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Discrete(2)))
    obs = {"a": np.array([[0.5, -0.5]]), "b": np.array([1])}
    assert np.array_equal(parts(obs), np.array([[0.5, -0.5, 0, 1]], np.float32))


def test_features_are_a_copy():
    obs = np.zeros((1, 2), np.float32)
    features = featurizer(spaces.Box(-1, 1, (2,)))(obs)
    features[:] = 1.0
    assert not obs.any()


def test_a_single_observation_is_told_from_a_batch():
    box = featurizer(spaces.Box(-1, 1, (2,)))
    assert box.batched(np.zeros(2))[1] is True
    assert box.batched(np.zeros((5, 2)))[1] is False
    with pytest.raises(ValueError, match=r"expected an observation of shape \(2,\)"):
        box.batched(np.zeros(3))


def test_a_measured_deviation_is_not_less_than_a_share_of_the_span():
    obs = np.zeros((10, 3))
    obs[:, 1] = np.linspace(-1, 1, 10)
    low, high = np.array([0.0, -1.0, -np.inf]), np.array([1.0, 1.0, np.inf])
    deviation = np.sqrt(measure_normalizer(obs, low, high).variance)
    assert deviation == pytest.approx([0.05, obs[:, 1].std(), 1.0])
